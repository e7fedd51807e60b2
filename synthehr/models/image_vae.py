"""A variational autoencoder of images (Kingma and Welling 2014, arXiv:1312.6114), with β.

The encoder is told which pixels are known, so that it gives a distribution of what the rest may
be: several draws of a repaired image differ where nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, apply, out_of_range
from synthehr.encode.image import ImageFields
from synthehr.models.base import Loss
from synthehr.models.image_base import ImageBatch, ImageModel, Images, in_chunks, signed
from synthehr.models.image_columns import column_losses, column_model, settle_columns
from synthehr.models.image_compression import (
    CompressionConfig,
    Compressor,
    compression_training,
    damaged,
    mended,
    squared_error,
)
from synthehr.models.layers import around, divergence
from synthehr.models.mixture import MOST_RECORDS, LatentMixture


@final
@dataclass(frozen=True, kw_only=True)
class ImageVAEConfig(CompressionConfig):
    """Settings of the variational autoencoder of images.

    Attributes
    ----------
    beta : float
        Weight of the divergence from the standard normal.
    spread : float
        Standard deviation of a pixel around what is rebuilt, where black and white are 2 apart.
    warmup : int
        Steps over which the divergence's weight rises.
    """

    beta: float = 1.0
    spread: float = 0.15
    warmup: int = 500

    def __post_init__(self) -> None:
        """Check the ranges."""
        CompressionConfig.__post_init__(self)
        for name in ("beta", "warmup"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        if self.spread <= 0:
            raise out_of_range("spread", "above 0")


@final
class ImageVAE(ImageModel):
    """Variational autoencoder of images; see the module.

    Parameters
    ----------
    fields : ImageFields
        The images and their columns.
    config : ImageVAEConfig
        The settings.
    """

    Config: ClassVar[type] = ImageVAEConfig
    # Latents are drawn from the standard normal then, which they have to be near to.
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {
            "width": 8,
            "latent": 8,
            "hidden_share": 0.0,
            "noise": 0.0,
            "beta": 4.0,
            "spread": 0.2,
            "warmup": 0,
        },
        "train": {"steps": 300, "batch_size": 1024, "learning_rate": 3e-3},
        "privacy": {"marginals": 0.1, "clip": 0.1, "rounds": 1},
    }

    def __init__(self, fields: ImageFields, config: ImageVAEConfig) -> None:
        super().__init__()
        self.fields, self.config = fields, config
        self.columns = column_model(fields.columns)
        self.network = Compressor(fields, config, 2 * config.latent)
        self.mixture = LatentMixture(config.components, config.latent)

    @classmethod
    def build(cls, fields: ImageFields, config: ImageVAEConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> ImageVAEConfig:
        """Choose the latents by the size of the images, with the user's settings on top."""
        return apply(ImageVAEConfig(latent=48 if fields.size <= 40 else 96), settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: ImageVAEConfig
    ) -> TrainConfig:
        """Choose the budget by the number of images."""
        return compression_training(n_images, fields.size)

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the columns, and the negative evidence lower bound a pixel."""
        yield from column_losses(self.columns, batch, step)
        rise = min(1.0, (step + 1) / max(self.config.warmup, 1))
        yield Loss("network", per_record=self._bound(batch, rise))

    def _bound(self, batch: ImageBatch, rise: float) -> Tensor:
        """Surprise plus weighted divergence of each image, over its number of values, (B,)."""
        random = batch.generator
        noisy, known = damaged(batch.pixels, self.config, random)
        shape = len(noisy), self.config.latent
        chance = torch.randn(shape, generator=random, device=noisy.device)
        noisy, known, chance, pixels, codes = batch.present(
            noisy, known, chance, batch.pixels, batch.codes
        )
        mean, log_variance = self._posterior(noisy, known)
        latents = mean + (0.5 * log_variance).exp() * chance
        error = squared_error(pixels, self.network.decode(latents, codes))
        apart = divergence(mean, log_variance) / math.prod(pixels.shape[1:])
        return error / (2 * self.config.spread**2) + rise * self.config.beta * apart

    def _posterior(self, pixels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.network.encode(pixels, known).chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)

    @torch.no_grad()
    def held_out_loss(self, images: Images) -> float:
        """Mean negative bound of the images, with damage and noise from a fixed seed."""
        random = torch.Generator(images.pixels.device).manual_seed(0)
        indices = torch.arange(len(images), device=images.pixels.device)
        bounds = in_chunks(lambda index: self._bound(images.take(index, random), 1.0), indices)
        return bounds.mean().item()

    @torch.no_grad()
    def finish(self, images: Images) -> None:
        """Fit the mixture of the latents, and settle the shares of the columns."""
        self.eval()
        settle_columns(self.columns, images)
        random = torch.Generator().manual_seed(0)
        shown = images.some(MOST_RECORDS).pixels
        self.mixture.learn(in_chunks(lambda part: around(*self._read(signed(part)), random), shown))

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw latents, (n, latent), from their mixture."""
        return self.mixture.draw(n, generator)

    @torch.no_grad()
    def embed(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Compress images (N, C, H, W) in [-1, 1] to latent means, (N, latent)."""
        return in_chunks(lambda part: self._read(part)[0], pixels)

    def _read(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents of whole images."""
        return self._posterior(pixels, torch.ones_like(pixels[:, :1]))

    @torch.no_grad()
    def rebuild(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Turn latents (N, latent) into images in [-1, 1]."""
        return in_chunks(self.network.decode, latents, codes)

    @torch.no_grad()
    def familiarity(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Say how well images are rebuilt, (N,)."""
        return -squared_error(pixels, self.rebuild(self.embed(pixels, codes), codes))

    @torch.no_grad()
    def restore(
        self, pixels: Tensor, known: Tensor, codes: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Fill the pixels that are not known, (N, 1, H, W) bool, by a draw; known ones are kept."""
        mean, log_variance = self._posterior(pixels, known.float())
        rebuilt = self.network.decode(around(mean, log_variance, generator), codes)
        return mended(pixels, known, rebuilt)
