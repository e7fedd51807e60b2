"""Translation between two kinds of images that nobody has paired.

Two generators and two critics (Zhu et al. 2017, arXiv:1703.10593): each generator turns images of
one domain into the other's, a critic for each domain judges them, and there and back must lead
to where it began. Generators are residual: they say what to change in an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.config import TrainConfig, apply, out_of_range
from synthehr.encode.image import ImageFields
from synthehr.errors import ConfigError
from synthehr.models.base import Loss
from synthehr.models.image_base import ImageBatch, ImageModel, Images, in_chunks, signed
from synthehr.models.image_likeness import DRAWN, likeness
from synthehr.models.image_nets import GROUPS


@final
@dataclass(frozen=True, kw_only=True)
class CycleGANConfig:
    """Settings of the translation between two domains.

    Attributes
    ----------
    width : int
        Channels of the finest level of generators and critics.
    blocks : int
        Residual blocks of a generator.
    cycle : float
        Weight of the way there and back, mean absolute difference.
    identity : float
        Weight of leaving images alone that are of the target's domain already, in `cycle`.
    pool : int
        Translated images that each critic is shown again later on; 0 shows only new ones.
    """

    width: int = 16
    blocks: int = 3
    cycle: float = 5.0
    identity: float = 0.05
    pool: int = 50

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.width < 8 or self.width % 8:
            raise out_of_range("width", "a multiple of 8")
        for name in ("blocks", "cycle", "identity", "pool"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")


class ResidualBlock(nn.Module):
    """Two convolutions beside the way straight on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rise = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate")
        self.fall = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate")
        self.norm = nn.GroupNorm(GROUPS, width)
        self.last_norm = nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        return x + self.last_norm(self.fall(functional.relu(self.norm(self.rise(x)))))


