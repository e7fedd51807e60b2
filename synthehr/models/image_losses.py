"""The games that a generator and a critic of images can play, and how images are varied for them.

hinge            arXiv:1705.02894
non-saturating   Goodfellow et al. 2014, arXiv:1406.2661
lsgan            Mao et al. 2017, arXiv:1611.04076
wgan             Arjovsky, Chintala and Bottou 2017, arXiv:1701.07875
wgan-gp          Gulrajani et al. 2017, arXiv:1704.00028
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Game = Literal["hinge", "non-saturating", "wgan", "wgan-gp", "lsgan"]
Variation = Literal["translation", "cutout", "brightness", "flip"]

LARGEST_WEIGHT = 0.01
"""Of the critic's weights in the game "wgan"."""


def critic_losses(game: Game, real: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of the critic by its scores, (B,) each: of real images, and of drawn ones."""
    if game == "hinge":
        return functional.relu(1 - real), functional.relu(1 + drawn)
    if game == "non-saturating":
        return functional.softplus(-real), functional.softplus(drawn)
    if game == "lsgan":
        return 0.5 * (real - 1) ** 2, 0.5 * drawn**2
    return -real, drawn


def generator_losses(game: Game, drawn: Tensor) -> Tensor:
    """Losses of the generator by the critic's scores of its images, (B,)."""
    if game == "non-saturating":
        return functional.softplus(-drawn)
    if game == "lsgan":
        return 0.5 * (drawn - 1) ** 2
    return -drawn


def steepness(score: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """Squared norm of the score's gradient at each image, (B,)."""
    with torch.autocast(pixels.device.type, enabled=False):
        held = pixels.detach().float().requires_grad_()
        (slope,) = torch.autograd.grad(score(held).sum(), held, create_graph=True)
        return slope.flatten(1).square().sum(1)


def between(real: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
    """Blend real and drawn images, each pair in its own proportion."""
    share = torch.rand(len(real), 1, 1, 1, generator=generator, device=real.device)
    return torch.lerp(real, drawn.detach(), share)


def varied(pixels: Tensor, kinds: Sequence[Variation], generator: torch.Generator) -> Tensor:
    """Vary images in ways that real and drawn ones both undergo; gradients pass.

    Zhao et al. 2020, arXiv:2006.10738.
    """
    for kind in kinds:
        pixels = _VARIATIONS[kind](pixels, generator)
    return pixels


def _translation(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Move images by up to an eighth of their side; what comes in is of the lowest value."""
    n, _, height, width = pixels.shape
    reach = max(1, round(height / 8))
    shift = torch.randint(2 * reach + 1, (2, n), generator=generator, device=pixels.device)
    rows = torch.arange(height, device=pixels.device) + shift[0, :, None]
    columns = torch.arange(width, device=pixels.device) + shift[1, :, None]
    padded = functional.pad(pixels, (reach,) * 4, value=-1.0)
    image = torch.arange(n, device=pixels.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _cutout(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Blank a square of half the side."""
    n, _, height, width = pixels.shape
    place = torch.rand(2, n, generator=generator, device=pixels.device)
    rows = torch.arange(height, device=pixels.device) / height - place[0, :, None]
    columns = torch.arange(width, device=pixels.device) / width - place[1, :, None]
    inside = (rows.abs() < 0.25)[:, :, None] & (columns.abs() < 0.25)[:, None, :]
    return pixels.masked_fill(inside[:, None], 0.0)


def _brightness(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Shift and stretch the values of each image."""
    chance = torch.rand(2, len(pixels), 1, 1, 1, generator=generator, device=pixels.device)
    centre = pixels.mean((1, 2, 3), keepdim=True)
    return (pixels - centre) * (0.5 + chance[0]) + centre + 0.5 * (chance[1] - 0.5)


def _flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each second image, left to right."""
    chosen = torch.rand(len(pixels), 1, 1, 1, generator=generator, device=pixels.device) < 0.5
    return torch.where(chosen, pixels.flip(3), pixels)


_VARIATIONS: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "translation": _translation,
    "cutout": _cutout,
    "brightness": _brightness,
    "flip": _flip,
}
