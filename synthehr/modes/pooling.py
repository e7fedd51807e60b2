"""Rubin's rules: one estimate and its uncertainty from analyses of several completed tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synthehr.errors import ConfigError


@dataclass(frozen=True)
class Pooled:
    """What several completed tables say together; each an array of the estimates' shape.

    Attributes
    ----------
    estimate : ndarray
        Mean of the estimates.
    variance : ndarray
        Its variance: within the tables, and between them.
    degrees_of_freedom : ndarray
        Of the t distribution that the estimate has around the truth.
    low, high : ndarray
        Ends of the interval.
    missing_information : ndarray
        Fraction of the information that is missing with the cells, in [0, 1].
    """

    estimate: NDArray[np.float64]
    variance: NDArray[np.float64]
    degrees_of_freedom: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    missing_information: NDArray[np.float64]


def pool(
    estimates: ArrayLike,
    variances: ArrayLike,
    *,
    degrees_of_freedom: float = np.inf,
    level: float = 0.95,
) -> Pooled:
    """Bring together what an analysis found in each of several completed tables.

    Rubin 1987 (doi:10.1002/9780470316696), with the degrees of freedom of Barnard and
    Rubin 1999 (doi:10.1093/biomet/86.4.948).

    Parameters
    ----------
    estimates : array of shape (m, ...)
        What each of m tables gave: a mean, the coefficients of a regression.
    variances : array of shape (m, ...)
        Squared standard errors of these.
    degrees_of_freedom : float
        What the analysis would have if no cell were missing; records minus coefficients.
    level : float
        Coverage of the interval.

    Returns
    -------
    Pooled
        Of the shape of one table's estimates.

    Raises
    ------
    ConfigError
        Fewer than two tables, unlike shapes, or a level or a variance out of range.

    Examples
    --------
    >>> pooled = pool([4.9, 5.3, 5.1], [0.04, 0.05, 0.045])
    >>> float(pooled.estimate.round(2)), float(pooled.variance.round(4))
    (5.1, 0.0983)
    """
    from scipy import stats

    found, within = np.asarray(estimates, np.float64), np.asarray(variances, np.float64)
    if found.ndim == 0 or len(found) < 2 or found.shape != within.shape:
        raise ConfigError(
            "pooling needs estimates and variances of equal shape, of two tables or more",
            hint="impute with draws=20, say",
        )
    if not (within >= 0).all() or not 0 < level < 1:
        raise ConfigError(
            "variances must be 0 or more, and the level between 0 and 1",
            hint="variances are squared standard errors",
        )
    m = len(found)
    estimate, mean_within = found.mean(0), within.mean(0)
    between = (1 + 1 / m) * found.var(0, ddof=1)
    variance = mean_within + between
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(variance > 0, between / variance, 0.0)
        of_draws = (m - 1) / share**2
        of_records = np.full_like(share, np.inf)
        if np.isfinite(degrees_of_freedom):
            of_records = (
                (degrees_of_freedom + 1)
                / (degrees_of_freedom + 3)
                * degrees_of_freedom
                * (1 - share)
            )
        freedom = 1 / (1 / of_draws + 1 / of_records)
    missing = np.where(
        np.isfinite(freedom),
        _missing(between, mean_within, np.where(np.isfinite(freedom), freedom, 1.0)),
        share,
    )
    reach = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variance)
    return Pooled(estimate, variance, freedom, estimate - reach, estimate + reach, missing)


def _missing(
    between: NDArray[np.float64], within: NDArray[np.float64], freedom: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fraction of missing information, as Barnard and Rubin have it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(within > 0, between / within, np.inf)
        found = (ratio + 2 / (freedom + 3)) / (ratio + 1)
    return np.where(np.isfinite(ratio), found, 1.0)
