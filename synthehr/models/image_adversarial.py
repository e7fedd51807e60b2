"""Generator and critic of images, and their game: what `image-gan` and `image-cgan` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.fields import Fields
from synthehr.encode.image import ImageFields
from synthehr.models.base import Loss
from synthehr.models.image_base import ImageBatch, Images, in_chunks, signed
from synthehr.models.image_growth import coarseness, enlarged, shrunk
from synthehr.models.image_likeness import DRAWN, likeness
from synthehr.models.image_losses import (
    LARGEST_WEIGHT,
    Game,
    between,
    critic_losses,
    generator_losses,
    steepness,
    varied,
)
from synthehr.models.image_nets import ColumnReader, Downward, Upward

PRIVATE_ONLY: Mapping[str, Any] = {"penalty": 0.0, "spectral": False, "growing": 0}
"""Under differential privacy: the penalty is a second gradient, and norms see whole batches."""
PRIVATE_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "model": {"width": 16, "critic_steps": 3},
    "train": {"steps": 1_200, "batch_size": 512, "learning_rate": 1e-3, "betas": (0.0, 0.99)},
    "privacy": {"marginals": 0.1, "clip": 0.1, "rounds": 1},
}
FEATURES = 128
"""Length of the vector by which the critic judges."""
LARGEST_WIDE = 40
"""Side of images up to which the nets are wide."""


@dataclass(frozen=True, kw_only=True)
class ImageGameConfig:
    """Settings of every adversarial model of images, to be inherited from.

    Attributes
    ----------
    width : int
        Channels of the finest level of generator and critic.
    noise : int
        Random numbers that an image starts from.
    game : {"hinge", "non-saturating", "wgan", "wgan-gp", "lsgan"}
        Which losses they play for.
    spectral : bool
        Whether each layer of the critic is divided by its norm.
    penalty : float
        Weight of the penalty on the critic's slope: at real images, or between real and drawn
        ones in the game "wgan-gp"; 0 leaves it out.
    penalty_every : int
        Steps from one penalty to the next, which then counts for all of them.
    critic_steps : int
        Steps of the critic for each of the generator.
    variations : tuple of {"translation", "cutout", "brightness", "flip"}
        How images are varied before the critic sees them, real and drawn alike. A mirrored
        image may show what no body has: choose by modality.
    growing : int
        Steps at each of the coarser sizes, from 16 pixels a side, that the nets begin with
        before they see whole images; 0 begins with whole ones.
    """

    width: int = 32
    noise: int = 64
    game: Game = "non-saturating"
    spectral: bool = False
    penalty: float = 1.0
    penalty_every: int = 16
    critic_steps: int = 1
    variations: tuple[Literal["translation", "cutout", "brightness", "flip"], ...] = ()
    growing: int = 0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("noise", "penalty_every", "critic_steps"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        if self.width < 8 or self.width % 8:
            raise out_of_range("width", "a multiple of 8")
        for name in ("penalty", "growing"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")


class ImageGenerator(nn.Module):
    """Makes images of noise and of what their columns say.

    Parameters
    ----------
    fields : ImageFields
        The images; columns are read where `columns` is not empty.
    columns : Fields
        The columns that are given.
    config : ImageGameConfig
        The settings.
    """

    coarse: Tensor

    def __init__(self, fields: ImageFields, columns: Fields, config: ImageGameConfig) -> None:
        super().__init__()
        self.size, self.noise = fields.size, config.noise
        self.read = ColumnReader(columns, config.noise)
        self.write = Upward(
            2 * config.noise,
            fields.channels,
            fields.size,
            config.width,
            growing=config.growing > 0,
        )
        # Weights that were kept before the nets had grown draw coarse images.
        self.register_buffer("coarse", torch.zeros(()))

    def draw_noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw what images start from, (n, noise)."""
        return torch.randn(n, self.noise, generator=generator, device=self.coarse.device)

    def forward(self, noise: Tensor, codes: Tensor, coarse: float = 0.0) -> Tensor:
        """Make images of noise for records of columns, (B, 2, D), as coarse as that."""
        return torch.tanh(self.write(torch.cat([noise, self.read(codes)], dim=1), coarse))


class ImageCritic(nn.Module):
    """Scores how real images look beside what their columns say.

    The columns enter by their inner product with what is read of the image (Miyato and Koyama
    2018, arXiv:1802.05637).

    Parameters
    ----------
    fields, columns, config
        As of `ImageGenerator`.
    """

    def __init__(self, fields: ImageFields, columns: Fields, config: ImageGameConfig) -> None:
        super().__init__()
        self.read = Downward(
            fields.channels,
            fields.size,
            config.width,
            FEATURES,
            spectral=config.spectral,
            growing=config.growing > 0,
        )
        self.columns = ColumnReader(columns, FEATURES) if columns else None
        self.score = nn.Linear(FEATURES, 1)

    def forward(self, pixels: Tensor, codes: Tensor, coarse: float = 0.0) -> Tensor:
        """Score images (B, C, H, W), (B,); higher is more real."""
        hidden = nn.functional.leaky_relu(self.read(pixels, coarse), 0.2)
        score = self.score(hidden)[:, 0]
        if self.columns is not None:
            score = score + (self.columns(codes) * hidden).mean(1)
        return score.float()


