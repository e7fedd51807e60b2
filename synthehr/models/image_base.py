"""The contract of a model of images: yield losses, draw images, say how good you are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, final

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.image import ImageFields
from synthehr.errors import ConfigError
from synthehr.models.base import NOTHING_GIVEN, Given, Loss, Model


class ImageBatch(NamedTuple):
    """Images with what is known of them, on the device.

    Attributes
    ----------
    pixels : Tensor of shape (B, C, H, W), float32
        In [-1, 1].
    codes : Tensor of shape (B, 2, D), int64
        Tokens and parts of the columns; D may be 0.
    generator : torch.Generator
        The source of all randomness of this step, seeded by the loop.
    filled : Tensor of shape (B,), bool, or None
        Under differential privacy: which images are there, as of `synthehr.models.base.Batch`.
    asked : Tensor of shape (M, 2, D), int64, or None
        Likewise columns that are nobody's, for images to be drawn.
    """

    pixels: Tensor
    codes: Tensor
    generator: torch.Generator
    filled: Tensor | None = None
    asked: Tensor | None = None

    def present(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Leave the blanks out of tensors (B, …); when that is lawful says `Batch.present`."""
        return rows if self.filled is None else tuple(row[self.filled] for row in rows)


@final
@dataclass(frozen=True)
class Images:
    """Images and their columns as tensors, see `synthehr.encode.image.ImageEncoder`.

    Attributes
    ----------
    pixels : Tensor of shape (N, C, H, W), uint8 or int16
        From 0 to the largest number of the type.
    codes : Tensor of shape (N, 2, D), int16
        Tokens and parts of the columns.
    """

    pixels: Tensor
    codes: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Both tensors."""
        return self.pixels, self.codes

    def __len__(self) -> int:
        """Count the images."""
        return len(self.pixels)

    def some(self, n: int) -> Images:
        """Take n images at random, always the same ones; all where there are no more.

        The first ones would not do: folders come class by class.
        """
        if n >= len(self):
            return self
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:n]
        index = chosen.to(self.pixels.device)
        return Images(self.pixels[index], self.codes[index])

    def nobody(self) -> Images:
        """Keep no image."""
        return Images(self.pixels[:0], self.codes[:0])

    def to(self, device: torch.device) -> Images:
        """Move the tensors to a device."""
        return Images(self.pixels.to(device), self.codes.to(device))

    def take(self, index: Tensor, generator: torch.Generator) -> ImageBatch:
        """Take images at an index, (B,)."""
        pixels = signed(self.pixels.index_select(0, index))
        return ImageBatch(pixels, self.codes.index_select(0, index).long(), generator)


CHUNK = 512
"""Images that go through a net at a time, where nothing is learned."""


def in_chunks(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """Apply a function to some rows of all tensors (N, …) at a time."""
    parts = zip(*(each.split(CHUNK) for each in rows), strict=True)
    return torch.cat([function(*part) for part in parts])


def signed(stored: Tensor) -> Tensor:
    """Turn stored integers (N, C, H, W) into numbers in [-1, 1]."""
    return stored.to(torch.float32).mul_(2.0 / torch.iinfo(stored.dtype).max).sub_(1.0)


def stored(pixels: Tensor, top: int) -> Tensor:
    """Turn numbers in [-1, 1] into integers from 0 to `top`, (N, C, H, W)."""
    dtype = torch.uint8 if top == 255 else torch.int16
    whole = pixels.float().add(1.0).mul_(top / 2).round_().clamp_(0, top)
    return whole.to(dtype, memory_format=torch.contiguous_format)


class ImageModel(nn.Module, ABC):
    """Abstract base of every model of images.

    Class attributes
    ----------------
    Config : type
        The model's frozen dataclass of settings, at most 12 fields.
    uses_columns : bool
        Whether images are drawn by what their columns say. If not, columns are left out.
    draws : bool
        Whether it draws images at all.
    not_private : str
        Why differential privacy is out of the question; empty where it is not.
    looks_once : bool
        Whether all that images say to it is a mean of `contributions`, which `settle` takes.
    private_settings, private_only : mapping
        As of `synthehr.models.base.Model`.

    Attributes
    ----------
    fields : ImageFields
        The images and their columns.
    columns : Model or None
        The model of the columns; None where there are none.
    """

    Config: ClassVar[type]
    fields: ImageFields
    columns: Model | None
    uses_columns: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    not_private: ClassVar[str] = ""
    looks_once: ClassVar[bool] = False
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    private_only: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    @abstractmethod
    def build(cls, fields: ImageFields, config: Any) -> Self:
        """Make a freshly initialised model for these images."""

    @classmethod
    @abstractmethod
    def sized(cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]) -> Any:
        """Choose a `Config` for so many images, with the user's settings on top."""

    @classmethod
    @abstractmethod
    def train_config(cls, fields: ImageFields, n_images: int, config: Any) -> TrainConfig:
        """Choose how to train a model of this config on so many images."""

    @abstractmethod
    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of one step, per image, in the order in which they are stepped."""

    @abstractmethod
    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw the random numbers that `rebuild` makes images of, (n, Z)."""

    @abstractmethod
    def held_out_loss(self, images: Images) -> float:
        """Score held-out images; lower is better, equal input gives equal output."""

    def sample(self, n: int, generator: torch.Generator, given: Given = NOTHING_GIVEN) -> Images:
        """Draw columns, and an image for each, without gradients, in evaluation mode."""
        self.eval()
        with torch.no_grad():
            codes = torch.zeros((n, 2, 0), dtype=torch.int64)
            if self.columns is not None:
                codes = self.columns.sample(n, given, generator)
            images = self.rebuild(self.latents(len(codes), generator), codes)
            return Images(stored(images, self.fields.top), codes.short())

    def begin(self, images: Images, generator: torch.Generator) -> None:
        """Learn what is learned before training, from the images trained on."""

    @property
    def width_of_mean(self) -> int:
        """How many numbers a contribution has."""
        raise _not_once()

    def contributions(self, images: Images, index: Tensor) -> Tensor:
        """Give what each image at an index adds to a sum, (k, E); none is longer than 1."""
        raise _not_once()

    def settle(self, mean: Tensor) -> None:
        """Take the mean of all contributions, (E,), before training."""
        raise _not_once()

    def finish(self, images: Images) -> None:
        """Do what is left to do after training, with the images trained on."""

    def embed(self, pixels: Tensor, codes: Tensor) -> Tensor:
        """Compress images (N, C, H, W) in [-1, 1] to latents, (N, Z)."""
        raise _cannot("compress images")

    @abstractmethod
    def rebuild(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Turn latents (N, Z), and what the columns say, into images (N, C, H, W) in [-1, 1]."""

    def restore(
        self, pixels: Tensor, known: Tensor, codes: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Fill the pixels that are not known, (N, 1, H, W) bool; known ones are kept."""
        raise _cannot("repair images")

    def familiarity(self, pixels: Tensor, codes: Tensor) -> Tensor | None:
        """Say how familiar images look, (N,): higher for those that may have been learned.

        What an attacker with the model file would ask. None, where the model cannot tell.
        """
        return None

    def translate(self, pixels: Tensor, domain: int) -> Tensor:
        """Turn images of the other domain into images of this one, 0 or 1."""
        raise ConfigError(
            "this model cannot translate images", hint="fit two domains with --model cyclegan"
        )


def _not_once() -> ConfigError:
    return ConfigError(
        "this model looks at images in every step", hint="fit with --model image-merf"
    )


def _cannot(what: str) -> ConfigError:
    return ConfigError(
        f"this model cannot {what}", hint="fit with --model image-ae or --model image-vae"
    )
