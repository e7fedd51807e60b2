"""Visits beside what was last seen before them, as records of a table.

A window is a visit, the last value of each of its columns before, and what its patient has once.
Pairs of these columns are counted as those of any table, each of a patient's windows the less the
more he has. A table's model that is matched to the counts then says how a visit follows the one
before, and patients are made up by drawing window after window: no record is looked at for it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import NamedTuple, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.encode.fields import Field, Fields
from synthehr.encode.sequence import SequenceFields
from synthehr.models.base import OPEN, Given
from synthehr.models.sequence_base import Sequences
from synthehr.privacy.ledger import Entry
from synthehr.privacy.pairs import PairMarginals, measure_pairs

PAIRS_A_COLUMN = 4
"""Pairs that are counted for each column of visits: few, so that each stands out of the noise."""


@final
class Windows(NamedTuple):
    """What was measured of windows.

    Attributes
    ----------
    fields : Fields
        What patients have once, columns as last seen, and columns of visits.
    pairs : PairMarginals
        Of pairs of these.
    """

    fields: Fields
    pairs: PairMarginals


class DrawsWindows(Protocol):
    """A table's model, as far as drawing windows goes."""

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw n windows that hold what is given."""
        ...


def measure_windows(
    records: Sequences,
    made_up: Sequences,
    fields: SequenceFields,
    *,
    rows: int,
    multiplier: float,
) -> tuple[Windows, Entry]:
    """Count pairs of columns of windows, with noise.

    Parameters
    ----------
    records : Sequences
        The patients.
    made_up : Sequences
        Patients of whom single columns and numbers of visits are right, and who are nobody.
    fields : SequenceFields
        The columns.
    rows : int
        The number of patients, in public.
    multiplier : float
        Noise multiplier of all pairs together.

    Returns
    -------
    windows : Windows
    entry : Entry
        What it cost.
    """
    table = window_fields(fields, made_up)
    once, each = len(fields.static), len(fields.visits)
    # What was last seen is asked for beside the same column alone: other pairs would cost noise,
    # and say little that this and the visit's own pairs do not.
    asked = [
        (a, b)
        for a, b in combinations(range(len(table)), 2)
        if b >= once + each and (not once <= a < once + each or b == a + each)
    ]
    tokens = window_codes(fields, records)[:, 0].numpy()
    pairs, entry = measure_pairs(
        tokens,
        table,
        owners_of(records),
        rows=rows,
        multiplier=multiplier,
        columns=asked,
        most=PAIRS_A_COLUMN * each,
    )
    return Windows(table, pairs), replace(entry, what=f"{entry.what} of visits")


def owners_of(records: Sequences) -> NDArray[np.int64]:
    """Say whose each visit is, (V,)."""
    return np.repeat(np.arange(len(records)), records.lengths.numpy())


def window_fields(fields: SequenceFields, made_up: Sequences) -> Fields:
    """Describe the columns of windows, with shares as of made-up patients."""
    table = (*fields.static, *(_as_seen(field) for field in fields.visits), *fields.visits)
    tokens = window_codes(fields, made_up)[:, 0]
    weights = made_up.lengths.reciprocal().repeat_interleave(made_up.lengths).double()
    weights /= weights.sum()
    return tuple(
        replace(field, shares=torch.bincount(column, weights, field.size).numpy())
        for field, column in zip(table, tokens.T, strict=True)
    )


def _as_seen(field: Field) -> Field:
    """Describe a column as it was last seen; null where it never was."""
    if field.null is not None:
        return field
    more = {"shares": np.concatenate([[0.0], field.shares]), "null": 0}
    more["parts"] = np.concatenate([[1], field.parts])
    if field.positions is not None:
        more["positions"] = np.concatenate(
            [np.full_like(field.positions[:1], 0.5), field.positions]
        )
    if field.part_shares is not None:
        whole = np.zeros_like(field.part_shares[:1])
        whole[:, 0] = 1.0
        more["part_shares"] = np.concatenate([whole, field.part_shares])
    return replace(field, **more)


def window_codes(fields: SequenceFields, records: Sequences) -> Tensor:
    """Lay visits out as windows, (V, 2, S + 2 D)."""
    visits, lengths = records.visits.long(), records.lengths
    n = len(visits)
    seen = _seen(fields, visits)
    at = torch.where(seen, torch.arange(n)[:, None], -1).cummax(0).values
    at = torch.cat([at.new_full((1, at.shape[1]), -1), at])[:-1]
    first = records.starts[:-1].repeat_interleave(lengths)[:, None]
    known = at >= first
    last = visits.gather(0, at.clamp(min=0)[:, None].expand(-1, 2, -1))
    once = records.static.long().repeat_interleave(lengths, dim=0)
    return torch.cat([once, _before(fields, last, known), visits], dim=2)


def _seen(fields: SequenceFields, visits: Tensor) -> Tensor:
    """Say which cells of visits (n, 2, D) are not null, (n, D)."""
    nulls = [-1 if field.null is None else field.null for field in fields.visits]
    return visits[:, 0] != torch.tensor(nulls)


def _before(fields: SequenceFields, last: Tensor, known: Tensor) -> Tensor:
    """Write the last values of columns, (n, 2, D), as columns of windows."""
    shift = torch.tensor([int(field.null is None) for field in fields.visits])
    tokens = torch.where(known, last[:, 0] + shift, 0)
    return torch.stack([tokens, torch.where(known, last[:, 1], 0)], dim=1)


@torch.no_grad()
def made_up_course(
    model: DrawsWindows,
    fields: SequenceFields,
    static: Tensor,
    lengths: Tensor,
    generator: torch.Generator,
) -> Sequences:
    """Draw visits window by window.

    Parameters
    ----------
    model : DrawsWindows
        Of windows; such as a table's model of these fields.
    fields : SequenceFields
        The columns.
    static : Tensor of shape (n, 2, S), int64
        What patients have once.
    lengths : Tensor of shape (n,), int64
        How many visits each has.
    generator : torch.Generator
        The source of all randomness.
    """
    once, each = len(fields.static), len(fields.visits)
    gap = once + each + fields.gap
    null = fields.visits[fields.gap].null
    assert null is not None, "first visits have no gap before them"
    later = torch.ones(fields.gaps.shape)
    later[null] = 0.0
    n, most = len(static), int(lengths.max())
    course = torch.zeros(n, most, 2, each, dtype=torch.int64)
    last, known = torch.zeros(n, 2, each, dtype=torch.int64), torch.zeros(n, each).bool()
    for number in range(most):
        going = lengths > number
        codes = torch.full((int(going.sum()), 2, once + 2 * each), OPEN)
        codes[:, :, :once] = static[going]
        codes[:, :, once : once + each] = _before(fields, last[going], known[going])
        if number == 0:
            codes[:, 0, gap], codes[:, 1, gap] = null, 0
        given = Given(codes, {gap: later} if number else {})
        visits = model.sample(len(codes), given, generator)[:, :, once + each :]
        course[going, number] = visits
        seen = _seen(fields, visits)
        last[going] = torch.where(seen[:, None], visits, last[going])
        known[going] |= seen
    there = torch.arange(most) < lengths[:, None]
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    return Sequences(static.short(), course[there].short(), starts)
