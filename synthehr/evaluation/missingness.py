"""Whether values are missing as often, and together, as in the real table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate, bootstrap_weights
from synthehr.evaluation.views import View

ROWS = 20_000


class Missingness(NamedTuple):
    """Null rates of both tables, shape (D,), and how well they agree.

    Attributes
    ----------
    real, synthetic : ndarray of shape (D,)
        Share of null cells.
    largest : Estimate
        Largest absolute difference of a column's null rates.
    mean : Estimate
        Mean absolute difference over the columns with nulls in either table.
    patterns : float
        Mean over pairs of such columns of 1 - TV of the table null/known × null/known; nan
        with fewer than two.
    """

    real: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    largest: Estimate
    mean: Estimate
    patterns: float


def missingness(real: View, synthetic: View, rng: np.random.Generator) -> Missingness | None:
    """Compare null rates and null patterns; None when neither table has a null."""
    a, b = np.isnan(real.values), np.isnan(synthetic.values)
    p, q = a.mean(axis=0), b.mean(axis=0)
    has = (p > 0) | (q > 0)
    if not has.any():
        return None
    difference = np.abs(p - q)
    spread = np.abs(_resampled(real, has, rng) - _resampled(synthetic, has, rng))
    return Missingness(
        p,
        q,
        _around(float(difference.max()), spread.max(axis=1)),
        _around(float(difference[has].mean()), spread.mean(axis=1)),
        _pattern_agreement(a[:, has], b[:, has]),
    )


def _around(value: float, draws: NDArray[np.float64]) -> Estimate:
    """Take the spread of the draws only: resampling moves an absolute difference upwards."""
    half = 1.96 * float(draws.std())
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def _resampled(view: View, has: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw null rates with patients resampled, (draws, columns), at the error of the whole."""
    some = view.sample(ROWS, rng)
    nulls = np.isnan(some.values[:, has]).astype(np.float64)
    weights = bootstrap_weights(some.patients, rng)
    drawn = weights @ nulls / weights.sum(axis=1, keepdims=True)
    whole = np.isnan(view.values[:, has]).mean(axis=0)
    return whole + (drawn - nulls.mean(axis=0)) * np.sqrt(some.rows / view.rows)


def _pattern_agreement(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    if a.shape[1] < 2:
        return float("nan")
    distance = sum(np.abs(x - y) for x, y in zip(_cells(a), _cells(b), strict=True)) / 2
    above = np.triu_indices(a.shape[1], 1)
    return float(1 - np.asarray(distance)[above].mean())


def _cells(nulls: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Shares of both null, one null, other null, neither, each of shape (D, D)."""
    mask = nulls.astype(np.float32)
    both = (mask.T @ mask).astype(np.float64) / len(mask)
    one = np.diag(both)
    return [both, one[:, None] - both, one[None, :] - both, 1 - one[:, None] - one[None, :] + both]
