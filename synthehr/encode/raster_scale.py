"""Which values of pixels and masks an encoder may keep: those that enough patients reach."""

from __future__ import annotations

import math
import re
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import ConfigError, InputError
from synthehr.io.images.source import ImageSource
from synthehr.split import patients_of

# Width and level in Hounsfield units.
WINDOWS: dict[str, tuple[float, float]] = {
    "brain": (80, 40), "subdural": (200, 75), "stroke": (40, 40), "soft-tissue": (400, 50),
    "liver": (150, 30), "mediastinum": (350, 50), "lung": (1500, -600), "bone": (1800, 400),
}  # fmt: skip
_WINDOW = re.compile(r"(\d+(?:\.\d+)?)/(-?\d+(?:\.\d+)?)")
_PERCENTILES = (0.5, 99.5)
_TAIL = 0.005
_MOST_CLASSES = 32


def window_of(text: str) -> tuple[float, float]:
    """Give the ends of a window: its name, or "width/level".

    The linear window of DICOM PS3.3 C.11.2.1.2: level - 0.5 ∓ (width - 1) / 2.

    Raises
    ------
    ConfigError
        If there is no such window.
    """
    found = _WINDOW.fullmatch(text)
    width, level = WINDOWS.get(text) or (map(float, found.groups()) if found else (0.0, 0.0))
    if width < 2:
        raise ConfigError(
            "no such window is known",
            hint=f"Give one of {', '.join(WINDOWS)}, or width/level such as 400/50.",
        )
    middle, half = level - 0.5, (width - 1) / 2
    return middle - half, middle + half


def shared_limits(source: ImageSource, k: int) -> tuple[float, float]:
    """Find between which values enough patients lie, rounded outwards to two digits.

    Each patient has his 0.5th and 99.5th percentile. The limits are those that the k-th
    patient reaches (and at least every 200th); with fewer than k patients, the mean of all.
    """
    lows, highs, _ = _spans(source)
    rank = max(k, math.ceil(_TAIL * len(lows)))
    if len(lows) < rank:
        low, high = float(lows.mean()), float(highs.mean())
    else:
        low, high = float(np.sort(lows)[rank - 1]), float(np.sort(highs)[-rank])
    span = high - low
    if span <= 0:
        raise InputError(
            "the images have no contrast: their pixels are all alike", hint="Check the files."
        )
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    return math.floor(low / step) * step, math.ceil(high / step) * step


def used_bits(source: ImageSource, k: int) -> int:
    """Count the bits that the pixels of enough patients use: 12 of 16, for instance."""
    _, highs, _ = _spans(source)
    reached = float(np.sort(highs)[-k]) if len(highs) >= k else float(highs.mean())
    return max(8, min(source.layout.bits, math.floor(reached).bit_length()))


def mask_values(source: ImageSource, k: int) -> tuple[int, ...]:
    """List the values of masks that enough patients have, ascending.

    With fewer than 2k patients, those that half of them have.

    Raises
    ------
    InputError
        If masks hold too many values to be classes, or only one.
    """
    masks = source.masks()
    if masks is None:
        return ()
    holders: dict[int, set[int]] = defaultdict(set)
    owners = _owners(source)
    for row, mask in enumerate(masks):
        for value in np.unique(mask).tolist():
            holders[int(value)].add(int(owners[row]))
    least = min(k, -(-len(np.unique(owners)) // 2))
    kept = sorted(value for value, held in holders.items() if len(held) >= least)
    if len(kept) > _MOST_CLASSES:
        raise InputError(
            f"the masks hold {len(kept)} different values, too many to be classes",
            hint="Save one whole number a class, without smoothed edges.",
        )
    if len(kept) < 2:
        raise InputError(
            f"the masks hold {len(kept)} values that at least {least} patients have",
            hint="A mask needs a background and a class; leave the masks out otherwise.",
        )
    return tuple(kept)


def own_limits(source: ImageSource) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give for each image the 0.5th and 99.5th percentile of its patient; of shape (N,)."""
    lows, highs, owners = _spans(source)
    low, high = lows[owners].astype(np.float32), highs[owners].astype(np.float32)
    return low, np.where(high > low, high, low + 1)


def _spans(
    source: ImageSource,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Give the low and high percentile of P patients, and the patient of each image."""
    spans = np.array([np.percentile(image, _PERCENTILES) for image in source.images()])
    if not np.isfinite(spans).all():
        raise InputError(
            f"{(~np.isfinite(spans).all(axis=1)).sum()} images hold pixels that are not finite",
            hint="Replace NaN and infinite pixels before, for instance by the background.",
        )
    _, owners = np.unique(_owners(source), return_inverse=True)
    lows = np.full(owners.max() + 1, np.inf)
    highs = np.full(owners.max() + 1, -np.inf)
    np.minimum.at(lows, owners, spans[:, 0])
    np.maximum.at(highs, owners, spans[:, 1])
    return lows, highs, owners


def _owners(source: ImageSource) -> NDArray[np.int64]:
    found = patients_of(source.records, source.patient)
    return np.arange(len(source)) if found is None else found
