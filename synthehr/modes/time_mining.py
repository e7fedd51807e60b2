"""Rules over the visits of a patient that hold for all visits of a table, found by counting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import combined, value_type
from synthehr.encode.categorical import level_indices
from synthehr.encode.climbs import Climb
from synthehr.encode.rare import holders
from synthehr.modes.rule_checks import kind_of
from synthehr.modes.rule_mining import LEAST_SURPRISE, LEVELLED, MOST_LEVELS, MinedRule
from synthehr.schema.table import Schema


def mine_over_time(
    table: pa.Table,
    schema: Schema,
    starts: NDArray[np.int64],
    *,
    confidence: float = 1.0,
    least: int = 10,
) -> list[MinedRule]:
    """Find columns that never fall or rise, and levels after which no visit comes.

    Parameters
    ----------
    table : Table
        Visits, patient by patient in the order of time.
    schema : Schema
        What the columns are.
    starts : ndarray of shape (P + 1,), int64
        Where each patient's visits begin.
    confidence : float
        Share of the visits that must keep a rule.
    least : int
        Patients who must show it: those with a change, or with the level.

    Returns
    -------
    list of MinedRule
        A rule is told only if `LEAST_SURPRISE` visits or more would break it by chance.
    """
    return [
        *_monotone(table, schema, starts, confidence, least),
        *_last(table, schema, starts, confidence, least),
    ]


def _monotone(
    table: pa.Table, schema: Schema, starts: NDArray[np.int64], confidence: float, least: int
) -> Iterator[MinedRule]:
    owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    for column in schema.columns:
        kind = value_type(table.schema.field(column.name).type)
        if column.role != "feature" or kind_of(kind) is None or pa.types.is_boolean(kind):
            continue
        cells = table[column.name]
        # In turned time, what never falls rises at every change.
        turned = cells.take(pa.array(np.arange(len(cells))[::-1]))
        back = (len(cells) - starts)[::-1]
        for falls, key in ((False, "never_falls"), (True, "never_rises")):
            climb = Climb(kind, falls)
            broken = int(climb.turns(cells, column.name, starts).sum())
            kept = climb.turns(turned, column.name, back)[::-1]
            spoken = len(cells) - cells.null_count - len(np.unique(owners))
            by_chance = kept.sum() / 2
            if spoken <= 0 or broken > (1 - confidence) * spoken:
                continue
            if by_chance >= LEAST_SURPRISE and len(np.unique(owners[kept])) >= least:
                yield MinedRule({key: column.name}, spoken, broken)


def _last(
    table: pa.Table, schema: Schema, starts: NDArray[np.int64], confidence: float, least: int
) -> Iterator[MinedRule]:
    owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    is_last = np.full(table.num_rows, False)
    is_last[starts[1:] - 1] = True
    for column in schema.columns:
        if column.role != "feature" or column.kind not in LEVELLED:
            continue
        indices, levels, valid = level_indices(combined(table[column.name]), column.name)
        if not 2 <= len(levels) <= MOST_LEVELS:
            continue
        held = holders(indices[valid], len(levels), owners[valid])
        for number in np.flatnonzero(held >= least):
            here = valid & (indices == number)
            broken = int((here & ~is_last).sum())
            by_chance = here.sum() * (1 - is_last.mean())
            if broken <= (1 - confidence) * here.sum() and by_chance >= LEAST_SURPRISE:
                yield MinedRule({"last": {column.name: levels[number]}}, int(here.sum()), broken)
