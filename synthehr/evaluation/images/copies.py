"""Images that are equal pixel by pixel."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.metric import Estimate, wilson

MIRRORS = ((3,), (2,), (2, 3))


def prints(images: ImageRecords) -> NDArray[np.bytes_]:
    """Hash each image at 8 bits a number; shape (N,)."""
    levels = np.round(images.unit() * 255).astype(np.uint8).reshape(len(images), -1)
    digests = [hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in levels]
    return np.array(digests, dtype="S12")


def exact_copies(images: ImageRecords, training: ImageRecords) -> Estimate:
    """Estimate the share of images that are training images, mirrored or not."""
    known = np.unique(prints(training))
    hit = np.isin(prints(images), known)
    for axes in MIRRORS:
        hit |= np.isin(prints(images.flipped(axes)), known)
    return wilson(float(hit.sum()), len(hit))


def exact_repeats(images: ImageRecords) -> Estimate:
    """Estimate the share of images that another one equals."""
    _, index, counts = np.unique(prints(images), return_inverse=True, return_counts=True)
    return wilson(float((counts[index] > 1).sum()), len(images))
