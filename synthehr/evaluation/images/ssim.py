"""How alike images of one class are: structural similarity of random pairs, at several scales.

A generator that has lost diversity draws pairs that are more alike than real ones.

References
----------
Wang et al., 2003, doi:10.1109/ACSSC.2003.1292216; Odena et al., 2017, arXiv:1610.09585
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.metric import Estimate, bootstrap

PAIRS = 600
WINDOW = 11
SIGMA = 1.5
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = 0.01**2, 0.03**2
CHUNK = 200


def scales_of(side: int) -> int:
    """Count the scales, each half of the one before, at which a window fits the shorter side."""
    return min(len(WEIGHTS), max(1, int(np.log2(max(side, 1) / WINDOW)) + 1))


def ms_ssim(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compare n pairs of images of shape (n, C, H, W), 0 to 1; shape (n,), 1 for equal ones.

    Images too small for five scales get fewer, whose weights then sum to 1.
    """
    found = []
    for start in range(0, len(x), CHUNK):
        pair = [torch.from_numpy(each[start : start + CHUNK]).double() for each in (x, y)]
        found.append(_compared(pair[0], pair[1]).numpy())
    return np.concatenate(found)


def _compared(x: Tensor, y: Tensor) -> Tensor:
    side = min(x.shape[2:])
    scales = scales_of(side)
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    window = _window(min(WINDOW, side))
    product = torch.ones(len(x), dtype=x.dtype)
    for scale, weight in enumerate(weights):
        means = [_blurred(each, window) for each in (x, y)]
        squares = [_blurred(each * each, window) for each in (x, y)]
        variances = [square - mean * mean for square, mean in zip(squares, means, strict=True)]
        shared = _blurred(x * y, window) - means[0] * means[1]
        part = (2 * shared + C2) / (variances[0] + variances[1] + C2)
        if scale == scales - 1:
            light = 2 * means[0] * means[1] + C1
            part = part * light / (means[0] ** 2 + means[1] ** 2 + C1)
        product *= part.mean(dim=(1, 2, 3)).clamp(min=0.0) ** float(weight)
        x, y = (functional.avg_pool2d(each, 2) for each in (x, y))
    return product


def _window(size: int) -> Tensor:
    places = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    weights = torch.exp(-(places**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _blurred(images: Tensor, window: Tensor) -> Tensor:
    """Average over a window, without what lies beyond the edges."""
    channels, size = images.shape[1], len(window)
    rows = window.view(1, 1, size, 1).expand(channels, 1, size, 1)
    columns = window.view(1, 1, 1, size).expand(channels, 1, 1, size)
    return functional.conv2d(
        functional.conv2d(images, rows, groups=channels), columns, groups=channels
    )


def diversity(images: ImageRecords, rng: np.random.Generator) -> Estimate | None:
    """Estimate the mean similarity of pairs within a class, as many pairs of each class.

    No image is in two pairs, and none is compared with one of its own patient.

    Parameters
    ----------
    images : ImageRecords
        Images, with labels or of one class.
    rng : Generator
        Draws the pairs and the resamples.

    Returns
    -------
    Estimate or None
        None where no class has two patients.
    """
    labels = np.zeros(len(images), np.int64) if images.labels is None else images.labels
    who, classes = images.who, np.unique(labels)
    firsts, seconds = [], []
    for label in classes:
        order = rng.permutation(np.flatnonzero(labels == label))
        half = len(order) // 2
        apart = who[order[:half]] != who[order[half : 2 * half]]
        most = -(-PAIRS // len(classes))
        firsts.append(order[:half][apart][:most])
        seconds.append(order[half : 2 * half][apart][:most])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    if not len(first):
        return None
    alike = ms_ssim(images.unit(first), images.unit(second))
    return bootstrap(lambda weights: float(np.average(alike, weights=weights)), who[first], rng)
