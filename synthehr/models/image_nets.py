"""Convolutional nets that image models share: one that reads images, one that writes them.

Both halve or double the side level by level, between the image and a grid of 4 to 7 places a
side: 28 pixels are 7 x 2 x 2, 64 are 4 x 2 x 2 x 2 x 2. Other sizes are padded on the way in and
cut on the way out.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.fields import Fields
from synthehr.models.image_growth import coarser_sizes, doubled
from synthehr.models.spans import Axes, Spans

SMALLEST = 4
"""Least side of the coarsest grid."""
WIDEST = 8
"""Channels of the coarsest grid, at most, in multiples of those of the finest."""
GROUPS = 8


def grid_of(size: int) -> tuple[int, int]:
    """Say how often a side is halved, and what is left of it."""
    levels = max(1, (size // SMALLEST).bit_length() - 1)
    return levels, -(-size // 2**levels)


def channels_of(width: int, levels: int) -> list[int]:
    """Channels of each level, from the finest to the coarsest."""
    return [width * min(2**level, WIDEST) for level in range(levels)]


class Spectral(nn.Module):
    """A convolution or linear map divided by its largest singular value, roughly.

    One step of power iteration a training pass (Miyato et al. 2018, arXiv:1802.05957).

    Parameters
    ----------
    layer : nn.Conv2d or nn.Linear
        The map.
    """

    direction: Tensor

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer(
            "direction", functional.normalize(torch.randn(len(layer.weight)), dim=0)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x as the layer does, at most as steep as 1."""
        layer = self.layer
        with torch.autocast(x.device.type, enabled=False):
            matrix = layer.weight.flatten(1)
            with torch.no_grad():
                right = functional.normalize(self.direction @ matrix, dim=0)
                left = functional.normalize(matrix @ right, dim=0)
                if self.training:
                    self.direction.copy_(left)
            weight = layer.weight / (left @ (matrix @ right))
        if isinstance(layer, nn.Linear):
            return functional.linear(x, weight, layer.bias)
        return functional.conv2d(x, weight, layer.bias, layer.stride, layer.padding)


