"""Encoder and decoder of images, and what autoencoders of images have in common.

They learn from images of which some are damaged: noise is laid over them and a block hidden. The
encoder is told which pixels are known, and so can repair what is missing later on (Vincent et al.
2010, jmlr.org/papers/v11/vincent10a; Pathak et al. 2016, arXiv:1604.07379).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.image import ImageFields
from synthehr.models.image_nets import ColumnReader, Downward, Upward

SMOOTHINGS = 300
"""Rounds in which a seam is spread into a hole; enough for holes of half of 128 pixels."""
LARGEST_HOLE = 0.6
"""Largest side of a hidden block, in sides of the image."""


@dataclass(frozen=True, kw_only=True)
class CompressionConfig:
    """Settings of every autoencoder of images, to be inherited from.

    Attributes
    ----------
    width : int
        Channels of the finest level of encoder and decoder.
    latent : int
        Numbers an image is compressed to.
    hidden_share : float
        Share of the images of which a block is hidden in training.
    noise : float
        Largest standard deviation of the noise laid over images in training, where black and
        white are 2 apart.
    components : int
        Gaussians of the mixture that latents are drawn from, at most.
    """

    width: int = 32
    latent: int = 64
    hidden_share: float = 0.5
    noise: float = 0.1
    components: int = 16

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("latent", "components"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        if self.width < 8 or self.width % 8:
            raise out_of_range("width", "a multiple of 8")
        if not 0 <= self.hidden_share <= 1:
            raise out_of_range("hidden_share", "from 0 to 1")
        if self.noise < 0:
            raise out_of_range("noise", "at least 0")


class Compressor(nn.Module):
    """Encoder and decoder of images.

    Parameters
    ----------
    fields : ImageFields
        The images and their columns, which the decoder is told.
    config : CompressionConfig
        The settings.
    outputs : int
        How many numbers the encoder gives for each image.
    """

    def __init__(self, fields: ImageFields, config: CompressionConfig, outputs: int) -> None:
        super().__init__()
        told = config.latent if fields.columns else 0
        self.encoder = Downward(fields.channels + 1, fields.size, config.width, outputs)
        self.columns = ColumnReader(fields.columns, told)
        self.decoder = Upward(config.latent + told, fields.channels, fields.size, config.width)

    def encode(self, pixels: Tensor, known: Tensor) -> Tensor:
        """Read images (B, C, H, W) of which pixels (B, 1, H, W) are known, as (B, outputs)."""
        return self.encoder(torch.cat([pixels * known, known], dim=1)).float()

    def decode(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Write latents (B, latent), beside what the columns say, as images in [-1, 1]."""
        return torch.tanh(self.decoder(torch.cat([latents, self.columns(codes)], dim=1)))


def damaged(
    pixels: Tensor, config: CompressionConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Lay noise over images and hide blocks of some: the images, and which pixels are known."""
    n, _, height, width = pixels.shape
    device = pixels.device
    chance = torch.rand(6, n, 1, 1, generator=generator, device=device)
    sides = 0.15 + (LARGEST_HOLE - 0.15) * chance[:2]
    corners = chance[2:4] * (1 - sides)
    rows = torch.arange(height, device=device)[:, None] / height
    columns = torch.arange(width, device=device) / width
    in_rows = (rows >= corners[0]) & (rows < corners[0] + sides[0])
    in_columns = (columns >= corners[1]) & (columns < corners[1] + sides[1])
    inside = in_rows & in_columns & (chance[4] < config.hidden_share)
    noise = torch.randn(pixels.shape, generator=generator, device=device)
    noisy = pixels + config.noise * chance[5][:, None] * noise
    return noisy, (~inside[:, None]).float()


def squared_error(pixels: Tensor, rebuilt: Tensor) -> Tensor:
    """Mean squared error of each image, (B,)."""
    return (pixels - rebuilt).square().flatten(1).mean(1)


def mended(pixels: Tensor, known: Tensor, rebuilt: Tensor) -> Tensor:
    """Put what was rebuilt into the holes of images, without a seam.

    What the rebuilt image is off by at the rim of a hole is spread into the hole as heat is
    (Perez, Gangnet and Blake 2003, doi:10.1145/882262.882269).
    """
    missing = ~known
    return pixels.where(known, rebuilt + spread_into((pixels - rebuilt) * known, missing))


def spread_into(values: Tensor, missing: Tensor) -> Tensor:
    """Fill what is missing, (N, 1, H, W) bool, of values (N, C, H, W) by their surroundings.

    Solves Laplace's equation by Jacobi's method, from coarse to fine.
    """
    values, there = values.float(), (~missing).float()
    if min(values.shape[2:]) > 2:
        weight = functional.avg_pool2d(there, 2, ceil_mode=True)
        coarse = functional.avg_pool2d(values * there, 2, ceil_mode=True)
        coarse = spread_into(coarse / weight.clamp(min=1e-6), weight == 0)
        finer = functional.interpolate(coarse, size=values.shape[2:], mode="nearest")
        values = torch.where(missing, finer, values)
    for _ in range(min(SMOOTHINGS, 4 * max(values.shape[2:]))):
        padded = functional.pad(values, (1, 1, 1, 1), mode="replicate")
        around = padded[:, :, 2:, 1:-1] + padded[:, :, :-2, 1:-1]
        around += padded[:, :, 1:-1, 2:] + padded[:, :, 1:-1, :-2]
        values = torch.where(missing, around / 4, values)
    return values


def compression_training(n_images: int, size: int) -> TrainConfig:
    """Choose the budget by the number of images, and their size."""
    steps = min(12_000, max(2_000, 60 * n_images // 64))
    return TrainConfig(
        steps=steps if size <= 40 else steps // 2,
        batch_size=64,
        learning_rate=2e-3,
        ema=0.995,
        clip=1.0,
        patience=6,
    )
