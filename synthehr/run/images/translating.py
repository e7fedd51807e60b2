"""Translating images from one domain to the other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr.errors import ConditionError
from synthehr.io.images import ImageSource
from synthehr.models.image_base import stored
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.preparation import columns_of
from synthehr.run.images.reading import known_columns, seen


class Translated(NamedTuple):
    """Translated images.

    Attributes
    ----------
    images : ndarray of shape (N, C, H, W)
        In the units of the fitted images.
    cycle_error : ndarray of shape (N,), float32
        How far an image is from itself after the way there and back: mean absolute difference
        in shares of the range of a pixel.
    domain : str
        What they are translated to.
    """

    images: NDArray[Any]
    cycle_error: NDArray[np.float32]
    domain: str


def translated(artifact: ImageArtifact, source: ImageSource, to: str | None) -> Translated:
    """Turn images of one domain into images of the other.

    Parameters
    ----------
    artifact : ImageArtifact
        A model that translates.
    source : ImageSource
        Images of one domain.
    to : str or None
        The domain to translate to; None: the other one than that of the images, as their column
        tells.

    Raises
    ------
    ConditionError
        If the domain is none of the two, or cannot be told.
    ConfigError
        If the model cannot translate.
    """
    names = domains(artifact)
    target = _target(artifact, source, names, to)
    pixels, _ = seen(artifact, source)
    there = artifact.model.translate(pixels, target)
    back = artifact.model.translate(there, 1 - target)
    images = artifact.encoder.raster.decode(stored(there, artifact.encoder.fields.top).numpy())[0]
    error = 0.5 * (back - pixels).abs().flatten(1).mean(1)
    return Translated(images, error.numpy(), names[target])


def domains(artifact: ImageArtifact) -> list[str]:
    """Name the two domains; empty where the model knows of none."""
    if len(artifact.encoder.columns) != 1:
        return []
    return [str(level) for level in artifact.encoder.columns[0].levels]


def _target(artifact: ImageArtifact, source: ImageSource, names: list[str], to: str | None) -> int:
    if len(names) != 2:
        # Every other model says so itself.
        return 0
    if to is not None:
        if to not in names:
            raise ConditionError(
                "the domain to translate to is none of the two that were fitted",
                hint=f"they are {' and '.join(names)}",
            )
        return names.index(to)
    told = known_columns(artifact, source)[:, 0, 0] if columns_of(source).num_columns else None
    if told is None or len(torch.unique(told)) != 1:
        raise ConditionError(
            "it is not told to which domain the images shall be translated",
            hint=f"say --to {names[0]} or --to {names[1]}",
        )
    return 1 - int(told[0])
