"""What a private fit of images is told in public, and what it refuses to find among them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthehr.encode.raster import Raster
from synthehr.encode.raster_config import RasterConfig
from synthehr.errors import ConfigError
from synthehr.io.images import ImageSource
from synthehr.io.images.source import HOUNSFIELD
from synthehr.models.image_base import ImageModel
from synthehr.run.images.preparation import FITTED


def refuse_model(cls: type[ImageModel]) -> None:
    """Refuse a model that cannot be private, with the reason.

    Raises
    ------
    ConfigError
        If it is one.
    """
    if cls.not_private:
        raise ConfigError(
            f"this model does not go with --epsilon: {cls.not_private}",
            hint="use --model image-vae, image-cgan or image-merf",
        )


def public_raster(source: ImageSource, config: RasterConfig) -> Raster:
    """Settle how images are read from what was declared; no image is looked at.

    Raises
    ------
    ConfigError
        Naming what would have to be found among the images.
    """
    layout = source.layout
    if not config.size:
        raise ConfigError(
            "with --epsilon the size of images must be declared",
            hint="for example --set encode.size=64",
        )
    ranged = layout.dtype == "uint8" or layout.unit == HOUNSFIELD
    if not (ranged or config.limits or config.windows):
        raise ConfigError(
            f"with --epsilon the limits of {layout.dtype} pixels must be declared",
            hint="for example --set encode.limits=0,4095",
        )
    if source.load_masks is not None and not config.mask_values:
        raise ConfigError(
            "with --epsilon the values of masks must be declared",
            hint="for example --set encode.mask_values=0,1",
        )
    return Raster.settle(source, config)


def fitted_images(source: ImageSource) -> ImageSource:
    """Keep what is to be learned; each image tells by itself whether it is."""
    if "split" not in source.records.column_names:
        return source
    return source.take(np.array(source.records["split"].to_pylist(), dtype=object) == FITTED)


def said_of_images(raster: Raster) -> tuple[str, ...]:
    """Say what was declared of images."""
    return (f"type, channels, limits and size ({raster.size}) of the images",)


def without_marks(source: ImageSource, raster: Raster) -> ImageSource:
    """Leave out the images, and what files tell of some of them."""
    layout = replace(
        source.layout,
        height=raster.size,
        width=raster.size,
        bits=8 * np.dtype(raster.dtype).itemsize,
        details={},
    )
    return replace(source.take(np.zeros(0, dtype=np.int64)), layout=layout, warnings=())