class Downward(nn.Module):
    """Reads images as vectors.

    Parameters
    ----------
    channels, size : int
        Of the images.
    width : int
        Channels of the finest level.
    outputs : int
        Length of a vector.
    spectral : bool
        Whether every layer is divided by its norm; then there are no other norms.
    growing : bool
        Whether images are also read at half, quarter, … of the side.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        width: int,
        outputs: int,
        *,
        spectral: bool = False,
        growing: bool = False,
    ) -> None:
        super().__init__()
        levels, side = grid_of(size)
        self.whole = side * 2**levels
        wide = channels_of(width, levels)
        steps = zip([channels, *wide], wide, strict=False)
        convolutions = [nn.Conv2d(come, go, 4, 2, 1) for come, go in steps]
        last = nn.Linear(wide[-1] * side**2, outputs)
        norms = [nn.GroupNorm(GROUPS, go) for go in wide[1:]]
        self.norms = nn.ModuleList([] if spectral else norms)
        self.steps = nn.ModuleList(map(Spectral, convolutions) if spectral else convolutions)
        self.last = Spectral(last) if spectral else last
        coarser = wide[: coarser_sizes(size)] if growing else []
        self.entries = nn.ModuleList([nn.Conv2d(channels, come, 1) for come in coarser])

    def forward(self, pixels: Tensor, coarse: float = 0.0) -> Tensor:
        """Read images (B, C, H, W), as vectors (B, outputs).

        They are as coarse as `coarse` says, see `synthehr.models.image_growth`; what is read of
        the halved images is blended with what a first halving reads.
        """
        first = int(coarse)
        missing = self.whole // 2**first - pixels.shape[-1]
        if missing:
            pixels = functional.pad(pixels, (0, missing, 0, missing), mode="replicate")
        hidden = self._entered(pixels, first)
        for level in range(first, len(self.steps)):
            hidden = self.steps[level](hidden)
            if self.norms and level:
                hidden = self.norms[level - 1](hidden)
            hidden = functional.leaky_relu(hidden, 0.2)
            if level == first and coarse > first:
                halved = self._entered(functional.avg_pool2d(pixels, 2), first + 1)
                hidden = torch.lerp(hidden, halved, coarse - first)
        return self.last(hidden.flatten(1))

    def _entered(self, pixels: Tensor, level: int) -> Tensor:
        return functional.leaky_relu(self.entries[level - 1](pixels), 0.2) if level else pixels


class Upward(nn.Module):
    """Writes vectors as images; each level is scaled and shifted by the vector.

    Parameters
    ----------
    inputs : int
        Length of a vector.
    channels, size : int
        Of the images.
    width : int
        Channels of the finest level.
    growing : bool
        Whether images are also written at half, quarter, … of the side.
    """

    def __init__(
        self, inputs: int, channels: int, size: int, width: int, *, growing: bool = False
    ) -> None:
        super().__init__()
        levels, self.side = grid_of(size)
        self.size = size
        wide = channels_of(width, levels)[::-1]
        self.start = nn.Linear(inputs, wide[0] * self.side**2)
        self.steps = nn.ModuleList(
            [nn.ConvTranspose2d(come, go, 4, 2, 1) for come, go in pairwise(wide)]
        )
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, go) for go in wide])
        styles = [nn.Linear(inputs, 2 * go) for go in wide]
        self.styles = nn.ModuleList(styles)
        self.last = nn.ConvTranspose2d(wide[-1], channels, 4, 2, 1)
        coarser = wide[: -coarser_sizes(size) - 1 : -1] if growing else []
        self.exits = nn.ModuleList([nn.Conv2d(come, channels, 1) for come in coarser])
        for style in styles:
            nn.init.zeros_(style.weight)
            nn.init.zeros_(style.bias)

    def forward(self, vectors: Tensor, coarse: float = 0.0) -> Tensor:
        """Write vectors (B, inputs), as images (B, C, H, W) before the last squashing.

        They are as coarse as `coarse` says, see `synthehr.models.image_growth`.
        """
        last = int(coarse)
        hidden = self.start(vectors).unflatten(1, (-1, self.side, self.side))
        hidden = self._styled(hidden, vectors, 0)
        before = hidden
        for level, step in enumerate(self.steps[: len(self.steps) - last + 1]):
            before, hidden = hidden, self._styled(step(hidden), vectors, level + 1)
        image = self._left(hidden, last)
        if coarse > last:
            halved = self._left(hidden if last == 0 else before, last + 1)
            image = torch.lerp(image, doubled(halved), coarse - last)
        side = -(-self.size // 2**last)
        return image[:, :, :side, :side].float()

    def _left(self, hidden: Tensor, level: int) -> Tensor:
        return self.exits[level - 1](hidden) if level else self.last(hidden)

    def _styled(self, hidden: Tensor, vectors: Tensor, level: int) -> Tensor:
        scale, shift = self.styles[level](vectors)[:, :, None, None].chunk(2, dim=1)
        hidden = self.norms[level](hidden) * (1 + scale) + shift
        return functional.leaky_relu(hidden, 0.2)


class ColumnReader(nn.Module):
    """Reads the columns of a record as one vector.

    Parameters
    ----------
    columns : Fields
        The columns; there may be none.
    outputs : int
        Length of the vector.
    """

    def __init__(self, columns: Fields, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.spans = Spans(columns) if columns else None
        self.axes = None if self.spans is None else Axes(columns, self.spans)
        if self.spans is not None and self.axes is not None:
            self.read = nn.Linear(self.spans.width + self.axes.width, outputs)
            nn.init.normal_(self.read.weight, std=len(columns) ** -0.5)

    def forward(self, codes: Tensor) -> Tensor:
        """Read codes (B, 2, D), as vectors (B, outputs)."""
        if self.spans is None or self.axes is None:
            return torch.zeros(len(codes), self.outputs, device=codes.device)
        one_hot = self.spans.one_hot(codes[:, 0])
        counts = self.axes.counts(self.spans.flat(codes[:, 0]))
        fraction = (codes[:, 1, self.axes.with_parts] + 0.5) / counts
        return self.read(torch.cat([one_hot, self.axes(one_hot, fraction)], dim=1))
