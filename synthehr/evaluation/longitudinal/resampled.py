"""Sums over patients, as they are and with the patients resampled, and distances of them.

Nearly every figure of visits is a function of sums over patients. So a resample of the patients
costs one column of a matrix product, and every function here takes the table as it is (column 0)
and its resamples (the others) at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from synthehr.evaluation.fidelity import one_minus_ks
from synthehr.evaluation.longitudinal.timeline import Timeline
from synthehr.evaluation.metric import Estimate, bootstrap_weights
from synthehr.evaluation.views import Compared

DRAWS = 50
CELLS = 1_000
"""Distinct values, beyond which resamples of KS are computed over as many quantiles."""

Draws = NDArray[np.float64]
"""A figure of the table as it is and of B resamples, shape (1 + B,)."""
Figures = dict[tuple[str, str | None], Draws]
"""Figures by name and column; None: over all columns."""


@dataclass(frozen=True)
class Resampled:
    """Visits, and how often each patient counts.

    Attributes
    ----------
    line : Timeline
        The visits.
    weights : ndarray of shape (P, 1 + B)
        Ones, then how often each patient was drawn in each of B resamples.
    """

    line: Timeline
    weights: NDArray[np.float64]

    @property
    def bare(self) -> Resampled:
        """The visits as they are, without resamples."""
        return Resampled(self.line, self.weights[:, :1])

    def counts(
        self,
        patients: NDArray[np.int64],
        cells: NDArray[np.int64],
        size: int,
        amounts: NDArray[np.float64] | None = None,
    ) -> Draws:
        """Count, or sum, what falls in each of `size` cells; shape (size, 1 + B)."""
        if self.weights.shape[1] == 1:
            return np.bincount(cells, amounts, size).astype(np.float64)[:, None]
        held = np.ones(len(cells)) if amounts is None else amounts
        table = csr_array((held, (cells, patients)), shape=(size, self.line.n_patients))
        return table @ self.weights

    def totals(self, patients: NDArray[np.int64], amounts: NDArray[np.float64]) -> Draws:
        """Sum amounts of shape (n, K), of patients in ascending order; shape (K, 1 + B)."""
        if self.weights.shape[1] == 1:
            return amounts.sum(axis=0)[:, None]
        ends = np.searchsorted(patients, np.arange(self.line.n_patients + 1))
        place = np.arange(len(patients))
        own = csr_array((np.ones(len(place)), place, ends), (len(ends) - 1, len(place)))
        return (own @ amounts).T @ self.weights


def resampled(line: Timeline, rng: np.random.Generator | None = None) -> Resampled:
    """Draw resamples of the patients; none without a generator."""
    ones = np.ones((line.n_patients, 1))
    if rng is None:
        return Resampled(line, ones)
    drawn = bootstrap_weights(np.arange(line.n_patients), rng, draws=DRAWS)
    return Resampled(line, np.hstack([ones, drawn.T]))


@dataclass(frozen=True)
class Compare:
    """Two tables to compare.

    Attributes
    ----------
    real, other : Resampled
        Real visits, and those that stand beside them; both with as many resamples.
    columns : tuple of Compared
        Their D columns.
    static : ndarray of shape (D,), bool
        Which columns never change within a real patient.
    """

    real: Resampled
    other: Resampled
    columns: tuple[Compared, ...]
    static: NDArray[np.bool_]

    @property
    def both(self) -> tuple[Resampled, Resampled]:
        """The real one first."""
        return self.real, self.other

    @property
    def numbers(self) -> list[int]:
        """Columns that hold numbers or dates."""
        return [j for j, column in enumerate(self.columns) if column.kind != "category"]

    @property
    def levels(self) -> list[int]:
        """Columns that hold levels."""
        return [j for j, column in enumerate(self.columns) if column.kind == "category"]


class Sample(NamedTuple):
    """Some values of a table, none of them null: whose they are, (n,), and what, (n,)."""

    side: Resampled
    patients: NDArray[np.int64]
    values: NDArray[np.float64]


def known(side: Resampled, rows: NDArray[np.int64], values: NDArray[np.float64]) -> Sample:
    """Take the values of some visits, leaving nulls out."""
    there = ~np.isnan(values)
    return Sample(side, side.line.patients[rows[there]], values[there])


def ks(a: Sample, b: Sample) -> Draws:
    """Largest distance of two distribution functions; 1 where only b is empty, else nan."""
    if not len(a.values) or not len(b.values):
        return np.full(a.side.weights.shape[1], 1.0 if len(a.values) else np.nan)
    grid = np.unique(np.concatenate([a.values, b.values]))
    coarse = len(grid) > CELLS
    if coarse:
        pooled = np.sort(np.concatenate([a.values, b.values]))
        grid = np.unique(pooled[np.linspace(0, len(pooled) - 1, CELLS).astype(np.int64)])
    p, q = (_shares_at(each, grid) for each in (a, b))
    found = np.abs(np.cumsum(p - q, axis=0)).max(axis=0)
    if coarse:
        found[0] = 1 - one_minus_ks(a.values, b.values)
    return found


def wasserstein(a: Sample, b: Sample) -> Draws:
    """Mean distance that mass has to be moved, over `CELLS` quantiles of both at most."""
    if not len(a.values) or not len(b.values):
        return np.full(a.side.weights.shape[1], np.nan)
    pooled = np.sort(np.concatenate([a.values, b.values]))
    grid = np.unique(pooled[np.linspace(0, len(pooled) - 1, CELLS).astype(np.int64)])
    p, q = (_shares_at(each, grid) for each in (a, b))
    apart = np.abs(np.cumsum(p - q, axis=0))[:-1]
    return np.diff(grid) @ apart


def _shares_at(sample: Sample, grid: NDArray[np.float64]) -> Draws:
    cells = np.searchsorted(grid, sample.values)
    return shares(sample.side.counts(sample.patients, cells, len(grid)))


def shares(counts: Draws) -> Draws:
    """Divide counts, (cells, 1 + B), by their sums."""
    return counts / np.maximum(counts.sum(axis=0), 1e-300)


def variation(
    sides: tuple[Resampled, Resampled],
    patients: list[NDArray[np.int64]],
    cells: list[NDArray[np.int64]],
) -> Draws:
    """Total variation of cells, however large their numbers; nan where the first has none."""
    if not len(cells[0]):
        return np.full(sides[0].weights.shape[1], np.nan)
    names, dense = np.unique(np.concatenate(cells), return_inverse=True)
    parts = np.split(dense, [len(cells[0])])
    p, q = (
        shares(side.counts(who, part, len(names)))
        for side, who, part in zip(sides, patients, parts, strict=True)
    )
    return np.abs(p - q).sum(axis=0) / 2


def codes(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn levels into numbers from 1, null into 0."""
    return np.where(np.isnan(values), -1, values).astype(np.int64) + 1


