"""Resampling whole patients, for figures of sets of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate, between

FEWEST_DRAWS = 10


def resamples(
    who: NDArray[np.int64], rng: np.random.Generator, draws: int
) -> list[NDArray[np.int64]]:
    """Draw patients with replacement, and give the rows of their images; draws times.

    Parameters
    ----------
    who : ndarray of shape (n,), int64
        The patient of each image.
    rng : Generator
        Source of the resampling.
    draws : int
        Number of resamples.
    """
    order = np.argsort(who, kind="stable")
    counts = np.bincount(np.unique(who, return_inverse=True)[1])
    starts = np.cumsum(counts) - counts
    found = []
    for _ in range(draws):
        chosen = rng.integers(0, len(counts), len(counts))
        lengths = counts[chosen]
        steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        found.append(order[np.repeat(starts[chosen], lengths) + steps])
    return found


def around(value: float, draws: NDArray[np.float64]) -> Estimate:
    """Put an interval around a distance by how its resamples spread, none below 0.

    Resampled sets repeat images, which moves a distance up; their spread is what is kept. With
    hardly any draws the interval is nan.
    """
    if len(draws) < FEWEST_DRAWS:
        return Estimate(value, float("nan"), float("nan"))
    spread = between(value, value + draws - np.median(draws))
    return Estimate(value, max(0.0, min(value, spread.low)), max(value, spread.high))
