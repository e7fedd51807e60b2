"""The Fréchet distance: how far two clouds of features lie apart if both were normal.

References
----------
Heusel et al., 2017, arXiv:1706.08500
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.images.resampling import around, resamples
from synthehr.evaluation.metric import Estimate

DRAWS = 60
USUAL = 128
"""Features up to which there are so many draws."""


def frechet_distance(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    r"""Compare means and covariances of features of shapes (n, D) and (m, D).

    :math:`|\mu_x - \mu_y|^2 + \mathrm{tr}(\Sigma_x + \Sigma_y - 2 (\Sigma_x \Sigma_y)^{1/2})`,
    divided by D: with `Features` 1 is what copies of the real mean would score. It is biased
    upwards by few images, so the floor has to be of as many.
    """
    wide = [each.astype(np.float64) for each in (x, y)]
    means = [each.mean(axis=0) for each in wide]
    far = means[0] - means[1]
    a, b = ((each - mean) / np.sqrt(len(each)) for each, mean in zip(wide, means, strict=True))
    # The singular values of A Bᵀ sum to the trace of the root of a product of covariances; those
    # of the product of triangular factors are the same, and the factors are small.
    first, second = (np.asarray(np.linalg.qr(part, mode="r")) for part in (a, b))
    shared = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    total = far @ far + (a * a).sum() + (b * b).sum() - 2 * shared
    return float(max(total, 0.0) / x.shape[1])


def frechet(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    who: tuple[NDArray[np.int64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> Estimate:
    """Estimate the Fréchet distance, with an interval over patients.

    Of more than some hundred features the interval is nan: it would take too long.

    Parameters
    ----------
    x, y : ndarray of shapes (n, D) and (m, D)
        Features of two sets of images.
    who : tuple of ndarray of shapes (n,) and (m,), int64
        The patient of each.
    rng : Generator
        Source of the resampling.
    """
    many = min(DRAWS, DRAWS * USUAL**2 // x.shape[1] ** 2)
    draws = [
        frechet_distance(x[rows], y[others])
        for rows, others in zip(
            resamples(who[0], rng, many), resamples(who[1], rng, many), strict=True
        )
    ]
    return around(frechet_distance(x, y), np.array(draws))
