"""A figure, beside what real data would score and how sure we are of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Better = Literal["higher", "lower", "ceiling"]
Section = Literal[
    "fidelity", "detection", "utility", "missingness", "coverage", "privacy", "similarity",
    "diagnostic", "structure", "measurement", "values", "dynamics", "together",
]  # fmt: skip
"""Parts of the report; the last five are of visits."""


class Metric(NamedTuple):
    """One figure of the report.

    Attributes
    ----------
    section : str
        The part of the report it belongs to.
    name : str
        Name in words joined by underscores, unique in a report but for the column;
        `--fail-under` uses it.
    value : float
        The figure for the synthetic table.
    ceiling : float or None
        The same figure for real records in place of the synthetic ones. None where there
        is nothing to compare with.
    low, high : float or None
        The 95 % interval of the value. None where the figure is exact.
    better : {"higher", "lower", "ceiling"}
        The direction that is better; "ceiling": the nearer to the ceiling the better.
    detail : str
        One sentence on what was measured, on how many records.
    column : str or None
        The column it is of, or the features it is in; None for the whole table. Only figures of
        visits and images have one.
    """

    section: Section
    name: str
    value: float
    ceiling: float | None
    low: float | None
    high: float | None
    better: Better
    detail: str = ""
    column: str | None = None


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def wilson(hits: float, n: int) -> Estimate:
    """Estimate a share from hits (ties may count half) among n, with Wilson's interval.

    References
    ----------
    Wilson, 1927, doi:10.1080/01621459.1927.10502953
    """
    if n == 0:
        return Estimate(float("nan"), 0.0, 1.0)
    z = 1.959963984540054
    share = float(hits) / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding must not push the bounds of 0 and 1 past them.
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(share, float(min(low, share)), float(max(high, share)))


def bootstrap_weights(
    groups: NDArray[np.int64], rng: np.random.Generator, *, draws: int = 100
) -> NDArray[np.float64]:
    """Count how often each record is drawn when whole groups are resampled.

    Parameters
    ----------
    groups : ndarray of shape (n,), int64
        The patient of each record.
    rng : Generator
        Source of the resampling.
    draws : int
        Number of resamples.

    Returns
    -------
    ndarray of shape (draws, n), float64
    """
    _, groups = np.unique(groups, return_inverse=True)
    n = int(groups.max(initial=0)) + 1
    counts = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws)]
    return np.stack(counts).astype(np.float64)[:, groups]


def bootstrap(
    statistic: Callable[[NDArray[np.float64] | None], float],
    groups: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    draws: int = 100,
) -> Estimate:
    """Estimate a weighted statistic with a 95 % percentile interval over groups.

    Parameters
    ----------
    statistic : callable
        Takes one weight per record, shape (n,), or None, and returns the figure.
    groups : ndarray of shape (n,), int64
        The patient of each record.
    rng : Generator
        Source of the resampling.
    draws : int
        Number of resamples.
    """
    values = [statistic(weights) for weights in bootstrap_weights(groups, rng, draws=draws)]
    return between(statistic(None), np.array(values))


def between(value: float, draws: NDArray[np.float64]) -> Estimate:
    """Put the 2.5 % and 97.5 % quantiles of bootstrap draws around a value."""
    if not np.isfinite(draws).any():
        return Estimate(value, value, value)
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
