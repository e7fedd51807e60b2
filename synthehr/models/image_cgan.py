"""A conditional adversarial network of images: the columns of an image are given to both sides.

Generator and critic are convolutional nets (Radford, Metz and Chintala 2016, arXiv:1511.06434);
the columns scale and shift each level of the generator, and enter the critic by projection.
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
from synthehr.models.image_columns import column_losses, column_model, settle_columns


@final
@dataclass(frozen=True, kw_only=True)
class ConditionalImageGANConfig(ImageGameConfig):
    """Settings of the conditional adversarial network of images."""


@final
class ConditionalImageGAN(ImageModel):
    """Conditional generative adversarial network of images; see the module.

    Parameters
    ----------
    fields : ImageFields
        The images and their columns.
    config : ConditionalImageGANConfig
        The settings.
    """

    Config: ClassVar[type] = ConditionalImageGANConfig
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = PRIVATE_SETTINGS
    private_only: ClassVar[Mapping[str, Any]] = PRIVATE_ONLY

    def __init__(self, fields: ImageFields, config: ConditionalImageGANConfig) -> None:
        super().__init__()
        self.fields, self.config = fields, config
        self.columns = column_model(fields.columns)
        self.generator = ImageGenerator(fields, fields.columns, config)
        self.critic = ImageCritic(fields, fields.columns, config)

    @classmethod
    def build(cls, fields: ImageFields, config: ConditionalImageGANConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> ConditionalImageGANConfig:
        """Choose the width by the size of the images, with the user's settings on top."""
        return apply(ConditionalImageGANConfig(width=game_width(fields.size)), settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: ConditionalImageGANConfig
    ) -> TrainConfig:
        """Choose the budget by the number of images."""
        return game_training(n_images, fields.size)

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the columns, of the critic, and of the generator."""
        yield from column_losses(self.columns, batch, step)
        yield from image_game(self.generator, self.critic, batch, self.config, step)

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
        """Compare images drawn for the columns of held-out ones with these."""
        return drawn_likeness(self.generator, images)

    def finish(self, images: Images) -> None:
        """Settle the shares of the columns; no image is looked at."""
        self.eval()
        settle_columns(self.columns, images)
