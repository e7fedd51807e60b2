"""Conditions in the terms of an encoder: what a model and a decoder are told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor

from synthehr.encode.layout import Interval
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConditionError
from synthehr.models.base import Given
from synthehr.modes.axis_value import as_interval, learned_range
from synthehr.modes.condition import (
    Choice,
    Condition,
    Conditions,
    Null,
    Range,
    Value,
    from_mapping,
    means,
    parse,
)
from synthehr.modes.parity import Parity, parity_codes
from synthehr.modes.partial import partial_codes, partial_rows
from synthehr.schema.column import nearest, shown
from synthehr.seeds import PARITY, generator

if TYPE_CHECKING:
    from synthehr.artifact import Artifact
    from synthehr.encode.categorical import CategoricalColumn
    from synthehr.encode.table import TableEncoder
    from synthehr.schema.table import Schema

LISTED = 20
"""Most levels that an error lists."""

_TABLES = {".parquet", ".pq", ".csv", ".tsv", ".arrow", ".feather"}


@dataclass(frozen=True)
class Wish:
    """What is to be drawn.

    Attributes
    ----------
    n : int
        Number of records.
    given : Given
        What the model is told; its codes, if any, have n rows.
    bounds : mapping of str to tuple of (low, high)
        What the decoder is told, on each column's axis.
    rows : Table or None
        Partial records of n rows; their cells are kept as they are.
    """

    n: int
    given: Given = field(default_factory=Given)
    bounds: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    rows: pa.Table | None = None


def wished(artifact: Artifact, n: int | None, given: Any, seed: int = 0) -> Wish:
    """Check what is to be drawn against what was learned.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    n : int or None
        How many records; None for as many as were fitted, or as `given` has rows.
    given : None, str, mapping or table
        As in `synthehr.Synthesizer.sample`.
    seed : int
        Of the groups and targets that parity draws.

    Raises
    ------
    ConditionError
        If a condition cannot be read or can never hold, or n is not positive.
    """
    if n is not None and (isinstance(n, bool) or n < 1):
        raise ConditionError("the number of records must be 1 or more", hint="for example -n 1000")
    total = artifact.record["records"] if n is None else int(n)
    if given is None:
        return Wish(total)
    if isinstance(given, Parity):
        random = generator(seed, PARITY)
        return Wish(total, Given(codes=parity_codes(given, artifact.encoder, total, random)))
    if isinstance(given, str) and Path(given).suffix.lower() not in _TABLES:
        return _conditioned(artifact, total, parse(given))
    if isinstance(given, Mapping):
        return _conditioned(artifact, total, from_mapping(given))
    rows = partial_rows(given, artifact.schema)
    for name in artifact.rules.computed:
        if name in rows.column_names:
            raise ConditionError(
                f"column {shown(name)} of the partial records is computed from others by a rule",
                hint="leave it out of the partial records",
            )
    if n is not None and n != rows.num_rows:
        raise ConditionError(
            f"{n} records are asked for, and the partial records are {rows.num_rows}",
            hint="leave -n out: each partial record is continued once",
        )
    codes = partial_codes(rows, artifact.encoder)
    return Wish(rows.num_rows, Given(codes=codes), rows=rows)


def to_given(
    conditions: Conditions, encoder: TableEncoder, schema: Schema
) -> tuple[Given, dict[str, tuple[Interval, ...]]]:
    """Turn conditions into weights over tokens and parts, and bounds for the decoder.

    Raises
    ------
    ConditionError
        If a column is unknown or not modelled, or a condition can never hold.
    """
    places = {name: place for place, name in enumerate(encoder.modelled)}
    allowed: dict[int, Tensor] = {}
    bounds: dict[str, tuple[Interval, ...]] = {}
    for condition in conditions:
        _check_known(condition, schema, encoder)
        place = places[condition.column]
        column = encoder.columns[place]
        null = any(isinstance(choice, Null) for choice in condition.choices)
        if null and column.field.null is None:
            raise ConditionError(
                f"column {shown(condition.column)} is never null in the fitted records",
                hint="leave null out of its condition",
            )
        if isinstance(column, NumericColumn):
            intervals = _merged(
                as_interval(choice, column)
                for choice in condition.choices
                if not isinstance(choice, Null)
            )
            weights = column.allowed(intervals, null)
            bounds[condition.column] = intervals
        else:
            levels = [_level(choice, condition, column) for choice in condition.choices]
            weights = column.allowed([level for level in levels if level is not None], null)
        if not weights.any():
            raise ConditionError(
                f"the condition on {shown(condition.column)} can never hold",
                hint=f"learned are {learned(column)}",
            )
        allowed[place] = torch.from_numpy(weights)
    return Given(allowed=allowed), bounds


def learned(column: NumericColumn | CategoricalColumn) -> str:
    """List the learned levels of a column, or say between which values the others lie."""
    if isinstance(column, NumericColumn):
        return learned_range(column)
    names = [shown(str(level)) for level in column.levels[:LISTED]]
    more = len(column.levels) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _merged(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Join intervals that overlap, so that nothing is weighed twice."""
    merged: list[Interval] = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def _conditioned(artifact: Artifact, n: int, conditions: Conditions) -> Wish:
    given, bounds = to_given(conditions, artifact.encoder, artifact.schema)
    return Wish(n, given, bounds)


def _check_known(condition: Condition, schema: Schema, encoder: TableEncoder) -> None:
    name = condition.column
    if name not in schema:
        raise ConditionError(
            f"no column is called {shown(name)}", hint=nearest(name, encoder.modelled)
        )
    if name not in encoder.modelled:
        raise ConditionError(
            f"column {shown(name)} is not modelled and cannot be conditioned on",
            hint="`synthehr inspect` on the model file says what became of each column",
        )


def _level(choice: Choice, condition: Condition, column: CategoricalColumn) -> Any:
    """Find the learned level that a choice means."""
    if isinstance(choice, Null):
        return None
    if isinstance(choice, Range):
        if choice.text is None:
            raise ConditionError(
                f"column {shown(condition.column)} has levels and takes no range",
                hint="list the levels, as in unit=a|b",
            )
        choice = Value(choice.text, typed=False)
    for level in column.levels:
        if means(choice, level):
            return level
    raise ConditionError(
        f"the condition on {shown(condition.column)} names a level that was not learned",
        hint=f"learned are {learned(column)}",
    )
