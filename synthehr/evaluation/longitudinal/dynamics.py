"""How values go on from visit to visit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.cross import ranked
from synthehr.evaluation.longitudinal.marginal import levels_apart
from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Draws,
    Figures,
    Resampled,
    averaged,
    codes,
    correlation,
    known,
    ks,
    moments,
    standardised,
)

LAGS = (1, 2, 3)
FEWEST_PAIRS = 10
TIME_BINS = 5
RANK_VARIANCE = 1 / 3
"""Of ranks from -1 to 1."""

Pairing = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Visits, those up to three before them, and the time between."""


def dynamics(pair: Compare) -> Figures:
    """Compare autocorrelation, variograms, changes of numbers and moves between levels."""
    found: Figures = {}
    for lag in LAGS:
        found |= lagged(pair, lag)
    changing = [j for j in pair.numbers if not pair.static[j]]
    found |= averaged("variogram", _variograms(pair, changing))
    found |= averaged("delta", {pair.columns[j].name: _delta(pair, j) for j in pair.numbers})
    return found | averaged("moves", {pair.columns[j].name: _moves(pair, j) for j in pair.levels})


def lagged(pair: Compare, lag: int) -> Figures:
    """Compare the correlation of each number with that of so many visits before."""
    errors: dict[str, Draws] = {}
    if not len(pair.real.line.after(lag)):
        return {}
    for j in pair.numbers:
        a, b = (autocorrelation(side, j, lag) for side in pair.both)
        errors[pair.columns[j].name] = np.abs(a - b)
    return averaged(f"lag{lag}", errors)


def autocorrelation(side: Resampled, j: int, lag: int) -> Draws:
    """Correlation of a value with that of so many visits before; 0 where undefined."""
    line = side.line
    values, rows = standardised(line.values[:, j]), line.after(lag)
    now, before = values[rows], values[rows - lag]
    both = ~np.isnan(now) & ~np.isnan(before)
    sums = side.totals(line.patients[rows[both]], moments(before[both], now[both]))
    return np.nan_to_num(correlation(sums, FEWEST_PAIRS + 1))


def _delta(pair: Compare, j: int) -> Draws:
    """KS of the changes from one visit to the next."""
    a, b = (
        known(side, line.later, line.values[line.later, j] - line.values[line.later - 1, j])
        for side, line in ((side, side.line) for side in pair.both)
    )
    return ks(a, b)


def _moves(pair: Compare, j: int) -> Draws:
    """Total variation of the pairs of a level and the one before."""
    size = len(pair.columns[j].levels) + 1
    rows = [side.line.later for side in pair.both]
    cells = []
    for side in pair.both:
        held = codes(side.line.values[:, j])
        cells.append(held[side.line.later - 1] * size + held[side.line.later])
    return levels_apart(pair.both, rows, cells)


def _variograms(pair: Compare, columns: list[int]) -> dict[str, Draws]:
    """Mean error of half the mean square of a change of ranks, by the time that it took.

    Over pairs of up to 3 visits apart, in bins of the real times; over the variance of ranks, so
    that it is 0 for what never changes and 1 for what has nothing to do with the past.
    """
    pairs = [_pairs(side) for side in pair.both]
    if not len(pairs[0][2]) or not columns:
        return {}
    cuts = np.unique(np.quantile(pairs[0][2], np.linspace(0, 1, TIME_BINS + 1)[1:-1]))
    ranks = [ranked(side.line.values[:, columns]) for side in pair.both]
    found = {}
    for k, j in enumerate(columns):
        curves = [
            _variogram(side, rank[:, k], of, cuts)
            for side, rank, of in zip(pair.both, ranks, pairs, strict=True)
        ]
        errors = np.abs(curves[0] - curves[1])
        errors = errors[np.isfinite(errors[:, 0])]
        if len(errors):
            # Where a resample has too few pairs, the value itself: it adds no spread.
            errors = np.where(np.isfinite(errors), errors, errors[:, :1])
            found[pair.columns[j].name] = errors.mean(axis=0)
    return found


def _variogram(
    side: Resampled, ranks: NDArray[np.float64], pairs: Pairing, cuts: NDArray[np.float64]
) -> Draws:
    """One value a bin of time, shape (bins, 1 + B); nan where few pairs are."""
    now, before, apart = pairs
    halves = (ranks[now] - ranks[before]) ** 2 / 2 / RANK_VARIANCE
    both = ~np.isnan(halves)
    bins = np.searchsorted(cuts, apart[both])
    who, size = side.line.patients[now[both]], len(cuts) + 1
    n = side.counts(who, bins, size)
    sums = side.counts(who, bins, size, halves[both])
    return np.where(n > FEWEST_PAIRS, sums / np.maximum(n, 1), np.nan)


def _pairs(side: Resampled) -> Pairing:
    now = np.concatenate([side.line.after(lag) for lag in LAGS])
    before = np.concatenate([side.line.after(lag) - lag for lag in LAGS])
    return now, before, side.line.times[now] - side.line.times[before]
