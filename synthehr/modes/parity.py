"""Demographic parity: records in which a target does not hang on a group.

Group and target are drawn by the shares that were learned, independently of one another, and
all else given both. So the other columns still tell group and target apart as they did: parity
of the table is not fairness of whatever learns from it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.encode.categorical import level_indices
from synthehr.encode.table import TableEncoder
from synthehr.errors import ConditionError
from synthehr.kernels import compute
from synthehr.models.base import OPEN
from synthehr.schema.column import shown

MOST_LEVELS = 50


class Parity(NamedTuple):
    """The column that shall not hang on the other one."""

    target: str
    group: str

    @classmethod
    def parse(cls, text: str) -> Parity:
        """Read ``target|group``.

        Raises
        ------
        ConditionError
            If it is not that.
        """
        parts = [part.strip() for part in text.split("|")]
        if len(parts) != 2 or not all(parts) or parts[0] == parts[1]:
            raise ConditionError(
                "--parity must name a target and a group", hint="for example --parity 'died|sex'"
            )
        return cls(*parts)


def parity_codes(
    parity: Parity, encoder: TableEncoder, n: int, rng: np.random.Generator
) -> torch.Tensor:
    """Draw group and target of n records, independently; (n, 2, D), all else `OPEN`.

    Raises
    ------
    ConditionError
        A column is not modelled, or has too many levels.
    """
    codes = np.full((n, 2, len(encoder.modelled)), OPEN, dtype=np.int64)
    for name in parity:
        place = encoder.field_index(name)
        field = encoder.fields[place]
        if field.size > MOST_LEVELS:
            raise ConditionError(
                f"column {shown(name)} has {field.size} tokens, too many for --parity",
                hint="name columns of a few levels",
            )
        codes[:, 0, place] = evenly(field.shares, n, rng)
        codes[:, 1, place] = OPEN if field.has_parts else 0
    return torch.from_numpy(codes)


def evenly(shares: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw n tokens of which each occurs as often as its share says, to within one."""
    reached = (np.arange(n) + rng.random()) / n * shares.sum()
    tokens = np.minimum(np.searchsorted(np.cumsum(shares), reached, "right"), len(shares) - 1)
    return rng.permutation(tokens)


def parity_gap(parity: Parity, table: pa.Table) -> float:
    """Largest difference between groups in the share of a level of the target.

    Groups of fewer than 30 records, and nulls, are left out.
    """
    known = compute.and_(*(table[name].is_valid() for name in parity))
    table = table.filter(known)
    target, levels, _ = level_indices(table[parity.target], parity.target)
    group, groups, _ = level_indices(table[parity.group], parity.group)
    counts = np.bincount(group * len(levels) + target, minlength=len(groups) * len(levels))
    counts = counts.reshape(len(groups), len(levels))
    counts = counts[counts.sum(1) >= 30]
    if len(counts) < 2:
        return 0.0
    shares = counts / counts.sum(1, keepdims=True)
    return float((shares.max(0) - shares.min(0)).max())
