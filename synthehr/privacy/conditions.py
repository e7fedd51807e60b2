"""Conditions of private batches: a record is shown with a token of its own.

Picking records by a token would look at all of them. So records come as they are drawn, each
with its token of a column chosen at random, and records that the model makes up are asked for
tokens by the noisy shares that the encoder holds.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from synthehr.batches import balanced_columns
from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Model


@final
class Conditions:
    """Chooses conditions; those of made-up records see no patient.

    Parameters
    ----------
    fields : Fields
        The columns.
    """

    def __init__(self, fields: Fields) -> None:
        self.columns = torch.tensor(balanced_columns(fields))
        sizes = [fields[int(column)].size for column in self.columns]
        self._course = torch.ones(len(sizes), max(sizes), dtype=torch.float64)
        for row, column in enumerate(self.columns.tolist()):
            shares = torch.from_numpy(fields[column].shares).double()
            self._course[row, : sizes[row]] = shares.cumsum(0) / shares.sum()

    def batch(self, codes: Tensor, generator: torch.Generator) -> Batch:
        """Make a batch of records (B, 2, D), and of as many to be made up."""
        held = self.held(codes, generator)
        return Batch(codes, held, generator, asked=self.asked(len(codes), generator))

    def held(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Choose a column for each record of (B, 2, D), and its own token there; (B, 2)."""
        column = self.columns.to(codes.device)[self._rows(len(codes), generator)]
        return torch.stack([column, codes[:, 0].gather(1, column[:, None])[:, 0]], 1)

    def asked(self, n: int, generator: torch.Generator) -> Tensor:
        """Choose a column and a token by its share, for records to be made up; (n, 2)."""
        device = generator.device
        row = self._rows(n, generator)
        luck = torch.rand(n, 1, dtype=torch.float64, generator=generator, device=device)
        course = self._course.to(device)[row]
        token = (course <= luck).sum(1).clamp(max=course.shape[1] - 1)
        return torch.stack([self.columns.to(device)[row], token], 1)

    @classmethod
    def of(cls, model: Model, fields: Fields) -> Conditions | None:
        """Make what a model's batches need; None where that is nothing."""
        return cls(fields) if model.batching == "balanced" else None

    def _rows(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.columns), (n,), generator=generator, device=generator.device)
