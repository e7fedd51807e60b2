"""A generator that is matched to mean embeddings of images (Harder et al. 2021, arXiv:2002.11603).

Images are looked at once: for each class their random features are averaged. Then the generator
is trained until the images that it draws have the same averages, which takes no further look. So
under differential privacy one noisy release is all there is to pay for, and the steps are free.

A class is a token of a column of few tokens; columns of more are drawn, but do not say what an
image looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor
from torch.nn import functional

from synthehr.config import TrainConfig, apply, out_of_range
from synthehr.encode.image import ImageFields
from synthehr.models.base import Loss
from synthehr.models.image_adversarial import ImageGameConfig, ImageGenerator, images_of
from synthehr.models.image_base import CHUNK, ImageBatch, ImageModel, Images, signed
from synthehr.models.image_columns import column_losses, column_model, settle_columns
from synthehr.models.image_embedding import ImageEmbedding

MOST_TOKENS = 16
"""Tokens of a column that tells classes, at most."""


@final
@dataclass(frozen=True, kw_only=True)
class ImageMERFConfig:
    """Settings of the generator that is matched to mean embeddings.

    Attributes
    ----------
    width : int
        Channels of the finest level of the generator.
    noise : int
        Random numbers that an image starts from.
    frequencies : int
        Random frequencies of each kernel of the embedding.
    drawn : int
        Images that are drawn in a step.
    """

    width: int = 16
    noise: int = 32
    frequencies: int = 256
    drawn: int = 128

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.width < 8 or self.width % 8:
            raise out_of_range("width", "a multiple of 8")
        for name in ("noise", "frequencies"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        if self.drawn < 4:
            raise out_of_range("drawn", "at least 4")


@final
class ImageMERF(ImageModel):
    """Generator of images matched to mean embeddings; see the module.

    Parameters
    ----------
    fields : ImageFields
        The images and their columns.
    config : ImageMERFConfig
        The settings.
    """

    Config: ClassVar[type] = ImageMERFConfig
    looks_once: ClassVar[bool] = True
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "privacy": {"marginals": 0.2, "rounds": 1}
    }

    mean: Tensor
    classes: Tensor

    def __init__(self, fields: ImageFields, config: ImageMERFConfig) -> None:
        super().__init__()
        self.fields, self.config = fields, config
        self.columns = column_model(fields.columns)
        game = ImageGameConfig(width=config.width, noise=config.noise)
        self.generator = ImageGenerator(fields, fields.columns, game)
        self.embedding = ImageEmbedding(fields, config.frequencies)
        telling = [place for place, each in enumerate(fields.columns) if each.size <= MOST_TOKENS]
        sizes = [fields.columns[place].size for place in telling] or [1]
        self.telling, self.sizes = telling, sizes
        shares = [torch.from_numpy(fields.columns[place].shares).float() for place in telling]
        self.register_buffer("classes", torch.cat(shares or [torch.ones(1)]), persistent=False)
        shape = (sum(sizes), self.embedding.width)
        self.register_buffer("mean", torch.zeros(shape), persistent=False)

    @classmethod
    def build(cls, fields: ImageFields, config: ImageMERFConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> ImageMERFConfig:
        """Take the defaults, with the user's settings on top."""
        return apply(ImageMERFConfig(), settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: ImageMERFConfig
    ) -> TrainConfig:
        """Choose the budget; it does not hang on the number of images."""
        return TrainConfig(
            steps=1_500, batch_size=64, learning_rate=2e-3, ema=0.99, clip=1.0, evaluations=10
        )

    def begin(self, images: Images, generator: torch.Generator) -> None:
        """Average the embeddings of all images, class by class."""
        parts = torch.arange(len(images)).split(CHUNK)
        total = sum(self.contributions(images, part).sum(0) for part in parts)
        self.settle(torch.as_tensor(total) / max(len(images), 1))

    @property
    def width_of_mean(self) -> int:
        """How many numbers a contribution has."""
        return self.mean.numel()

    @torch.no_grad()
    def contributions(self, images: Images, index: Tensor) -> Tensor:
        """Give what each image at an index adds to the sum, (k, E); none is longer than 1."""
        batch = images.take(index, torch.default_generator)
        of_class = self._classes(batch.codes) / len(self.sizes) ** 0.5
        return (of_class[:, :, None] * self.embedding(batch.pixels)[:, None]).flatten(1)

    def settle(self, mean: Tensor) -> None:
        """Take the mean of all contributions, (E,), as what is to be matched."""
        scaled = mean.float() * len(self.sizes) ** 0.5
        self.mean.copy_(scaled.view_as(self.mean))

    def _classes(self, codes: Tensor) -> Tensor:
        """Say of which classes images with columns (B, 2, D) are, (B, classes)."""
        if not self.telling:
            return torch.ones(len(codes), 1, device=codes.device)
        tokens = [codes[:, 0, place] for place in self.telling]
        hot = [functional.one_hot(*each) for each in zip(tokens, self.sizes, strict=True)]
        return torch.cat(hot, dim=1).float()

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the columns, and how far drawn images' means are off."""
        yield from column_losses(self.columns, batch, step)
        asked = batch.codes if batch.asked is None else batch.asked
        device = batch.generator.device
        shape = (self.config.drawn,)
        chosen = torch.randint(len(asked), shape, generator=batch.generator, device=device)
        codes = asked[chosen]
        noise = self.generator.draw_noise(len(codes), batch.generator)
        drawn = self.embedding(self.generator(noise, codes))
        yield Loss("generator", public=self._distance(drawn, self._classes(codes)))

    def _distance(self, drawn: Tensor, classes: Tensor) -> Tensor:
        """Squared distance of class means, without the part that comes of drawing few.

        Each half of the drawn images has an error of its own, and the product of both is 0 on
        average.
        """
        halves = []
        for part, of in zip(drawn.chunk(2), classes.chunk(2), strict=True):
            found = (of.T @ part) / of.sum(0).clamp(min=1.0)[:, None] * self.classes[:, None]
            # A class that was not drawn says nothing.
            halves.append(torch.where(of.sum(0)[:, None] > 0, found - self.mean, 0.0))
        return (halves[0] * halves[1]).sum()

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the noise that images are made of, (n, noise)."""
        return self.generator.draw_noise(n, generator)

    @torch.no_grad()
    def rebuild(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Turn noise, and what the columns say, into images (N, C, H, W) in [-1, 1]."""
        return images_of(self.generator, latents, codes)

    @torch.no_grad()
    def held_out_loss(self, images: Images) -> float:
        """Squared distance of the mean embeddings of held-out images and of drawn ones."""
        held = images.some(CHUNK)
        random = torch.Generator(images.pixels.device).manual_seed(0)
        drawn = self.generator(self.generator.draw_noise(len(held), random), held.codes.long())
        real = self.embedding(signed(held.pixels))
        return (self.embedding(drawn).mean(0) - real.mean(0)).square().sum().item()

    def finish(self, images: Images) -> None:
        """Settle the shares of the columns; no image is looked at."""
        self.eval()
        settle_columns(self.columns, images)