class Translator(nn.Module):
    """Turns images of one domain into the other's.

    Parameters
    ----------
    channels : int
        Of an image.
    config : CycleGANConfig
        The settings.
    """

    def __init__(self, channels: int, config: CycleGANConfig) -> None:
        super().__init__()
        width = config.width
        self.read = nn.Conv2d(channels, width, 3, padding=1, padding_mode="replicate")
        self.down = nn.Sequential(
            nn.GroupNorm(GROUPS, width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, 2, 1),
            nn.GroupNorm(GROUPS, 2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
        )
        self.body = nn.Sequential(*[ResidualBlock(4 * width) for _ in range(config.blocks)])
        self.up = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
            nn.GroupNorm(GROUPS, 2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.GroupNorm(GROUPS, width),
            nn.ReLU(),
        )
        self.write = nn.Conv2d(width, channels, 3, padding=1, padding_mode="replicate")
        # Begins as nearly the identity.
        nn.init.normal_(self.write.weight, std=0.01)
        if self.write.bias is not None:
            nn.init.zeros_(self.write.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Translate images (B, C, H, W) in [-1, 1]."""
        height, width = pixels.shape[2:]
        padded = functional.pad(pixels, (0, -width % 4, 0, -height % 4), mode="replicate")
        change = self.write(self.up(self.body(self.down(self.read(padded)))))
        # What is black or white may stay so: the change is made before the values are squashed.
        start = torch.atanh(pixels.clamp(-0.98, 0.98))
        return torch.tanh(start + change[:, :, :height, :width].float())


class PatchCritic(nn.Module):
    """Scores patches of images (Isola et al. 2017, arXiv:1611.07004).

    Parameters
    ----------
    channels, width : int
        Of an image, and of the finest level.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(
            nn.Conv2d(channels, 2 * width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
            nn.GroupNorm(GROUPS, 4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Score patches of images (B, C, H, W), (B, patches); 1 is real and 0 translated."""
        return self.steps(pixels).float().flatten(1)


@final
class CycleGAN(ImageModel):
    """Two translators and two critics; the one column says of which domain an image is.

    Parameters
    ----------
    fields : ImageFields
        The images; one column of two levels.
    config : CycleGANConfig
        The settings.

    Raises
    ------
    ConfigError
        If there are not two domains.
    """

    Config: ClassVar[type] = CycleGANConfig
    draws: ClassVar[bool] = False
    not_private: ClassVar[str] = "its generators see patients' images, and it draws none"

    def __init__(self, fields: ImageFields, config: CycleGANConfig) -> None:
        super().__init__()
        if len(fields.columns) != 1 or fields.columns[0].size != 2:
            raise ConfigError(
                f"there are {len(fields.columns)} columns beside the images, and translation "
                "needs one column that tells two domains apart",
                hint="give two class folders, or trainA and trainB",
            )
        self.fields, self.config = fields, config
        self.columns = None
        channels, width = fields.channels, config.width
        self.translators = nn.ModuleList([Translator(channels, config) for _ in range(2)])
        self.critics = nn.ModuleList([PatchCritic(channels, width) for _ in range(2)])
        # No buffers: a checkpoint would hold them, and they are near to patients' images.
        self._pools: list[Tensor | None] = [None, None]

    @classmethod
    def build(cls, fields: ImageFields, config: CycleGANConfig) -> Self:
        """Make a freshly initialised model for these images."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: ImageFields, n_images: int, settings: Mapping[str, Any]
    ) -> CycleGANConfig:
        """Take the defaults, with the user's settings on top."""
        return apply(CycleGANConfig(), settings)

    @classmethod
    def train_config(
        cls, fields: ImageFields, n_images: int, config: CycleGANConfig
    ) -> TrainConfig:
        """Choose the budget by the number of images."""
        return TrainConfig(
            steps=min(8_000, max(2_000, 30 * n_images // 16)),
            batch_size=16,
            learning_rate=4e-4,
            betas=(0.5, 0.999),
            schedule="linear",
            ema=0.995,
            clip=0.0,
            evaluations=10,
        )

    def losses(self, batch: ImageBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of the translators, and of the critics."""
        of_domain = batch.codes[:, 0, 0] == 1
        translated, losses = [], torch.zeros(len(batch.pixels), device=batch.pixels.device)
        for domain, mine in enumerate((~of_domain, of_domain)):
            loss, drawn = self._there_and_back(batch.pixels[mine], domain)
            losses = losses.masked_scatter(mine, loss)
            translated.append(drawn.detach())
        yield Loss("translators", per_record=losses)
        losses = torch.zeros_like(losses)
        drawn_loss = losses.new_zeros(())
        for domain, mine in enumerate((~of_domain, of_domain)):
            critic = self.critics[domain]
            losses = losses.masked_scatter(mine, (critic(batch.pixels[mine]) - 1).square().mean(1))
            shown = self._from_pool(domain, translated[1 - domain], batch.generator)
            if len(shown):
                drawn_loss = drawn_loss + critic(shown).square().mean()
        yield Loss("critics", per_record=losses, public=drawn_loss)

    def _there_and_back(self, pixels: Tensor, domain: int) -> tuple[Tensor, Tensor]:
        """Losses of images of a domain, (B,), and what they are translated to."""
        there, back = self.translators[1 - domain], self.translators[domain]
        drawn = there(pixels)
        loss = (self.critics[1 - domain](drawn) - 1).square().mean(1)
        loss = loss + self.config.cycle * _difference(back(drawn), pixels)
        if self.config.identity > 0:
            weight = self.config.cycle * self.config.identity
            loss = loss + weight * _difference(back(pixels), pixels)
        return loss, drawn

    @torch.no_grad()
    def _from_pool(self, domain: int, drawn: Tensor, generator: torch.Generator) -> Tensor:
        """Exchange about half of the translated images for ones of earlier steps."""
        size, pool = self.config.pool, self._pools[domain]
        if not size or not len(drawn):
            return drawn
        if pool is None or len(pool) < size:
            whole = drawn if pool is None else torch.cat([pool, drawn])
            self._pools[domain] = whole[:size].clone()
            return drawn
        places = torch.randperm(size, generator=generator, device=drawn.device)[: len(drawn)]
        some = torch.rand(len(places), generator=generator, device=drawn.device) < 0.5
        rows, shown = torch.arange(len(places), device=drawn.device)[some], drawn.clone()
        shown[rows] = pool[places[some]]
        pool[places[some]] = drawn[rows]
        return shown

    @torch.no_grad()
    def held_out_loss(self, images: Images) -> float:
        """Mean distance of translated held-out images from those of their new domain."""
        some = images.some(2 * DRAWN)
        pixels, domain = signed(some.pixels), some.codes[:, 0, 0]
        found = []
        for to in range(2):
            source, target = pixels[domain != to], pixels[domain == to]
            if len(source) > 1 and len(target) > 1:
                found.append(likeness(target, self.translate(source, to)))
        return sum(found) / max(1, len(found))

    def finish(self, images: Images) -> None:
        """Forget the translated images of earlier steps."""
        self._pools = [None, None]

    @torch.no_grad()
    def translate(self, pixels: Tensor, domain: int) -> Tensor:
        """Turn images of the other domain into images of this one, 0 or 1."""
        return in_chunks(self.translators[domain], pixels)

    def latents(self, n: int, generator: torch.Generator) -> Tensor:
        """Refuse: a translator draws nothing out of nothing."""
        raise _draws_none()

    def rebuild(self, latents: Tensor, codes: Tensor) -> Tensor:
        """Refuse, likewise."""
        raise _draws_none()


def _draws_none() -> ConfigError:
    return ConfigError(
        "this model translates images and draws none",
        hint="use synthehr translate, or fit with --model image-cgan",
    )


def _difference(first: Tensor, second: Tensor) -> Tensor:
    """Mean absolute difference of images, (B,)."""
    return (first - second).abs().flatten(1).mean(1)
