"""An adversarial network of images that looks at nothing but the images.

What is known of the images is not learned; `image_cgan.py` draws images by it.
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
from synthehr.models.image_adversarial import (
    PRIVATE_ONLY,
    PRIVATE_SETTINGS,
    ImageCritic,
    ImageGameConfig,
    ImageGenerator,
    critic_familiarity,
    drawn_likeness,
    game_training,
    game_width,
    image_game,
    images_of,
)
from synthehr.models.image_base import ImageBatch, ImageModel, Images


@final
@dataclass(frozen=True, kw_only=True)
class ImageGANConfig(ImageGameConfig):
    """Settings of the adversarial network of images."""


@final
class ImageGAN(ImageModel):
    """Generative adversarial network of images (Goodfellow et al. 2014, arXiv:1406.2661).

    Parameters
    ----------
    fields : ImageFields
        The images.
    config : ImageGANConfig
        The settings.
    """

    Config: ClassVar[type] = ImageGANConfig
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = PRIVATE_SETTINGS
    private_only: ClassVar[Mapping[str, Any]] = PRIVATE_ONLY
    uses_columns: ClassVar[bool] = False

    def __init__(self, fields: ImageFields, config: ImageGANConfig) -> None:
        super().__init__()
        self.fields, self.config, self.columns = fields, config, None
        self.generator = ImageGenerator(fields, (), config)
        self.critic = ImageCritic(fields, (), config)

    @classmethod
    def build(cls, fields: ImageFields, config: ImageGANConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> ImageGANConfig:
        """Choose the width by the size of the images, with the user's settings on top."""
        return apply(ImageGANConfig(width=game_width(fields.size)), settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: ImageGANConfig
    ) -> TrainConfig:
        """Choose the budget by the number of images."""
        return game_training(n_images, fields.size)

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the critic and of the generator."""
        return image_game(self.generator, self.critic, batch, self.config, step)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the noise that images are made of, (n, noise)."""
        return self.generator.draw_noise(n, generator)

    @torch.no_grad()
    def rebuild(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Turn noise, and what the columns say, into images (N, C, H, W) in [-1, 1]."""
        return images_of(self.generator, latents, codes)

    def familiarity(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Ask the critic how real images look, (N,)."""
        return critic_familiarity(self.generator, self.critic, pixels, codes)

    def held_out_loss(self, images: Images) -> float:
        """Compare drawn images with held-out ones."""
        return drawn_likeness(self.generator, images)
