"""Building blocks: residual blocks, and what autoencoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.models.spans import Axes, Spans


class Residual(nn.Module):
    """``x + fall(silu(rise(norm(x))))``, starting as the identity.

    Parameters
    ----------
    width : int
        Width of input and output.
    hidden : int
        Width in between.
    dropout : float
        Share of hidden units silenced in training.
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, hidden)
        self.fall = nn.Linear(hidden, width)
        self.dropout = dropout
        nn.init.zeros_(self.fall.weight)
        nn.init.zeros_(self.fall.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        hidden = functional.silu(self.rise(self.norm(x)))
        return x + self.fall(silenced(hidden, self.dropout) if self.training else hidden)


class PerColumnLinear(nn.Module):
    """A linear map of its own for each column, without a bias, starting at zero.

    Parameters
    ----------
    columns : int
        Number of columns.
    width, outputs : int
        Width of a column's input and output.
    """

    def __init__(self, columns: int, width: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(columns, width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, columns, width) to (B, columns, outputs)."""
        return torch.einsum("bci,cio->bco", x, self.weight)


def silenced(x: Tensor, share: float) -> Tensor:
    """Dropout with one random byte a unit: a seventh of the time of torch's own on a CPU.

    The share is rounded to a multiple of 1/256.
    """
    threshold = round(256 * share)
    if threshold == 0:
        return x
    words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    noise = words.random_(-(2**63), None).view(torch.uint8)[: x.numel()].view(x.shape)
    return x * (noise >= threshold).to(x.dtype).mul_(256 / (256 - threshold))


def residual_body(width: int, depth: int, dropout: float = 0.0) -> nn.Sequential:
    """Stack `depth` residual blocks of hidden width ``2 * width``, normalised at the end."""
    blocks = [Residual(width, 2 * width, dropout) for _ in range(depth)]
    return nn.Sequential(*blocks, nn.LayerNorm(width))


class Reader(nn.Module):
    """Reads a record as independent normal latents: the encoder of an autoencoder.

    Parameters
    ----------
    spans, axes : Spans, Axes
        The columns.
    width, depth : int
        Width and residual blocks.
    latent : int
        Number of latents.
    dropout : float
        Share of hidden units silenced in training.
    """

    def __init__(
        self, spans: Spans, axes: Axes, width: int, depth: int, latent: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.spans, self.axes = spans, axes
        self.read = nn.Linear(spans.width + axes.width, width)
        self.body = residual_body(width, depth, dropout)
        self.posterior = nn.Linear(width, 2 * latent)
        nn.init.normal_(self.read.weight, std=len(spans.start) ** -0.5)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, (B, latent) each, of codes (B, 2, D)."""
        one_hot = self.spans.one_hot(codes[:, 0])
        counts = self.axes.counts(self.spans.flat(codes[:, 0]))
        fraction = (codes[:, 1, self.axes.with_parts] + 0.5) / counts
        read = self.read(torch.cat([one_hot, self.axes(one_hot, fraction)], dim=1))
        mean, log_variance = self.posterior(self.body(read)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)


def around(mean: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from independent normals, reparametrised."""
    noise = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + (0.5 * log_variance).exp() * noise


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of independent normals from standard ones, (B,), in nats."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


def place_surprise(fraction: Tensor, centre: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log density of places within tokens, of the shape of all three, in nats.

    A place is a fraction in [0, 1] whose logit has a logistic distribution.
    """
    place = torch.logit(fraction, eps=1e-4)
    return _logistic((place - centre) / log_scale.exp()) + log_scale - _logistic(place)


def _logistic(value: Tensor) -> Tensor:
    """Negative log density of the standard logistic distribution."""
    return value + 2 * functional.softplus(-value)
