"""The critic of the adversarial models: how real a record looks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.models.records import Records, records_of
from synthehr.models.spans import Axes, Spans


class Block(nn.Module):
    """Residual block without a norm, as the penalty wants it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rise = nn.Linear(width, width)
        self.fall = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        hidden = self.rise(functional.leaky_relu(x, 0.2))
        return x + self.fall(functional.leaky_relu(hidden, 0.2))


class Critic(nn.Module):
    """Scores how real records look.

    Parameters
    ----------
    spans, axes : Spans, Axes
        The columns.
    config : AdversarialConfig
        The settings.
    conditioning : {"concatenation", "projection"} or None
        How the given token enters: into the first layer, or by its inner product with
        the last one (Miyato and Koyama 2018, arXiv:1802.05637).
    """

    def __init__(self, spans: Spans, axes: Axes, config: Any, conditioning: str | None) -> None:
        super().__init__()
        self.spans, self.axes, self.group = spans, axes, config.group
        self.conditioning = conditioning
        width = config.width
        self.read = nn.Linear(spans.width + axes.width, width)
        self.condition = None if conditioning is None else nn.Embedding(spans.width, width)
        self.body = nn.Sequential(*[Block(width) for _ in range(config.depth)])
        self.merge = nn.Linear(2 * width if config.group > 1 else width, width)
        self.score = nn.Linear(width, 1)
        nn.init.normal_(self.read.weight, std=len(spans.start) ** -0.5)

    def forward(self, records: Records, given: Tensor | None) -> Tensor:
        """Score each record, (B,); higher is more real."""
        described = self.axes(records.one_hot, records.fraction)
        hidden = self.read(torch.cat([records.one_hot, described], dim=1))
        if self.condition is not None and self.conditioning == "concatenation":
            hidden = hidden + self.condition(given)
        hidden = functional.leaky_relu(self.body(hidden), 0.2)
        if self.group > 1:
            hidden = torch.cat([hidden, group_means(hidden, self.group)], dim=1)
        hidden = functional.leaky_relu(self.merge(hidden), 0.2)
        score = self.score(hidden)[:, 0]
        if self.condition is not None and self.conditioning == "projection":
            score = score + (self.condition(given) * hidden).mean(1)
        return score.float()

    def real(self, codes: Tensor, generator: torch.Generator) -> Records:
        """Show codes (B, 2, D) as records, at a random place within each part."""
        return records_of(self.spans, self.axes, codes, generator)

    def steepness(self, records: Records, given: Tensor | None) -> Tensor:
        """Squared norm of the score's gradient at each record, (B,)."""
        with torch.autocast(records.one_hot.device.type, enabled=False):
            held = Records(*(t.detach().float().requires_grad_() for t in records))
            total = self(held, given).sum()
            slopes = torch.autograd.grad(total, held, create_graph=True, allow_unused=True)
            squares = [(slope**2).sum(1) for slope in slopes if slope is not None]
            return torch.stack(squares).sum(0)


def group_means(hidden: Tensor, size: int) -> Tensor:
    """Mean of each record's group of `size`, (B, width); the last group wraps around."""
    n = len(hidden)
    wrapped = torch.arange(-(-n // size) * size, device=hidden.device) % n
    means = hidden[wrapped].unflatten(0, (-1, size)).mean(1)
    return means.repeat_interleave(size, dim=0)[:n]
