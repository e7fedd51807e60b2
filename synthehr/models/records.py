"""Records as adversarial models see them, and codes of what they make."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from synthehr.models.spans import Axes, Spans


class Records(NamedTuple):
    """Records as a critic sees them; gradients pass.

    Attributes
    ----------
    one_hot : Tensor of shape (B, spans.width)
        Tokens as indicators.
    fraction : Tensor of shape (B, P)
        Place within the token, in [0, 1], of the columns with parts.
    """

    one_hot: Tensor
    fraction: Tensor


def records_of(spans: Spans, axes: Axes, codes: Tensor, generator: torch.Generator) -> Records:
    """Show codes (B, 2, D) as records, at a random place within each part."""
    one_hot = spans.one_hot(codes[:, 0])
    parts = codes[:, 1, axes.with_parts]
    inside = torch.rand(parts.shape, generator=generator, device=parts.device)
    return Records(one_hot, (parts + inside) / axes.counts(spans.flat(codes[:, 0])))


def codes_of(spans: Spans, axes: Axes, records: Records) -> Tensor:
    """Turn records into codes (B, 2, D)."""
    tokens = spans.argmax(records.one_hot)
    counts = axes.counts(spans.flat(tokens))
    codes = torch.stack([tokens, torch.zeros_like(tokens)], dim=1)
    codes[:, 1, axes.with_parts] = torch.minimum((records.fraction * counts).long(), counts - 1)
    return codes
