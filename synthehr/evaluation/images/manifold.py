"""Precision, recall, density and coverage: spheres around images that reach their neighbours.

References
----------
Kynkäänniemi et al., 2019, arXiv:1904.06991; Naeem et al., 2020, arXiv:2002.09797
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate, bootstrap

K = 5
MOST = 2_000
"""Images of each set, as many of both."""


class Manifold(NamedTuple):
    """Shares of images in spheres, each with its interval over patients.

    Attributes
    ----------
    precision : Estimate
        Synthetic images within the sphere of a real one.
    recall : Estimate
        Real images within the sphere of a synthetic one.
    density : Estimate
        Real spheres in which a synthetic image lies, over `K`; 1 on average for real images.
    coverage : Estimate
        Real spheres in which a synthetic image lies at all.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def manifold(
    real: NDArray[np.float32],
    synthetic: NDArray[np.float32],
    who: tuple[NDArray[np.int64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> Manifold:
    """Compare two sets of as many images by their nearest neighbours.

    The sphere of an image reaches to its fifth nearest of other patients.

    Parameters
    ----------
    real, synthetic : ndarray of shape (n, D)
        Features.
    who : tuple of ndarray of shape (n,), int64
        The patient of each real, and of each synthetic image.
    rng : Generator
        Source of the resampling.
    """
    reach = [_reach(each, of) for each, of in zip((real, synthetic), who, strict=True)]
    far = squares(real, synthetic)
    inside = far <= reach[0][:, None]
    around = (far <= reach[1]).any(axis=1)

    def share(hits: Any, of: NDArray[np.int64]) -> Estimate:
        return bootstrap(lambda weights: float(np.average(hits, weights=weights)), of, rng)

    return Manifold(
        precision=share(inside.any(axis=0), who[1]),
        recall=share(around, who[0]),
        density=share(inside.sum(axis=0) / K, who[1]),
        coverage=share(inside.any(axis=1), who[0]),
    )


def squares(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Squared distances of every two of n and m points; shape (n, m)."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    return np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T, 0.0)


def _reach(points: NDArray[np.float32], who: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distance to the fifth nearest image of another patient; shape (n,)."""
    far = squares(points, points)
    far[who[:, None] == who] = np.inf
    return np.partition(far, K - 1, axis=1)[:, K - 1]