def correlation(sums: Draws, least: float = 2) -> Draws:
    """Pearson's correlation from (6, …): n, Σx, Σy, Σx², Σy², Σxy; nan where undefined."""
    n, x, y, xx, yy, xy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        variances = np.maximum(xx / n - (x / n) ** 2, 0), np.maximum(yy / n - (y / n) ** 2, 0)
        r = (xy / n - x * y / n**2) / np.sqrt(variances[0] * variances[1])
        flat = (variances[0] < 1e-13) | (variances[1] < 1e-13) | (n < least)
    return np.where(flat, np.nan, np.clip(r, -1, 1))


def moments(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give what `correlation` needs the sums of; shape (n, 6)."""
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centre and scale a column, so that sums of squares lose no digits."""
    there = values[~np.isnan(values)]
    if not len(there):
        return values
    return (values - there.mean()) / (there.std() or 1.0)


def averaged(name: str, by_column: dict[str, Draws]) -> Figures:
    """Give the figures of columns, and their mean."""
    if not by_column:
        return {}
    stacked = np.stack(list(by_column.values()))
    finite = np.isfinite(stacked)
    sums = np.where(finite, stacked, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        mean = sums / finite.sum(axis=0)
    found: Figures = {(name, None): mean}
    return found | {(name, column): draws for column, draws in by_column.items()}


def around(draws: Draws) -> Estimate:
    """Put the spread of the resamples around the value.

    Only their spread: resampling moves a distance upwards.
    """
    value, drawn = float(draws[0]), draws[1:][np.isfinite(draws[1:])]
    half = 1.96 * float(drawn.std()) if len(drawn) else 0.0
    return Estimate(value, max(0.0, value - half), value + half)
