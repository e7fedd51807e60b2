"""What latents are good for: compression, and walks from one image to another."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.evaluation.images.ssim import ms_ssim
from synthehr.io.images import ImageSource
from synthehr.models.base import NOTHING_GIVEN
from synthehr.models.image_base import stored
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.reading import seen
from synthehr.seeds import SAMPLE, derived


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
    images = _decoded(artifact, _walked(artifact, latents[:-1], latents[1:], codes[:-1], steps))
    return images.reshape(len(latents) - 1, steps, *images.shape[1:])


def drawn_walks(artifact: ImageArtifact, n: int, steps: int, seed: int) -> NDArray[np.float32]:
    """Walk from one drawn image to another that has the same columns, n times.

    Returns
    -------
    ndarray of shape (n, steps, C, H, W), float32
        From 0 to 1, without masks.

    Raises
    ------
    ConfigError
        If the model draws no images.
    """
    model, fields = artifact.model.eval(), artifact.encoder.fields
    random = torch.Generator().manual_seed(derived(seed, SAMPLE))
    with torch.no_grad():
        codes = torch.zeros((n, 2, 0), dtype=torch.int64)
        if model.columns is not None:
            codes = model.columns.sample(n, NOTHING_GIVEN, random)
        first, last = model.latents(n, random), model.latents(n, random)
        images = _unit(_walked(artifact, first, last, codes, steps))
    return images[:, : fields.channels - fields.masks].reshape(n, steps, -1, *images.shape[2:])


def _walked(
    artifact: ImageArtifact, first: Tensor, last: Tensor, codes: Tensor, steps: int
) -> Tensor:
    """Make images of steps between latents (N, Z), (N * steps, C, H, W) in [-1, 1].

    The length of a latent changes evenly from one end to the other: what lies straight between
    two draws of many numbers is shorter than any draw (White 2016, arXiv:1609.04468).
    """
    share = torch.linspace(0.0, 1.0, steps)[None, :, None]
    straight = torch.lerp(first[:, None], last[:, None], share)
    ends = [each.norm(dim=1)[:, None, None] for each in (first, last)]
    length = torch.lerp(ends[0], ends[1], share)
    straight *= length / straight.norm(dim=2, keepdim=True).clamp(min=1e-6)
    told = codes.repeat_interleave(steps, dim=0)
    return artifact.model.rebuild(straight.flatten(0, 1), told)


class Compression(NamedTuple):
    """How much smaller latents are than images, and how much of the images they keep.

    Attributes
    ----------
    rate : float
        Numbers of an image for each number of its latent.
    psnr, psnr_mean : float
        Peak signal-to-noise ratio in decibels: of rebuilt images, and of the mean image in the
        place of each.
    ssim, ssim_mean : float
        Multi-scale structural similarity, likewise; 1 is best.
    """

    rate: float
    psnr: float
    psnr_mean: float
    ssim: float
    ssim_mean: float


def compression(artifact: ImageArtifact, source: ImageSource) -> Compression:
    """Measure on given images what is left of them after compression.

    Raises
    ------
    ConfigError
        If the model does not compress images.
    """
    pixels, codes = seen(artifact, source)
    rebuilt = artifact.model.rebuild(artifact.model.embed(pixels, codes), codes)
    mean = pixels.mean(0, keepdim=True).expand_as(pixels)
    fields, whole = artifact.encoder.fields, _unit(pixels)
    ways = [_unit(rebuilt), _unit(mean)]
    noise = [float(np.mean((way - whole) ** 2)) for way in ways]
    return Compression(
        fields.channels * fields.size**2 / artifact.config.latent,
        *(-10 * math.log10(max(each, 1e-12)) for each in noise),
        *(float(ms_ssim(way, whole).mean()) for way in ways),
    )


def _unit(pixels: Tensor) -> NDArray[np.float32]:
    return (0.5 * (pixels + 1)).clamp(0, 1).contiguous().numpy()


def _decoded(artifact: ImageArtifact, pixels: Tensor) -> NDArray[Any]:
    return artifact.encoder.raster.decode(stored(pixels, artifact.encoder.fields.top).numpy())[0]
