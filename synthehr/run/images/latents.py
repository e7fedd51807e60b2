"""What latents are good for: compression, and walks from one image to another."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.io.images import ImageSource
from synthehr.models.image_base import stored
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.reading import seen


def embedded(artifact: ImageArtifact, source: ImageSource) -> NDArray[np.float32]:
    """Compress images to latents.

    Returns
    -------
    ndarray of shape (N, Z), float32

    Raises
    ------
    ConfigError
        If the model cannot.
    """
    return artifact.model.embed(*seen(artifact, source)).numpy()


def reconstructed(artifact: ImageArtifact, source: ImageSource) -> NDArray[Any]:
    """Compress images and rebuild them, (N, C, H, W), in the units of the fitted ones."""
    pixels, codes = seen(artifact, source)
    return _decoded(artifact, artifact.model.rebuild(artifact.model.embed(pixels, codes), codes))


def interpolated(artifact: ImageArtifact, source: ImageSource, steps: int) -> NDArray[Any]:
    """Walk from each image to the next through their latents.

    Returns
    -------
    ndarray of shape (N - 1, steps, C, H, W)
        The first of the steps is an image as it is rebuilt, the last the one after it, told the
        columns of the first.
    """
    pixels, codes = seen(artifact, source)
    latents = artifact.model.embed(pixels, codes)
    share = torch.linspace(0.0, 1.0, steps)[None, :, None]
    walk = torch.lerp(latents[:-1, None], latents[1:, None], share).flatten(0, 1)
    told = codes[:-1].repeat_interleave(steps, dim=0)
    images = _decoded(artifact, artifact.model.rebuild(walk, told))
    return images.reshape(len(latents) - 1, steps, *images.shape[1:])


def compression_rate(artifact: ImageArtifact) -> float:
    """Numbers of an image for each number of its latent."""
    fields, config = artifact.encoder.fields, artifact.config
    return fields.channels * fields.size**2 / config.latent


def _decoded(artifact: ImageArtifact, pixels: Tensor) -> NDArray[Any]:
    return artifact.encoder.raster.decode(stored(pixels, artifact.model.top).numpy())[0]
