"""How far drawn records are from held-out ones: what stops and chooses an adversarial model."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthehr.encode.fields import Field, Fields
from synthehr.models.layers import Spans

CLASSES = 8
DRAWN = 8192


@final
class Fidelity(nn.Module):
    """Mean total variation distance of all one- and two-way tables.

    Tokens are first pooled into at most eight classes a column: neighbours of like share
    where the column is ordered, else the seven most common ones and the rest.

    Parameters
    ----------
    fields : Fields
        The columns.
    spans : Spans
        Their spans.
    """

    classes: Tensor

    def __init__(self, fields: Fields, spans: Spans) -> None:
        super().__init__()
        self.spans = spans
        classes = torch.zeros(spans.width, dtype=torch.int64)
        for column, field in enumerate(fields):
            first = int(spans.start[column])
            pooled = torch.from_numpy(_pooled(field))
            classes[first : first + field.size] = CLASSES * column + pooled
        self.n_columns = len(fields)
        self.register_buffer("classes", classes, persistent=False)

    def size(self, codes: Tensor) -> int:
        """How many records to draw against these held-out ones."""
        return min(DRAWN, max(2048, len(codes)))

    def forward(self, codes: Tensor, drawn: Tensor) -> float:
        """Compare codes (N, 2, D) with codes (M, 2, D); 0 best, 1 worst."""
        gap = (self._tables(codes) - self._tables(drawn)).abs()
        n = self.n_columns
        within = gap.diagonal().sum().item() / (2 * n)
        if n == 1:
            return within
        across = (gap.sum().item() - gap.diagonal().sum().item()) / (2 * n * (n - 1))
        return 0.5 * (within + across)

    def _tables(self, codes: Tensor) -> Tensor:
        """All two-way tables of shares in one matrix; the diagonal holds the one-way ones."""
        places = self.classes[self.spans.flat(codes[:, 0])]
        indicator = torch.zeros(len(codes), CLASSES * self.n_columns, device=codes.device)
        indicator.scatter_(1, places, 1.0)
        return indicator.T @ indicator / len(codes)


def _pooled(field: Field) -> NDArray[np.int64]:
    """Class of each token of a column."""
    if field.positions is not None:
        middle = np.cumsum(field.shares) - field.shares / 2
        return np.minimum((middle * CLASSES).astype(np.int64), CLASSES - 1)
    order = np.argsort(-field.shares, kind="stable")
    pooled = np.full(field.size, CLASSES - 1, dtype=np.int64)
    pooled[order[: CLASSES - 1]] = np.arange(min(CLASSES - 1, field.size))
    return pooled
