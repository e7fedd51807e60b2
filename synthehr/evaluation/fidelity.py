"""Marginal shapes and pair trends, as SDMetrics' QualityReport with every pair counted.

A shape is 1 - KS for numbers and dates and 1 - TV for categories, nulls left out. A trend is
1 - |difference of Pearson's correlations| / 2 for two numeric columns, and 1 - TV of the joint
table otherwise, nulls a level of their own. Values agree with sdmetrics 0.32 to 3 digits.

References
----------
SDMetrics, https://docs.sdv.dev/sdmetrics, with real_correlation_threshold and
real_association_threshold set to 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate
from synthehr.evaluation.views import View

BINS = 10
DENSE_CELLS = 2_000_000


def shapes(real: View, synthetic: View, categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Score each column's distribution; shape (D,), nan where a side has no value."""
    scores = np.full(len(categorical), np.nan)
    for j, is_category in enumerate(categorical):
        a, b = real.values[:, j], synthetic.values[:, j]
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if len(a) and len(b):
            scores[j] = _one_minus_tv(a, b) if is_category else one_minus_ks(a, b)
    return scores


def _one_minus_tv(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    x, y = a.astype(np.int64), b.astype(np.int64)
    size = int(max(x.max(), y.max())) + 1
    p, q = np.bincount(x, minlength=size) / len(x), np.bincount(y, minlength=size) / len(y)
    return float(1 - np.abs(p - q).sum() / 2)


def one_minus_ks(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Score how near two distributions are; neither may be empty."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    below_a = np.searchsorted(a, both, side="right") / len(a)
    below_b = np.searchsorted(b, both, side="right") / len(b)
    return float(1 - np.abs(below_a - below_b).max())


class Trends(NamedTuple):
    """Matrices of shape (D, D): agreement, and strength of dependence in each table."""

    score: NDArray[np.float64]
    real: NDArray[np.float64]
    synthetic: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean agreement over all pairs that have one; nan without any."""
        above = self.score[np.triu_indices(len(self.score), 1)]
        return float(np.nanmean(above)) if np.isfinite(above).any() else float("nan")


def trends(
    real: View, synthetic: View, categorical: NDArray[np.bool_], *, strength: bool = True
) -> Trends:
    """Score the dependence between every two columns.

    Parameters
    ----------
    real, synthetic : View
        The tables.
    categorical : ndarray of shape (D,), bool
        Which columns hold codes.
    strength : bool
        Whether to compute Cramér's V of the pairs that are not both numeric as well.
    """
    d = len(categorical)
    result = Trends(*(np.full((d, d), np.nan) for _ in range(3)))
    numeric = np.flatnonzero(~categorical)
    if len(numeric) > 1:
        square = np.ix_(numeric, numeric)
        result.real[square] = correlations(real.values[:, numeric])
        result.synthetic[square] = correlations(synthetic.values[:, numeric])
        result.score[square] = 1 - np.abs(result.real[square] - result.synthetic[square]) / 2
    a = [_discrete(real.values[:, j], categorical[j]) for j in range(d)]
    b = [_discrete(synthetic.values[:, j], categorical[j]) for j in range(d)]
    sizes = [int(max(a[j].max(), b[j].max())) + 1 for j in range(d)]
    for i in range(d):
        for j in range(i + 1, d):
            if not (categorical[i] or categorical[j]):
                continue
            p, q = _joint(a[i], a[j], b[i], b[j], sizes[i], sizes[j])
            cell = (i, j), (j, i)
            for at in cell:
                result.score[at] = 1 - np.abs(p - q).sum() / 2
            if strength and p.size == sizes[i] * sizes[j]:
                for at in cell:
                    result.real[at] = _cramers_v(p.reshape(sizes[i], sizes[j]), len(a[i]))
                    result.synthetic[at] = _cramers_v(q.reshape(sizes[i], sizes[j]), len(b[i]))
    for matrix in result:
        np.fill_diagonal(matrix, np.nan)
    return result


def correlations(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of every two columns over the records that hold both; nan if flat."""
    known = ~np.isnan(values)
    centre = np.where(known.any(axis=0), np.nansum(values, axis=0) / np.maximum(known.sum(0), 1), 0)
    x = np.where(known, values - centre, 0.0)
    scale = np.sqrt((x * x).mean(axis=0))
    x /= np.where(scale > 0, scale, 1.0)
    mask = known.astype(np.float64)
    n = mask.T @ mask
    sums = x.T @ mask
    squares = (x * x).T @ mask
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = x.T @ x / n - (sums / n) * (sums.T / n)
        variance = np.maximum(squares / n - (sums / n) ** 2, 0.0)
        r = covariance / np.sqrt(variance * variance.T)
        flat = (variance < 1e-13) | (variance.T < 1e-13) | (n < 2)
    return np.where(flat, np.nan, np.clip(r, -1, 1))


def _discrete(values: NDArray[np.float64], is_category: bool) -> NDArray[np.int64]:
    """Code a column for a joint table: levels from 1 with null 0, numbers by 10 bins.

    NOTE[DIFF] of good sense, kept for agreement: SDMetrics bins each table over its own range,
    and its null falls into the bin of the maximum.
    """
    known = ~np.isnan(values)
    if is_category:
        return np.where(known, values, -1.0).astype(np.int64) + 1
    edges = np.histogram_bin_edges(values[known], bins=BINS)
    return np.digitize(values, edges).astype(np.int64)


def _joint(
    a_i: NDArray[np.int64],
    a_j: NDArray[np.int64],
    b_i: NDArray[np.int64],
    b_j: NDArray[np.int64],
    size_i: int,
    size_j: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the cells of the joint table in both; only the occupied ones when it is large."""
    a, b = a_i * size_j + a_j, b_i * size_j + b_j
    size = size_i * size_j
    if size > DENSE_CELLS:
        _, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
        a, b, size = codes[: len(a)], codes[len(a) :], int(codes.max()) + 1
    return np.bincount(a, minlength=size) / len(a), np.bincount(b, minlength=size) / len(b)


def _cramers_v(shares: NDArray[np.float64], n: int) -> float:
    """Cramér's V with Bergsma's correction for small counts, doi:10.1016/j.jkss.2012.10.002."""
    shares = shares[shares.any(axis=1)][:, shares.any(axis=0)]
    rows, columns = shares.shape
    if min(rows, columns) < 2 or n < 2:
        return float("nan")
    expected = np.outer(shares.sum(axis=1), shares.sum(axis=0))
    phi2 = float((shares * shares / expected).sum()) - 1
    phi2 = max(0.0, phi2 - (rows - 1) * (columns - 1) / (n - 1))
    r = rows - (rows - 1) ** 2 / (n - 1)
    c = columns - (columns - 1) ** 2 / (n - 1)
    smaller = min(r, c) - 1
    return float(np.sqrt(min(1.0, phi2 / smaller))) if smaller > 0 else float("nan")


def interval(
    figure: Callable[[View, View], float],
    real: View,
    synthetic: View,
    value: float,
    rng: np.random.Generator,
    *,
    rows: int = 10_000,
    blocks: int = 10,
) -> Estimate:
    """Put a 95 % interval around a figure of two tables, from its spread over disjoint parts.

    Subsampling rather than the bootstrap, because KS, TV and the range of a column are not
    smooth; the spread shrinks with ``sqrt(1 / n + 1 / m)``.

    Parameters
    ----------
    figure : callable
        Takes the two tables.
    real, synthetic : View
        The tables; at most `rows` of each are used, and the error is scaled to all.
    value : float
        The figure of the whole tables.
    rng : Generator
        Draws the records and the blocks.
    rows, blocks : int
        Size of the subsample and number of disjoint parts, whole patients each.

    References
    ----------
    Politis and Romano, 1994, doi:10.1214/aos/1176325770
    """
    a, b = real.sample(rows, rng), synthetic.sample(rows, rng)
    if min(a.n_patients, b.n_patients) < 2 * blocks:
        return Estimate(value, 0.0, 1.0)
    of_a = rng.permutation(a.n_patients)[a.patients] % blocks
    of_b = rng.permutation(b.n_patients)[b.patients] % blocks
    parts = np.array(
        [
            figure(a.take(np.flatnonzero(of_a == k)), b.take(np.flatnonzero(of_b == k)))
            for k in range(blocks)
        ]
    )
    parts = parts[np.isfinite(parts)]
    if len(parts) < 2:
        return Estimate(value, 0.0, 1.0)
    shrink = (1 / real.rows + 1 / synthetic.rows) / (blocks / a.rows + blocks / b.rows)
    error = float(parts.std(ddof=1) * np.sqrt(shrink))
    return Estimate(value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error))


def rescaled(
    ceiling: NDArray[np.float64], sizes: tuple[int, int], wanted: tuple[int, int]
) -> NDArray[np.float64]:
    """Turn a real-against-real score into the one expected of tables of the wanted sizes.

    Two samples of one population differ by chance alone, in proportion to
    ``sqrt(1 / n + 1 / m)``; so a small held-out table would make the ceiling too low.
    """
    now = np.sqrt(1 / sizes[0] + 1 / sizes[1])
    then = np.sqrt(1 / wanted[0] + 1 / wanted[1])
    return 1 - (1 - ceiling) * then / now
