"""An autoencoder of images: it compresses, rebuilds, cleans and repairs them.

Latents are drawn from a mixture that is fitted to those of the images, so that it draws images
as well; they are blurred, and `image_cgan.py` draws better ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, apply
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
from synthehr.models.mixture import MOST_RECORDS, LatentMixture


@final
@dataclass(frozen=True, kw_only=True)
class ImageAutoencoderConfig(CompressionConfig):
    """Settings of the autoencoder of images."""


@final
class ImageAutoencoder(ImageModel):
    """Denoising autoencoder of images; see the module.

    Parameters
    ----------
    fields : ImageFields
        The images and their columns.
    config : ImageAutoencoderConfig
        The settings.
    """

    Config: ClassVar[type] = ImageAutoencoderConfig
    not_private: ClassVar[str] = "its latents are drawn from a mixture that is fitted to images"

    def __init__(self, fields: ImageFields, config: ImageAutoencoderConfig) -> None:
        super().__init__()
        self.fields, self.config = fields, config
        self.columns = column_model(fields.columns)
        self.network = Compressor(fields, config, config.latent)
        self.mixture = LatentMixture(config.components, config.latent)

    @classmethod
    def build(cls, fields: ImageFields, config: ImageAutoencoderConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> ImageAutoencoderConfig:
        """Choose the latents by the size of the images, with the user's settings on top."""
        chosen = ImageAutoencoderConfig(latent=64 if fields.size <= 40 else 128)
        return apply(chosen, settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: ImageAutoencoderConfig
    ) -> TrainConfig:
        """Choose the budget by the number of images."""
        return compression_training(n_images, fields.size)

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the columns, and the squared error of rebuilt images."""
        yield from column_losses(self.columns, batch, step)
        yield Loss("network", per_record=self._error(batch))

    def _error(self, batch: ImageBatch) -> Tensor:
        """Squared error of images that were damaged and rebuilt, (B,)."""
        noisy, known = damaged(batch.pixels, self.config, batch.generator)
        rebuilt = self.network.decode(self.network.encode(noisy, known), batch.codes)
        return squared_error(batch.pixels, rebuilt)

    @torch.no_grad()
    def held_out_loss(self, images: Images) -> float:
        """Mean squared error of rebuilt images, damaged by a fixed seed."""
        random = torch.Generator(images.pixels.device).manual_seed(0)
        indices = torch.arange(len(images), device=images.pixels.device)
        return (
            in_chunks(lambda index: self._error(images.take(index, random)), indices).mean().item()
        )

    @torch.no_grad()
    def finish(self, images: Images) -> None:
        """Fit the mixture of the latents, and settle the shares of the columns."""
        self.eval()
        settle_columns(self.columns, images)
        self.mixture.learn(in_chunks(self._latents, images.some(MOST_RECORDS).pixels))

    def _latents(self, pixels: Tensor) -> Tensor:
        """Compress images as they are stored, (N, C, H, W)."""
        whole = signed(pixels)
        return self.network.encode(whole, torch.ones_like(whole[:, :1]))

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw latents, (n, latent), from their mixture."""
        return self.mixture.draw(n, generator)

    @torch.no_grad()
    def embed(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Compress images (N, C, H, W) in [-1, 1] to latents, (N, latent)."""
        return in_chunks(self.network.encode, pixels, torch.ones_like(pixels[:, :1]))

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
        """Fill the pixels that are not known, (N, 1, H, W) bool; known ones are kept."""
        rebuilt = self.network.decode(self.network.encode(pixels, known.float()), codes)
        return mended(pixels, known, rebuilt)
