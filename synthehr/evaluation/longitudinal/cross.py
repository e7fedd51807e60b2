"""How columns go together, at one visit, from one to the next, and over the whole follow-up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Draws,
    Figures,
    Resampled,
    correlation,
)
from synthehr.evaluation.longitudinal.timeline import Timeline

MOST_COLUMNS = 30
"""Columns of numbers, those with fewest nulls, that are compared in pairs."""
FEWEST_PAIRS = 20
MOST_LEVELS = 5
FEWEST_POINTS = 3
"""Values of a patient without which a column has no slope."""


def cross(pair: Compare) -> Figures:
    """Compare rank correlations between columns, and of static columns with slopes."""
    nulls = np.isnan(pair.real.line.values).mean(axis=0)
    used = sorted(sorted(pair.numbers, key=lambda j: nulls[j])[:MOST_COLUMNS])
    found: Figures = {}
    if len(used) > 1:
        ranks = [ranked(side.line.values[:, used]) for side in pair.both]
        for name, lag in (("cross", 0), ("cross_lag1", 1)):
            tables = [
                rank_correlations(side, rank, lag)
                for side, rank in zip(pair.both, ranks, strict=True)
            ]
            chosen = np.triu_indices(len(used), 1)
            if lag:
                chosen = np.nonzero(~np.eye(len(used), dtype=bool))
            found[(name, None)] = np.abs(tables[0] - tables[1])[chosen].mean(axis=0)
    return found | _static_slopes(pair)


def ranked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank the columns from -1 to 1, null left null; shape (n, K) in and out."""
    ranks = np.asarray(rankdata(values, axis=0, nan_policy="omit"), dtype=np.float64)
    n = np.maximum((~np.isnan(values)).sum(axis=0), 1)
    return 2 * (ranks - 0.5) / n - 1


def rank_correlations(side: Resampled, ranks: NDArray[np.float64], lag: int) -> Draws:
    """Correlate every column, of so many visits before, with every other; (K, K, 1 + B).

    0 where it is not defined, or fewer than 20 visits hold both.
    """
    line = side.line
    rows = line.after(lag)
    now, before = ranks[rows], ranks[rows - lag]
    return np.nan_to_num(_correlations(side, line.patients[rows], before, now))


def _correlations(
    side: Resampled,
    patients: NDArray[np.int64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
) -> Draws:
    """Correlate the columns of (n, F) with those of (n, K), nan left out; (F, K, 1 + B)."""
    there = ~np.isnan(y)
    zeroed, mask = np.where(there, y, 0.0), there.astype(np.float64)
    rows = []
    for column in x.T:
        held = ~np.isnan(column)
        value, own = column[held, None], patients[held]
        there_y, there_m = zeroed[held], mask[held]
        sums = [
            side.totals(own, amounts)
            for amounts in (
                there_m,
                there_m * value,
                there_y,
                there_m * value**2,
                there_y**2,
                there_y * value,
            )
        ]
        rows.append(correlation(np.stack(sums), FEWEST_PAIRS))
    return np.stack(rows)


def _static_slopes(pair: Compare) -> Figures:
    """Mean error of the correlations of static columns with slopes of the others."""
    moving = [j for j in pair.numbers if not pair.static[j]]
    static = np.flatnonzero(pair.static)
    if not moving or not len(static):
        return {}
    tables = []
    for side in pair.both:
        line = side.line
        first = line.values[line.offsets[:-1]]
        features = [_features(first[:, j], pair.columns[j].kind == "category") for j in static]
        sloped = ranked(np.stack([slopes(line, j) for j in moving], axis=1))
        everyone = np.arange(line.n_patients)
        tables.append(_correlations(side, everyone, np.hstack(features), sloped))
    errors = np.abs(np.nan_to_num(tables[0]) - np.nan_to_num(tables[1]))
    # A level, or a slope, that real patients do not vary in says nothing.
    defined = np.isfinite(tables[0][:, :, 0])
    return {("slope", None): errors[defined].mean(axis=0)} if defined.any() else {}


def _features(values: NDArray[np.float64], is_category: bool) -> NDArray[np.float64]:
    if not is_category:
        return ranked(values[:, None])
    return np.stack([values == code for code in range(MOST_LEVELS)], axis=1).astype(np.float64)


def slopes(line: Timeline, j: int) -> NDArray[np.float64]:
    """Least-squares slope of a column over time by patient, shape (P,); nan with few values."""
    values = line.values[:, j]
    held = ~np.isnan(values)
    who, x, y = line.patients[held], line.times[held], values[held]
    n = np.bincount(who, minlength=line.n_patients).astype(np.float64)

    def mean(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(who, amounts, line.n_patients) / np.maximum(n, 1)

    x, y = x - mean(x)[who], y - mean(y)[who]
    squares, products = mean(x * x), mean(x * y)
    enough = (n >= FEWEST_POINTS) & (squares > 0)
    return np.where(enough, products / np.where(enough, squares, 1.0), np.nan)
