"""The spans of all columns' tokens side by side, and the axes of ordered columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import torch
from torch import Tensor, nn

from synthehr.encode.fields import Field, Fields


class Spans(nn.Module):
    """Where each column's tokens lie in one flat vector of width `width`.

    Spans are padded to powers of two and sorted by size, so that columns of one size
    form a block: one softmax a block serves all of its columns, and less than half of
    the vector is padding however unlike the columns are.

    Parameters
    ----------
    fields : Fields
        The columns.
    """

    start: Tensor
    rank: Tensor
    owner: Tensor
    padding: Tensor
    log_shares: Tensor

    def __init__(self, fields: Fields) -> None:
        super().__init__()
        padded = [1 << (field.size - 1).bit_length() for field in fields]
        order = sorted(range(len(fields)), key=lambda column: padded[column])
        groups = groupby(padded[column] for column in order)
        self.blocks = tuple((len(list(group)), size) for size, group in groups)
        self.width = sum(padded)
        start = np.zeros(len(fields), dtype=np.int64)
        start[order] = np.cumsum([0, *(padded[column] for column in order)])[:-1]
        shares, padding = np.zeros(self.width), np.full(self.width, -np.inf)
        for first, field in zip(start, fields, strict=True):
            shares[first : first + field.size] = field.shares
            padding[first : first + field.size] = 0.0
        # A share of zero starts at 1e-5, as if a record in 100 000 held the token.
        logs = np.where(padding == 0.0, np.log(shares + 1e-5), 0.0)
        owner = np.repeat(order, [padded[column] for column in order])
        derived = {
            "start": torch.from_numpy(start),
            "rank": torch.argsort(torch.tensor(order)),
            "owner": torch.from_numpy(owner),
            "padding": torch.from_numpy(padding).float(),
            "log_shares": torch.from_numpy(logs).float(),
        }
        for name, value in derived.items():
            self.register_buffer(name, value, persistent=False)

    def flat(self, tokens: Tensor) -> Tensor:
        """Turn tokens (B, D) into places in the flat vector, (B, D)."""
        return tokens + self.start

    def one_hot(self, tokens: Tensor) -> Tensor:
        """Turn tokens (B, D) into indicators (B, width), float32."""
        empty = torch.zeros(len(tokens), self.width, device=tokens.device)
        return empty.scatter_(1, self.flat(tokens), 1.0)

    def cut(self, flat: Tensor) -> list[Tensor]:
        """Cut (B, width) into views (B, columns, size), one for each block."""
        pieces = flat.split([count * size for count, size in self.blocks], dim=1)
        return [p.unflatten(1, block) for p, block in zip(pieces, self.blocks, strict=True)]

    def surprise(self, logits: Tensor, tokens: Tensor) -> Tensor:
        """Cross-entropy of each cell, (B, D), in nats, from logits (B, width)."""
        logits = logits.float() + self.padding
        total = torch.cat([span.logsumexp(2) for span in self.cut(logits)], dim=1)
        return total[:, self.rank] - logits.gather(1, self.flat(tokens))

    def softmax(self, logits: Tensor) -> Tensor:
        """Softmax within each column's span, (B, width)."""
        spans = self.cut(logits.float() + self.padding)
        return torch.cat([span.softmax(2).flatten(1) for span in spans], dim=1)

    def argmax(self, scores: Tensor) -> Tensor:
        """Best token of each column, (B, D), from scores (B, width)."""
        spans = self.cut(scores.float() + self.padding)
        return torch.cat([span.argmax(2) for span in spans], dim=1)[:, self.rank]

    def closed(self, barred: Mapping[int, Tensor]) -> Tensor:
        """Give ``-inf`` at barred tokens, (size,) bool by column, else 0; (width,)."""
        closed = torch.zeros(self.width, device=self.start.device)
        for column, tokens in barred.items():
            first = int(self.start[column])
            closed[first : first + len(tokens)].masked_fill_(tokens.to(closed.device), -torch.inf)
        return closed

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one token a column, (B, D), from logits (B, width)."""
        return self.argmax(logits.float() + gumbel(logits.shape, generator))


def gumbel(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draw standard Gumbel noise, float32, on the generator's device."""
    uniform = torch.rand(*shape, generator=generator, device=generator.device)
    return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))


class Axes(nn.Module):
    """Where records stand on the axes of the O ordered columns.

    A record's place on an axis is its token's first position plus a fraction of the
    token's reach. Only P of the columns have tokens cut into parts, and only these need
    the fraction.

    Parameters
    ----------
    fields : Fields
        The columns.
    spans : Spans
        Their spans.
    """

    WAVES = (1, 2, 4)

    columns: Tensor
    low: Tensor
    reach: Tensor
    parts: Tensor
    with_parts: Tensor
    axis_with_parts: Tensor

    def __init__(self, fields: Fields, spans: Spans) -> None:
        super().__init__()
        ordered = [i for i, field in enumerate(fields) if field.positions is not None]
        with_parts = [i for i in ordered if fields[i].has_parts]
        low, reach = torch.zeros(2, spans.width, len(ordered))
        parts = torch.ones(spans.width, dtype=torch.int64)
        for column, field in enumerate(fields):
            here = slice(int(spans.start[column]), int(spans.start[column]) + field.size)
            parts[here] = torch.from_numpy(field.parts)
            if column in ordered:
                first, last = _ends(field)
                low[here, ordered.index(column)] = torch.from_numpy(first).float()
                reach[here, ordered.index(column)] = torch.from_numpy(last - first).float()
        self.n_axes = len(ordered)
        self.width = len(ordered) * (1 + 2 * len(self.WAVES))
        derived = {
            "columns": torch.tensor(ordered, dtype=torch.int64),
            "low": low,
            "reach": reach,
            "parts": parts,
            "with_parts": torch.tensor(with_parts, dtype=torch.int64),
            "axis_with_parts": torch.tensor(
                [ordered.index(column) for column in with_parts], dtype=torch.int64
            ),
        }
        for name, value in derived.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, one_hot: Tensor, fraction: Tensor) -> Tensor:
        """Describe places by themselves and by waves, (B, width).

        Parameters
        ----------
        one_hot : Tensor of shape (B, spans.width)
            Tokens as indicators; gradients pass.
        fraction : Tensor of shape (B, P)
            In [0, 1].
        """
        # bfloat16 would tell only 256 places apart.
        with torch.autocast(one_hot.device.type, enabled=False):
            spread = (one_hot @ self.reach)[:, self.axis_with_parts] * fraction
            place = (one_hot @ self.low).index_add(1, self.axis_with_parts, spread)
            angles = [math.pi * wave * place for wave in self.WAVES]
            waves = [function(angle) for angle in angles for function in (torch.sin, torch.cos)]
            return torch.cat([2 * place - 1, *waves], dim=1)

    def counts(self, flat: Tensor) -> Tensor:
        """Into how many parts the tokens at flat places (B, D) are cut, (B, P)."""
        return self.parts[flat[:, self.with_parts]]


def _ends(field: Field) -> tuple[np.ndarray, np.ndarray]:
    """First and last position of each token of an ordered column."""
    assert field.positions is not None
    return field.positions[:, 0], field.positions[np.arange(field.size), field.parts - 1]
