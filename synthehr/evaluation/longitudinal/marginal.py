"""Values of visits, over all visits and by how many came before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Draws,
    Figures,
    Resampled,
    averaged,
    codes,
    known,
    ks,
    variation,
)

STAGES = (0, 1, 3, 7, 15, 31)
"""First visits of the stages by which values are compared, each twice as long as the last."""
FEWEST = 20
"""Visits of each table without which a stage is left out."""


def marginal(pair: Compare) -> Figures:
    """Compare the distribution of each column, by KS or total variation, in all and by stage."""
    stages = _stages(pair)
    found = overall(pair)
    if len(stages) > 1:
        for name, columns in (("value_visit", pair.numbers), ("level_visit", pair.levels)):
            staged = {
                pair.columns[j].name: _mean([_distance(pair, j, rows) for rows in stages])
                for j in columns
            }
            found |= averaged(name, staged)
    return found


def overall(pair: Compare) -> Figures:
    """Compare the distribution of each column over all visits."""
    rows = [np.arange(side.line.rows) for side in pair.both]
    found: Figures = {}
    for name, columns in (("value", pair.numbers), ("level", pair.levels)):
        found |= averaged(name, {pair.columns[j].name: _distance(pair, j, rows) for j in columns})
    return found


def _stages(pair: Compare) -> list[list[NDArray[np.int64]]]:
    """Visits of both tables by stage, where both have enough."""
    parts = []
    for start, end in zip(STAGES, (*STAGES[1:], np.inf), strict=True):
        rows = [
            np.flatnonzero((side.line.visit >= start) & (side.line.visit < end))
            for side in pair.both
        ]
        if min(map(len, rows)) > FEWEST:
            parts.append(rows)
    return parts


def _distance(pair: Compare, j: int, rows: list[NDArray[np.int64]]) -> Draws:
    values = [side.line.values[some, j] for side, some in zip(pair.both, rows, strict=True)]
    if pair.columns[j].kind == "category":
        return levels_apart(pair.both, rows, [codes(each) for each in values])
    a, b = (
        known(side, some, each) for side, some, each in zip(pair.both, rows, values, strict=True)
    )
    return ks(a, b)


def levels_apart(
    sides: tuple[Resampled, Resampled],
    rows: list[NDArray[np.int64]],
    cells: list[NDArray[np.int64]],
) -> Draws:
    """Total variation of what some visits hold, null a level of its own."""
    owners = [side.line.patients[some] for side, some in zip(sides, rows, strict=True)]
    return variation(sides, owners, cells)


def _mean(stages: list[Draws]) -> Draws:
    defined = [draws for draws in stages if np.isfinite(draws[0])]
    return np.mean(defined, axis=0) if defined else np.full(stages[0].shape, np.nan)