def image_game(
    generator: ImageGenerator,
    critic: ImageCritic,
    batch: ImageBatch,
    config: ImageGameConfig,
    step: int,
) -> Iterator[Loss]:
    """Yield the critic's loss, then, when it is its turn, the generator's.

    Real and drawn images go through the critic together, but for differential privacy: there each
    pass is of patients or of nobody, and drawn images are asked for columns that are nobody's.
    """
    game, random = config.game, batch.generator
    if game == "wgan":
        with torch.no_grad():
            for weight in critic.parameters():
                weight.clamp_(-LARGEST_WEIGHT, LARGEST_WEIGHT)
    vary = partial(varied, kinds=config.variations, generator=random)
    asked = batch.codes.roll(1, 0) if batch.asked is None else batch.asked
    coarse = coarseness(step, config.growing, generator.size)
    generator.coarse.fill_(coarse)
    batch = batch._replace(pixels=shrunk(batch.pixels, coarse))
    drawn = generator(generator.draw_noise(len(asked), random), asked, coarse)
    if batch.filled is None:
        shown = vary(torch.cat([batch.pixels, drawn.detach()]))
        real, made = critic(shown, torch.cat([batch.codes, asked]), coarse).chunk(2)
    else:
        shown, made_up = vary(batch.pixels), vary(drawn.detach())
        real = critic(*batch.present(shown, batch.codes))
        made = critic(made_up, asked)
    real_loss, drawn_loss = critic_losses(game, real, made)
    if config.penalty > 0 and step % config.penalty_every == 0:
        real_loss = real_loss + config.penalty_every * _penalty(
            partial(critic, codes=batch.codes, coarse=coarse), batch, drawn, config
        )
    yield Loss("critic", per_record=real_loss, public=drawn_loss.mean())
    if (step + 1) % config.critic_steps == 0:
        score = critic(vary(drawn), asked, coarse)
        yield Loss("generator", public=generator_losses(game, score).mean())


def _penalty(
    score: Callable[[Tensor], Tensor], batch: ImageBatch, drawn: Tensor, config: ImageGameConfig
) -> Tensor:
    """Penalty on the slope of the critic, (B,): arXiv:1801.04406, or that of WGAN-GP."""
    if config.game == "wgan-gp":
        blend = between(batch.pixels, drawn, batch.generator)
        return config.penalty * ((steepness(score, blend) + 1e-12).sqrt() - 1) ** 2
    return 0.5 * config.penalty * steepness(score, batch.pixels)


@torch.no_grad()
def drawn_likeness(generator: ImageGenerator, images: Images) -> float:
    """Compare images drawn for the columns of held-out ones with these."""
    held = images.some(DRAWN)
    random = torch.Generator(images.pixels.device).manual_seed(0)
    drawn = images_of(generator, generator.draw_noise(len(held), random), held.codes.long())
    return likeness(signed(held.pixels), drawn)


def images_of(generator: ImageGenerator, noise: Tensor, codes: Tensor) -> Tensor:
    """Make images of noise for records of columns, (n, 2, D), in parts, at their whole size."""
    made = in_chunks(partial(generator, coarse=generator.coarse.item()), noise, codes)
    return enlarged(made, generator.size)


@torch.no_grad()
def critic_familiarity(
    generator: ImageGenerator, critic: ImageCritic, pixels: Tensor, codes: Tensor
) -> Tensor:
    """Ask the critic how real images look, (N,), as coarse as it last saw them."""
    coarse = generator.coarse.item()
    return in_chunks(lambda *part: critic(shrunk(part[0], coarse), part[1], coarse), pixels, codes)


def game_width(size: int) -> int:
    """Choose the width by the size of the images: twice the side is four times the work."""
    return 32 if size <= LARGEST_WIDE else 16


def game_training(n_images: int, size: int) -> TrainConfig:
    """Choose the budget by the number of images, and their size."""
    steps = min(30_000, max(3_000, 150 * n_images // 64))
    small = size <= LARGEST_WIDE
    return TrainConfig(
        steps=steps if small else steps // 2,
        batch_size=64,
        learning_rate=4e-4 if small else 8e-4,
        betas=(0.0, 0.99),
        schedule="constant" if small else "cosine",
        warmup=100,
        ema=0.998,
        clip=0.0,
        evaluations=20,
    )
