"""The sliced Wasserstein distance: features seen from many sides, one axis at a time.

References
----------
Rabin et al., 2012, doi:10.1007/978-3-642-24785-9_37
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.images.resampling import around, resamples
from synthehr.evaluation.metric import Estimate

PROJECTIONS = 128
DRAWS = 40
QUANTILES = 500


def sliced_wasserstein(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    who: tuple[NDArray[np.int64], NDArray[np.int64]],
    rng: np.random.Generator,
    *,
    draws: int = DRAWS,
) -> Estimate:
    """Estimate the mean distance of quantiles over random directions.

    Parameters
    ----------
    x, y : ndarray of shapes (n, D) and (m, D)
        Features of two sets of images.
    who : tuple of ndarray of shapes (n,) and (m,), int64
        The patient of each.
    rng : Generator
        Draws directions and resamples.
    draws : int
        Number of resamples.

    Returns
    -------
    Estimate
        In units of the features, of which real ones vary by 1 a dimension.
    """
    directions = rng.normal(size=(x.shape[1], PROJECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    a, b = x @ directions, y @ directions
    drawn = [
        _between(a[rows], b[others])
        for rows, others in zip(
            resamples(who[0], rng, draws), resamples(who[1], rng, draws), strict=True
        )
    ]
    return around(_between(a, b), np.array(drawn))


def _between(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.abs(_quantiles(a) - _quantiles(b)).mean())


def _quantiles(projected: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the middles of `QUANTILES` equal parts of each column; (QUANTILES, P)."""
    ordered = np.sort(projected, axis=0)
    places = (np.arange(QUANTILES) + 0.5) / QUANTILES * len(ordered)
    return ordered[np.minimum(places.astype(np.int64), len(ordered) - 1)]
