"""Repairing images: what is not known of them is filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr.encode.planes import fitted
from synthehr.encode.raster import Raster
from synthehr.errors import InputError
from synthehr.io.images import ImageSource, read_images
from synthehr.models.image_base import stored
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.reading import seen


def restored(
    artifact: ImageArtifact, source: ImageSource, masks: Path | str | None, seed: int
) -> NDArray[Any]:
    """Repair images.

    Parameters
    ----------
    artifact : ImageArtifact
        A model that compresses images.
    source : ImageSource
        The damaged images.
    masks : path, optional
        Images of the same names, or in the same order, that are 0 where nothing is missing. By
        default the whole image is cleaned: compressed and rebuilt.
    seed : int
        Of what is drawn, where the model draws.

    Returns
    -------
    ndarray of shape (N, C, H, W)
        In the units and the type of the fitted images; what is known is as it was given, at the
        size that the model works in.

    Raises
    ------
    InputError
        If there is not one mask for each image.
    """
    model, random = artifact.model, torch.Generator().manual_seed(seed)
    pixels, codes = seen(artifact, source)
    if masks is None:
        filled = model.rebuild(model.embed(pixels, codes), codes)
    else:
        missing = missing_places(artifact.encoder.raster, source, Path(masks))
        filled = model.restore(pixels, torch.from_numpy(~missing)[:, None], codes, random)
    return artifact.encoder.raster.decode(stored(filled, artifact.encoder.fields.top).numpy())[0]


def missing_places(raster: Raster, source: ImageSource, masks: Path) -> NDArray[np.bool_]:
    """Read which places of each image are missing, (N, H, W).

    Raises
    ------
    InputError
        If there is not one mask for each image.
    """
    given = read_images(masks)
    if len(given) != len(source):
        raise InputError(
            f"there are {len(source)} images and {len(given)} masks",
            hint="give one mask for each image, of the same name",
        )
    names, wanted = (_stems(each) for each in (given, source))
    if set(names) == set(wanted):
        places = {name: place for place, name in enumerate(names)}
        given = given.take(np.array([places[name] for name in wanted]))
    return np.stack([_missing(raster, mask) for mask in given.images()])


def _missing(raster: Raster, mask: NDArray[Any]) -> NDArray[np.bool_]:
    """Read the places (size, size) of a mask (C, H, W)."""
    places = (mask != 0).any(axis=0).astype(np.int32)
    return fitted(places, raster.size, raster.fit, smooth=False) > 0


def _stems(source: ImageSource) -> list[str]:
    column = source.records.column_names[0]
    return [Path(name).stem for name in source.records[column].to_pylist()]
