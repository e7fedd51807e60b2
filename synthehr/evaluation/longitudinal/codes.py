"""How many patients ever hold a level, and two levels together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.resampled import Compare, Draws, Figures, Resampled
from synthehr.evaluation.results import SMALLEST

MOST_LEVELS = 60
"""Levels, those of most patients, that are compared in pairs."""


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
    return found


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
