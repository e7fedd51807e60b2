"""One image as planes of equal size: squared, resized, with as many channels as wanted."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import ConfigError

Fit = Literal["crop", "pad", "stretch"]
FITS = ("crop", "pad", "stretch")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601


def fitted(plane: NDArray[Any], size: int, fit: Fit, *, smooth: bool) -> NDArray[Any]:
    """Make a plane (H, W) square and bring it to a size.

    Parameters
    ----------
    plane : ndarray of shape (H, W), float32 or int32
        One channel, or a mask.
    size : int
        Height and width wanted.
    fit : {"crop", "pad", "stretch"}
        How it becomes square.
    smooth : bool
        Whether values are averaged (bicubic, antialiased) or the nearest one is taken.

    Returns
    -------
    ndarray of shape (size, size)
        Of the same type; bicubic values can pass the limits slightly.
    """
    height, width = plane.shape
    if fit == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        plane = plane[top : top + side, left : left + side]
    elif fit == "pad":
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        plane = np.pad(plane, ((top, side - height - top), (left, side - width - left)))
    if plane.shape == (size, size):
        return plane
    from PIL import Image

    way = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((size, size), way))


def with_channels(cells: NDArray[np.float32], wanted: int) -> NDArray[np.float32]:
    """Bring (C, H, W) to another number of channels."""
    found = len(cells)
    if found == wanted:
        return cells
    if wanted == 1:
        return cells[:1] if found == 2 else np.einsum("c,chw->hw", _LUMA, cells[:3])[None]
    if found in (1, 2) and wanted == 3:
        return np.repeat(cells[:1], 3, axis=0)
    if found == 4 and wanted == 3:
        return cells[:3]
    raise ConfigError(
        f"images of {found} channels do not become ones of {wanted}",
        hint="Leave channels at 0, or choose 1 or 3.",
    )
