"""Holes of known truth: which cells of a complete table are taken away.

mcar    each cell by itself
mar     the higher a record's driver, a column that is never taken away, the more of its cells
mnar    high numbers and rare levels are missing themselves
block   runs of neighbouring columns, a record's together, as when a test was not done
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

KINDS = ("mcar", "mar", "mnar", "block")
STEEP = 3.0
"""How much likelier the highest rank is missing than the lowest, in log odds."""
RUN = 4
"""Columns that a block takes away together."""


def holes(
    table: pd.DataFrame, kind: str, share: float, rng: np.random.Generator, *, keep: str | None
) -> NDArray[np.bool_]:
    """Choose cells of a table.

    Parameters
    ----------
    table : DataFrame of shape (N, D)
        The table; its own nulls are never chosen.
    kind : str
        One of `KINDS`.
    share : float
        Share of the cells of a column that may be chosen, about.
    rng : Generator
        Source of randomness.
    keep : str or None
        A column that stays whole: the target.

    Returns
    -------
    ndarray of shape (N, D), bool
    """
    if kind not in KINDS:
        raise ValueError(f"{kind} is none of {', '.join(KINDS)}")
    n, d = table.shape
    chosen = np.zeros((n, d), dtype=bool)
    free = [at for at, name in enumerate(table.columns) if name != keep]
    if kind == "mcar":
        chosen[:, free] = rng.random((n, len(free))) < share
    elif kind == "mar":
        driver = free.pop(int(np.argmax([table.iloc[:, at].nunique() for at in free])))
        chance = _rising(_ranks(table.iloc[:, driver]), share)
        chosen[:, free] = rng.random((n, len(free))) < chance[:, None]
    elif kind == "mnar":
        for at in free:
            chosen[:, at] = rng.random(n) < _rising(_ranks(table.iloc[:, at]), share)
    else:
        run = min(RUN, len(free))
        starts = rng.integers(0, len(free), (n, -(-len(free) // run)))
        taken = rng.random(starts.shape) < share
        for offset in range(run):
            places = np.array(free)[(starts + offset) % len(free)]
            rows = np.broadcast_to(np.arange(n)[:, None], places.shape)
            chosen[rows[taken], places[taken]] = True
    return chosen & table.notna().to_numpy()


def _ranks(column: Any) -> NDArray[np.float64]:
    """Ranks in (0, 1): of numbers, or of levels by how rare they are; .5 for null."""
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        column = column.map(-column.value_counts())
    numbers: Any = pd.to_numeric(column)
    ranks = numbers.astype(float).rank(pct=True)
    return ranks.fillna(0.5).to_numpy()


def _rising(ranks: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Chances that rise with the rank and have the share as their mean, about."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        chance = 1 / (1 + np.exp(-(middle + STEEP * (ranks - 0.5))))
        low, high = (middle, high) if chance.mean() < share else (low, middle)
    return chance
