"""Images with what is known of each: label, patient, mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ImageRecords:
    """N images of equal size.

    Attributes
    ----------
    pixels : ndarray of shape (N, C, H, W)
        Whole numbers of which the type's largest is 1 (uint8 255, int16 32767), or floats in
        [0, 1].
    labels : ndarray of shape (N,), int64, or None
        The class of each image, an index of `class_names`.
    class_names : tuple of str
        Names of the classes; may be empty where there are no labels.
    patients : ndarray of shape (N,), or None
        Whose image it is, in any type that can be compared; None: each image is a patient's only
        one.
    masks : ndarray of shape (N, H, W), int64, or None
        The class of each pixel; 0 is background.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] = ()
    patients: NDArray[Any] | None = None
    masks: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        shape = self.pixels.shape
        if len(shape) != 4 or 0 in shape[1:]:
            raise InputError(
                f"images are an array of shape (N, C, H, W), and this one has {len(shape)} axes",
                hint="grey images of shape (N, H, W): give pixels[:, None]",
            )
        if self.pixels.dtype.kind not in "uif":
            raise InputError(
                f"pixels are of type {self.pixels.dtype}", hint="give uint8, int16 or float32"
            )
        parts = {"labels": self.labels, "patients": self.patients, "masks": self.masks}
        for name, part in parts.items():
            if part is not None and len(part) != shape[0]:
                raise InputError(
                    f"there are {len(part)} {name} for {shape[0]} images",
                    hint="give one an image, in the same order",
                )
        if self.masks is not None and self.masks.shape[1:] != shape[2:]:
            raise InputError(
                "masks and images have different sizes", hint="give masks of shape (N, H, W)"
            )
        if self.labels is not None and len(self.labels):
            classes = len(self.class_names) or int(self.labels.max()) + 1
            if self.labels.min() < 0 or self.labels.max() >= classes:
                raise InputError(
                    "a label is not the number of a class", hint="labels are 0 to classes - 1"
                )

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def side(self) -> int:
        """The longer side in pixels."""
        return max(self.pixels.shape[2:])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.pixels.shape[1]

    @property
    def who(self) -> NDArray[np.int64]:
        """The patient of each image, numbered from 0; shape (N,)."""
        if self.patients is None:
            return np.arange(len(self))
        return np.unique(self.patients, return_inverse=True)[1].astype(np.int64)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return len(self) if self.patients is None else len(np.unique(self.patients))

    def unit(self, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Give some images as numbers from 0 to 1; shape (n, C, H, W)."""
        pixels = self.pixels[rows]
        if pixels.dtype.kind == "f":
            return pixels.astype(np.float32)
        return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)

    def take(self, rows: NDArray[Any]) -> ImageRecords:
        """Give the images of these row numbers, or where a mask of shape (N,) is true."""
        parts = {"labels": self.labels, "patients": self.patients, "masks": self.masks}
        kept = {name: None if part is None else part[rows] for name, part in parts.items()}
        return replace(self, pixels=self.pixels[rows], **kept)

    def some(self, n: int, rng: np.random.Generator) -> ImageRecords:
        """Give n images drawn at random, in order, or all where there are no more."""
        if n >= len(self):
            return self
        return self.take(np.sort(rng.permutation(len(self))[:n]))

    def flipped(self, axes: tuple[int, ...]) -> ImageRecords:
        """Mirror the pixels along axes 2 (up and down) or 3 (left and right)."""
        return replace(self, pixels=np.flip(self.pixels, axes)) if axes else self
