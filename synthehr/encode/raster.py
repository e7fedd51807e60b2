"""Images as one array of small whole numbers, and back to the units of their files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.planes import FITS, Fit, fitted, with_channels
from synthehr.encode.raster_config import LARGEST, SCALES, RasterConfig
from synthehr.encode.raster_scale import (
    mask_values,
    own_limits,
    shared_limits,
    used_bits,
    window_of,
)
from synthehr.errors import ArtifactError, ConfigError, InputError
from synthehr.io.images.source import DTYPES, HOUNSFIELD, ImageSource

_NATIVE, _DEFAULT = 64, 64
# Air to dense bone, the range of 12-bit CT.
_BODY = (-1024.0, 3071.0)


@final
@dataclass(frozen=True, kw_only=True)
class Raster:
    """A settled way from images to arrays and back.

    Attributes
    ----------
    size : int
        Height and width of an encoded image.
    channels : int
        Channels of an encoded image, without those of its mask.
    fit : {"crop", "pad", "stretch"}
        As in `RasterConfig`.
    windows : tuple of str
        Windows, one channel each; none where the whole range is kept.
    low, high : tuple of float
        In the units of the file, what 0 and `top` stand for: of each window, or of all
        channels.
    scale : {"shared", "patient"}
        Whether images are encoded by `low` and `high`, or by their patient's own limits.
    top : int
        Largest encoded value: 255 (uint8) or 32767 (int16). A range of 16 bits loses its last.
    dtype : {"uint8", "uint16", "int16", "float32"}
        Type of the pixels in the files.
    values : tuple of int
        What the masks of the files hold, one class each, ascending; empty without masks.
    """

    size: int
    channels: int
    fit: Fit
    windows: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    scale: Literal["shared", "patient"]
    top: int
    dtype: str
    values: tuple[int, ...] = ()

    @property
    def mask_classes(self) -> int:
        """Number of classes of the masks, with the background; 0 where there are none."""
        return len(self.values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an encoded image: its channels and those of its mask, height, width."""
        return self.channels + self.mask_classes, self.size, self.size

    @property
    def stored(self) -> np.dtype[Any]:
        """Type of an encoded image."""
        return np.dtype(np.uint8 if self.top == 255 else np.int16)

    @classmethod
    def settle(cls, source: ImageSource, config: RasterConfig | None = None) -> Self:
        """Settle size and scale. No value of a single patient is kept.

        Limits come from the type of the pixels, their bits, the range of CT or the windows;
        for pixels that have no range of their own they are the 0.5th and 99.5th percentile
        of images that enough patients reach, rounded outwards.

        Parameters
        ----------
        source : ImageSource
            The images to learn from.
        config : RasterConfig or None
            What the user chose.

        Raises
        ------
        ConfigError
            If windows are asked for, and the images are in colour or have 8 bits.
        InputError
            If an image or mask cannot be used.
        """
        config = config or RasterConfig()
        layout = source.layout
        square = layout.height == layout.width and 8 <= layout.height <= _NATIVE
        channels = config.channels or layout.channels
        if config.windows:
            _check_windows(source, config)
            limits = [window_of(window) for window in config.windows]
            channels = len(limits)
        elif config.limits:
            limits = [(float(config.limits[0]), float(config.limits[1]))]
        elif layout.dtype == "uint8":
            limits = [(0.0, 255.0)]
        elif layout.unit == HOUNSFIELD:
            limits = [_BODY]
        elif layout.dtype == "uint16":
            limits = [(0.0, 2.0 ** used_bits(source, config.rare_patients) - 1)]
        else:
            limits = [shared_limits(source, config.rare_patients)]
        declared = tuple(sorted(set(config.mask_values))) if source.load_masks else ()
        return cls(
            size=config.size or (layout.height if square else _DEFAULT),
            channels=channels,
            fit=config.fit,
            windows=config.windows,
            low=tuple(low for low, _ in limits),
            high=tuple(high for _, high in limits),
            scale=config.scale,
            top=255 if layout.dtype == "uint8" else 32767,
            dtype=layout.dtype,
            values=declared or mask_values(source, config.rare_patients),
        )

    def encode(self, source: ImageSource) -> NDArray[Any]:
        """Decode, scale and resize all images into one array.

        Returns
        -------
        ndarray of shape (N, C + K, size, size), uint8 or int16 in [0, top]
            Channels of the images, then one for each class of the masks: `top` where a pixel
            is of that class, 0 elsewhere.

        Raises
        ------
        InputError
            If the images are of another type than those settled on, or cannot be decoded.
        """
        if source.layout.dtype != self.dtype:
            raise InputError(
                f"the images are of type {source.layout.dtype}, and the model learned {self.dtype}",
                hint="Give images of the same kind as those it was fitted on.",
            )
        masks = source.masks()
        if self.values and masks is None:
            raise InputError(
                "the model learned images with masks, and these have none",
                hint="Give the masks too.",
            )
        cells = np.zeros((len(source), *self.shape), dtype=self.stored)
        n = (len(source), 1)
        if self.scale == "patient":
            low, high = (limit.reshape(n) for limit in own_limits(source))
        else:
            low = np.tile(np.array(self.low, dtype=np.float32), n)
            high = np.tile(np.array(self.high, dtype=np.float32), n)
        for row, image in enumerate(source.images()):
            cells[row, : self.channels] = self._encoded(image, low[row], high[row])
        if self.values and masks is not None:
            for row, mask in enumerate(masks):
                cells[row, self.channels :] = self._one_hot(mask)
        return cells

    def decode(self, pixels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Bring encoded images back to the units and the type of the files.

        Where windows overlap, the narrower one tells the value.

        Parameters
        ----------
        pixels : ndarray of shape (N, C + K, H, W)
            Encoded images, in [0, top].

        Returns
        -------
        images : ndarray of shape (N, C, H, W)
            One channel where there were windows.
        masks : ndarray of shape (N, H, W), uint8 or int32; or None
            In each pixel the value of the class that has the largest channel.
        """
        shares = pixels[:, : self.channels].astype(np.float32) / self.top
        np.clip(shares, 0.0, 1.0, out=shares)
        if self.windows:
            wide = self._joined(shares)
        else:
            wide = shares * np.float32(self.high[0] - self.low[0]) + np.float32(self.low[0])
        if self.dtype != "float32":
            limits = np.iinfo(self.dtype)
            wide = np.clip(np.rint(wide), limits.min, limits.max)
        if not self.values:
            return wide.astype(self.dtype), None
        classes = pixels[:, self.channels :].argmax(axis=1)
        kept = np.uint8 if max(self.values) < 256 and min(self.values) >= 0 else np.int32
        return wide.astype(self.dtype), np.array(self.values, dtype=kept)[classes]

    def to_json(self) -> dict[str, Any]:
        """Lay it out as JSON-ready values."""
        content = dataclasses.asdict(self)
        return {key: list(x) if isinstance(x, tuple) else x for key, x in content.items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild what `to_json` gave.

        Raises
        ------
        ArtifactError
            If something is missing, unknown or does not fit together.
        """
        try:
            fields: dict[str, Any] = {
                key: tuple(x) if isinstance(x, list) else x for key, x in content.items()
            }
            raster = cls(**fields)
            sound = raster._is_sound()
        except (TypeError, ValueError, KeyError, AttributeError):
            raster, sound = None, False
        if raster is None or not sound:
            raise ArtifactError(
                "the model file is damaged: what it says of its images does not fit together",
                hint="copy it again from where it came, or fit again",
            )
        return raster

    def _is_sound(self) -> bool:
        parts = max(1, len(self.windows))
        return (
            type(self.size) is int
            and 1 <= self.size <= LARGEST
            and type(self.channels) is int
            and 1 <= self.channels <= 64
            and self.fit in FITS
            and self.top in (255, 32767)
            and self.scale in SCALES
            and self.dtype in DTYPES
            and len(self.low) == len(self.high) == parts
            and (not self.windows or self.channels == parts)
            and all(isinstance(window, str) for window in self.windows)
            and all(
                math.isfinite(low) and math.isfinite(high) and low < high
                for low, high in zip(self.low, self.high, strict=True)
            )
            and all(type(value) is int for value in self.values)
            and list(self.values) == sorted(set(self.values))
        )

    def _encoded(
        self, image: NDArray[Any], low: NDArray[np.float32], high: NDArray[np.float32]
    ) -> NDArray[Any]:
        """Encode one image (C, H, W) between limits, one for each window or for all channels."""
        plain = self.top == 255 and (low.tolist(), high.tolist()) == ([0.0], [255.0])
        if plain and image.shape == (self.channels, self.size, self.size):
            return image
        wide = image.astype(np.float32)
        if self.dtype == "float32" and not np.isfinite(wide).all():
            raise InputError(
                "an image holds pixels that are not finite",
                hint="Replace NaN and infinite pixels before, for instance by the background.",
            )
        if not self.windows:
            wide = with_channels(wide, self.channels)
        low, high = low[:, None, None], high[:, None, None]
        shares = np.clip((wide - low) / (high - low), 0.0, 1.0)
        framed = np.stack([fitted(plane, self.size, self.fit, smooth=True) for plane in shares])
        return np.rint(np.clip(framed, 0.0, 1.0) * self.top).astype(self.stored)

    def _one_hot(self, mask: NDArray[Any]) -> NDArray[Any]:
        """Encode one mask (H, W)."""
        framed = fitted(mask.astype(np.int32), self.size, self.fit, smooth=False)
        values = np.array(self.values)
        # A value that too few patients have counts as the nearest one that enough have.
        nearest = np.abs(framed[None] - values[:, None, None]).argmin(axis=0)
        classes = np.arange(len(values))[:, None, None]
        return np.where(nearest[None] == classes, self.top, 0).astype(self.stored)

    def _joined(self, shares: NDArray[Any]) -> NDArray[np.float32]:
        """Read one value off the windows: the widest first, narrower ones where they tell."""
        limits = list(zip(self.low, self.high, strict=True))
        order = sorted(range(len(limits)), key=lambda i: limits[i][0] - limits[i][1])
        reach = limits[order[0]]
        wide = shares[:, order[0]] * (reach[1] - reach[0]) + reach[0]
        for i in order[1:]:
            low, high = limits[i]
            cells = shares[:, i] * (high - low) + low
            inside = (wide >= low) & (wide <= high)
            above = (wide >= reach[1]) & (cells > wide)
            below = (wide <= reach[0]) & (cells < wide)
            wide = np.where(inside | above | below, cells, wide)
            reach = (min(low, reach[0]), max(high, reach[1]))
        return wide[:, None].astype(np.float32)


def _check_windows(source: ImageSource, config: RasterConfig) -> None:
    layout = source.layout
    if layout.channels != 1 or config.channels not in (0, len(config.windows)):
        raise ConfigError(
            "windows are for images of one channel, and make one channel each",
            hint="Leave windows or channels out.",
        )
    if layout.dtype == "uint8":
        raise ConfigError(
            "windows are asked for, and the images have been cut to 8 bits already",
            hint="Give the original files (DICOM, NIfTI or 16 bits), or leave windows out.",
        )
