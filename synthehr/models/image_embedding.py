"""Images as random Fourier features: vectors of length 1 whose means tell distributions apart.

The inner product of two such vectors is about a sum of Gaussian kernels (Rahimi and Recht 2007,
papers.nips.cc/paper/3182), of pixels, of coarse pixels and of random convolutions, each at two
scales. Nothing in them is learned, so they are public.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.image import ImageFields
from synthehr.models.image_likeness import features

FINE, COARSE = 28, 7
"""Sides, about, at which pixels are compared."""
SCALES = {"fine": (0.03, 0.1), "coarse": (0.02, 0.08), "features": (0.003, 0.02)}
"""Squared length of each kernel, for every number that it compares."""


@final
class ImageEmbedding(nn.Module):
    """Embeds images; equal arguments give equal embeddings, everywhere.

    Parameters
    ----------
    fields : ImageFields
        The images.
    frequencies : int
        Of each kernel.
    """

    def __init__(self, fields: ImageFields, frequencies: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        blank = torch.zeros(1, fields.channels, fields.size, fields.size)
        self.sizes = {name: view.shape[1] for name, view in _views(blank).items()}
        self.names = []
        for name, width in self.sizes.items():
            for place, scale in enumerate(SCALES[name]):
                drawn = torch.randn(frequencies, width, generator=generator)
                buffer = f"{name}_{place}"
                self.register_buffer(buffer, drawn / math.sqrt(scale * width), persistent=False)
                self.names.append((name, buffer))
        self.width = 2 * frequencies * len(self.names)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed images (N, C, H, W) in [-1, 1], as (N, width); each has the length 1."""
        views = _views(pixels)
        found = [functional.linear(views[name], self.get_buffer(at)) for name, at in self.names]
        angles = torch.cat(found, dim=1)
        return torch.cat([angles.cos(), angles.sin()], dim=1) * math.sqrt(2 / self.width)


def _views(pixels: Tensor) -> dict[str, Tensor]:
    """Look at images in several ways, (N, …) each."""
    return {
        "fine": _pooled(pixels, FINE).flatten(1),
        "coarse": _pooled(pixels, COARSE).flatten(1),
        "features": features(pixels),
    }


def _pooled(pixels: Tensor, side: int) -> Tensor:
    by = max(1, pixels.shape[-1] // side)
    return functional.avg_pool2d(pixels.float(), by, ceil_mode=True)
