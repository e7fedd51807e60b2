"""The kernel distance (KID): the unbiased squared maximum mean discrepancy of features.

References
----------
Bińkowski et al., 2018, arXiv:1801.01401
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate, between, bootstrap_weights

MOST = 2_000
"""Images of each set: kernels are matrices of so many rows and columns."""
DRAWS = 100
BLOCK = 200
"""Images of a block, whose spread is what the literature writes behind ±."""


class KernelDistance(NamedTuple):
    """The distance with its interval over patients, and the standard deviation over blocks."""

    distance: Estimate
    block_sd: float
    blocks: int


def kernel(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute (x·y / D + 1)³ of every two of n and m features (n, D), (m, D); shape (n, m)."""
    return (x.astype(np.float64) @ y.T.astype(np.float64) / x.shape[1] + 1.0) ** 3


def kernel_distance(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    who: tuple[NDArray[np.int64], NDArray[np.int64]],
    rng: np.random.Generator,
) -> KernelDistance:
    """Estimate the distance; images of one patient are never compared with each other.

    Parameters
    ----------
    x, y : ndarray of shapes (n, D) and (m, D)
        Features of two sets of images, at most `MOST` each.
    who : tuple of ndarray of shapes (n,) and (m,), int64
        The patient of each.
    rng : Generator
        Source of the resampling.

    Notes
    -----
    It may be below 0: it is unbiased, so that sets of one origin score 0 on average.
    """
    within = [_others(kernel(each, each), of) for each, of in zip((x, y), who, strict=True)]
    across = kernel(x, y)
    weights = [
        np.concatenate([np.ones((1, len(of))), bootstrap_weights(of, rng, draws=DRAWS)])
        for of in who
    ]
    sums = [_mean(w, kept, apart) for w, (kept, apart) in zip(weights, within, strict=True)]
    pairs = weights[0].sum(axis=1) * weights[1].sum(axis=1)
    crossed = np.einsum("bi,bi->b", weights[0] @ across, weights[1]) / pairs
    found = sums[0] + sums[1] - 2 * crossed
    spread = between(float(found[0]), found[1:])
    blocks = _blocks(within, across, rng)
    distance = Estimate(spread.value, min(spread.low, spread.value), max(spread.high, spread.value))
    sd = float(np.std(blocks, ddof=1)) if len(blocks) > 1 else float("nan")
    return KernelDistance(distance, sd, len(blocks))


Kept = tuple[NDArray[np.float64], NDArray[np.float64]]


def _others(kernels: NDArray[np.float64], who: NDArray[np.int64]) -> Kept:
    """Keep pairs of different patients: kernels (n, n) with 0 elsewhere, and which they are."""
    apart = (who[:, None] != who).astype(np.float64)
    return kernels * apart, apart


def _mean(
    weights: NDArray[np.float64], kept: NDArray[np.float64], apart: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted mean over pairs for each row of weights (B, n); shape (B,)."""
    total = np.einsum("bi,bi->b", weights @ apart, weights)
    return np.einsum("bi,bi->b", weights @ kept, weights) / np.maximum(total, 1.0)


def _blocks(
    within: list[Kept], across: NDArray[np.float64], rng: np.random.Generator
) -> list[float]:
    """Compute the distance on disjoint blocks of images."""
    orders = [rng.permutation(size) for size in across.shape]
    found = []
    for k in range(min(across.shape) // BLOCK):
        rows, columns = (order[k * BLOCK : (k + 1) * BLOCK] for order in orders)
        ones = np.ones((1, BLOCK))
        means = [
            _mean(ones, kept[np.ix_(some, some)], apart[np.ix_(some, some)])[0]
            for (kept, apart), some in zip(within, (rows, columns), strict=True)
        ]
        found.append(float(sum(means) - 2 * across[np.ix_(rows, columns)].mean()))
    return found
