"""Settings of how images become one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from synthehr.encode.planes import FITS, Fit
from synthehr.encode.raster_scale import window_of
from synthehr.errors import ConfigError

LARGEST = 1024
SCALES = ("shared", "patient")


@dataclass(frozen=True, kw_only=True)
class RasterConfig:
    """How images become one array.

    Attributes
    ----------
    size : int
        Height and width in pixels; 0 keeps the native size where images are square and of at
        most 64 pixels, and takes 64 otherwise.
    fit : {"crop", "pad", "stretch"}
        How images that are not square become so: the middle is cut out, dark borders are
        added, or they are stretched.
    windows : tuple of str
        Windows of CT, one channel each: names such as "lung", or "width/level" in the unit
        of the file.
    channels : int
        Channels; 0 keeps them, 1 turns colour to grey, 3 repeats grey.
    rare_patients : int
        A limit of the scale, or a value of masks, is kept only where at least this many
        patients reach it.
    scale : {"shared", "patient"}
        Whether all images have one scale, or those of each patient his own (MR has no unit):
        then decoded images are in the shared one.
    limits : tuple of float
        What is dark and what is bright, in the unit of the file; none is found out. Limits
        and values that are declared touch no image, as differential privacy asks for.
    mask_values : tuple of int
        What the masks hold, one class each; none is found out.
    """

    size: int = 0
    fit: Fit = "crop"
    windows: tuple[str, ...] = ()
    channels: int = 0
    rare_patients: int = 10
    scale: Literal["shared", "patient"] = "shared"
    limits: tuple[float, ...] = ()
    mask_values: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.size and not 8 <= self.size <= LARGEST:
            raise ConfigError(
                f"the size of images must lie between 8 and {LARGEST}",
                hint="for example --set raster.size=64",
            )
        if self.fit not in FITS:
            raise ConfigError("fit must be crop, pad or stretch", hint="--set raster.fit=pad")
        if self.channels not in (0, 1, 2, 3, 4):
            raise ConfigError("channels must lie between 0 and 4", hint="leave it at 0")
        if self.rare_patients < 1:
            raise ConfigError("rare_patients must be 1 or more", hint="leave it at 10")
        if self.limits and (len(self.limits) != 2 or not self.limits[0] < self.limits[1]):
            raise ConfigError(
                "limits must be two numbers, the darker first", hint="such as (0, 4095)"
            )
        if self.scale not in SCALES:
            raise ConfigError("scale must be shared or patient", hint="leave it at shared")
        if bool(self.limits) + bool(self.windows) + (self.scale == "patient") > 1:
            raise ConfigError(
                "limits, windows and a scale for each patient exclude each other",
                hint="Give one of them.",
            )
        for window in self.windows:
            window_of(window)
