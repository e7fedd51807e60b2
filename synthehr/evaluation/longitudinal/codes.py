"""How many patients ever hold a level, two levels together, and one before the other."""

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
    moments,
)
from synthehr.evaluation.results import SMALLEST

MOST_LEVELS = 60
"""Levels, those of most patients, that are compared in pairs."""
FEWEST_ORDERS = 10
"""Pairs of levels without which their order is not compared."""


def prevalence(pair: Compare) -> Figures:
    """Compare the shares of patients who ever hold each level, and each two of them."""
    held = [_ever(side, pair) for side in pair.both]
    if not held[0].shape[1]:
        return {}
    often = np.flatnonzero(held[0].sum(axis=0) >= SMALLEST)
    if not len(often):
        return {}
    shares = [_shares(side, each[:, often]) for side, each in zip(pair.both, held, strict=True)]
    found: Figures = {("prevalence", None): np.abs(shares[0] - shares[1]).mean(axis=0)}
    top = often[np.argsort(-held[0].sum(axis=0)[often], kind="stable")[:MOST_LEVELS]]
    if len(top) > 1:
        above = np.triu_indices(len(top), 1)
        together = [
            _together(side, each[:, top])[:, above[0], above[1]]
            for side, each in zip(pair.both, held, strict=True)
        ]
        found[("co_occurrence", None)] = np.abs(together[0] - together[1]).mean(axis=1)
    return found | _orders(pair, top)


def _orders(pair: Compare, top: NDArray[np.int64]) -> Figures:
    """Correlate how often each level comes before another, by ranks over the pairs.

    Of two levels those patients count who have both, one of them at an earlier visit.
    """
    counts = [_before(side, _first(side, pair)[:, top]) for side in pair.both]
    a, b = np.triu_indices(len(top), 1)
    before = [each[a, b] for each in counts]
    after = [each[b, a] for each in counts]
    told = before[0][:, 0] + after[0][:, 0] >= SMALLEST
    if told.sum() < FEWEST_ORDERS:
        return {}
    # Where nobody has both, neither comes first.
    shares = [(x[told] + 0.5) / (x[told] + y[told] + 1) for x, y in zip(before, after, strict=True)]
    ranks = [rankdata(each, axis=0) - (told.sum() + 1) / 2 for each in shares]
    sums = np.stack([moments(x, y).sum(axis=0) for x, y in zip(*(r.T for r in ranks), strict=True)])
    return {("code_order", None): np.nan_to_num(correlation(sums.T))}


def _first(side: Resampled, pair: Compare) -> NDArray[np.float64]:
    """Tell at which visit a patient first holds each level, shape (P, levels); inf: at none."""
    line, parts = side.line, []
    for j in pair.levels:
        values = line.values[:, j]
        held = np.flatnonzero(~np.isnan(values))
        part = np.full((line.n_patients, len(pair.columns[j].levels)), np.inf)
        places = line.patients[held], values[held].astype(np.int64)
        np.minimum.at(part, places, line.visit[held].astype(np.float64))
        parts.append(part)
    return np.hstack(parts)


def _before(side: Resampled, first: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count patients in whom a level comes before another; shape (levels, levels, 1 + B)."""
    there = np.isfinite(first)
    return np.stack(
        [
            ((first[:, k, None] < first) & there).T.astype(np.float64) @ side.weights
            for k in range(first.shape[1])
        ]
    )


def _ever(side: Resampled, pair: Compare) -> NDArray[np.float64]:
    """Say which patients ever hold which level of which column; shape (P, levels)."""
    line, parts = side.line, []
    for j in pair.levels:
        size = len(pair.columns[j].levels)
        values = line.values[:, j]
        held = ~np.isnan(values)
        part = np.zeros((line.n_patients, size))
        part[line.patients[held], values[held].astype(np.int64)] = 1
        parts.append(part)
    return np.hstack(parts) if parts else np.zeros((line.n_patients, 0))


def _shares(side: Resampled, held: NDArray[np.float64]) -> Draws:
    return held.T @ side.weights / side.weights.sum(axis=0)


def _together(side: Resampled, held: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of patients that ever hold both of two levels; shape (1 + B, levels, levels)."""
    patients = side.weights.sum(axis=0)
    return np.stack(
        [held.T @ (held * w[:, None]) / n for w, n in zip(side.weights.T, patients, strict=True)]
    )
