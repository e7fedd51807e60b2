"""Growing nets: they begin with small images, and reach whole ones size by size.

A coarse step costs a quarter or a sixteenth of a whole one, and settles what images look like from
afar (Karras et al. 2018, arXiv:1710.10196). How coarse images are is a number: how often their side
was halved; 0.3 is a whole image of which three tenths were taken from the one that is halved.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEAST_SIDE = 16
"""Side below which no images are made."""
FADING = 0.5
"""Share of the steps at a size during which it is blended with the size before."""


def coarser_sizes(size: int) -> int:
    """Say how often a side can be halved."""
    return max(0, (size // LEAST_SIDE).bit_length() - 1)


def coarseness(step: int, steps_a_size: int, size: int) -> float:
    """Say how coarse images are at a step; 0 when the nets have grown."""
    if steps_a_size == 0:
        return 0.0
    grown, within = divmod(step, steps_a_size)
    left = coarser_sizes(size) - grown
    if grown == 0 or left < 0:
        return float(max(0, left))
    return left + max(0.0, 1.0 - within / (FADING * steps_a_size))


def doubled(pixels: Tensor) -> Tensor:
    """Double the side of images (B, C, H, W)."""
    return functional.interpolate(pixels, scale_factor=2, mode="nearest")


def shrunk(pixels: Tensor, coarse: float) -> Tensor:
    """Make whole images (B, C, H, W) coarse."""
    halvings = int(coarse)
    if halvings:
        pixels = functional.avg_pool2d(pixels, 2**halvings, ceil_mode=True)
    if coarse == halvings:
        return pixels
    side = pixels.shape[-1]
    halved = doubled(functional.avg_pool2d(pixels, 2, ceil_mode=True))[:, :, :side, :side]
    return torch.lerp(pixels, halved, coarse - halvings)


def enlarged(pixels: Tensor, size: int) -> Tensor:
    """Bring coarse images (B, C, H, W) to a side."""
    if pixels.shape[-1] == size:
        return pixels
    return functional.interpolate(pixels, size=(size, size), mode="bilinear")
