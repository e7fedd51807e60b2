"""Reading the known cells of records: the first layer of a network over tokens.

Shapes: B records, D columns, V tokens of all columns side by side, P parts at most.
"""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.fields import Fields
from synthehr.models.ranks import own_scale, rank_features, rank_width


@final
class CellReader(nn.Module):
    """A linear layer over embeddings and ranks of known cells, and marks of which are known.

    Parameters
    ----------
    fields : Fields
        The columns.
    width : int
        Outputs.
    embedding : int
        Width of a token's embedding.
    frequencies : int
        Fourier pairs of a numeric cell's rank.
    own_share : float
        How much a numeric token's embedding has for itself at the start, beside its rank.
    """

    def __init__(
        self, fields: Fields, *, width: int, embedding: int, frequencies: int, own_share: float
    ) -> None:
        super().__init__()
        sizes = np.array([field.size for field in fields])
        self.starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self.ordered = [d for d, field in enumerate(fields) if field.positions is not None]
        self.most_parts = max(int(field.parts.max()) for field in fields)
        tokens, columns = int(sizes.sum()), len(fields)
        self.embedding = nn.Embedding(tokens, embedding)
        with torch.no_grad():
            own = own_scale(fields, self.ordered, own_share)
            self.embedding.weight.normal_(std=0.5).mul_(own)
        ranked = rank_width(frequencies)
        self.input_widths = [embedding] * columns + [ranked] * len(self.ordered) + [columns]
        self.input = nn.Linear(sum(self.input_widths), width)
        ranks = np.zeros((tokens, self.most_parts, ranked), np.float32)
        for start, field in zip(self.starts, fields, strict=False):
            if field.positions is not None:
                here = ranks[start : start + field.size]
                here[:, : field.positions.shape[1]] = rank_features(field.positions, frequencies)
                if field.null is not None:
                    here[field.null] = 0.0
        self.register_buffer("ranks", torch.from_numpy(ranks.reshape(-1, ranked)), False)
        self.register_buffer("offsets", torch.tensor(self.starts[:-1]), False)
        self.register_buffer("ordered_index", torch.tensor(self.ordered, dtype=torch.long), False)

    ranks: Tensor
    offsets: Tensor
    ordered_index: Tensor

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        """Look at the known cells, (B, D) bool, of codes (B, 2, D); (B, width)."""
        tokens = codes[:, 0] + self.offsets
        flags = known.float()
        embedded = self.embedding(tokens) * flags[..., None]
        rows = tokens[:, self.ordered_index] * self.most_parts + codes[:, 1, self.ordered_index]
        ranks = functional.embedding(rows, self.ranks) * flags[:, self.ordered_index, None]
        return self.input(torch.cat([embedded.flatten(1), ranks.flatten(1), flags], 1))

    def nothing_known(self, n: int) -> Tensor:
        """Give the layer of n records of which nothing is known; (n, width)."""
        return self.input.bias.expand(n, -1).clone()

    def column_input(self, column: int, codes: Tensor) -> Tensor:
        """Give what a known column adds to the layer; (n, width)."""
        pieces = self.input.weight.split(self.input_widths, 1)
        tokens = codes[:, 0, column] + self.starts[column]
        added = functional.linear(self.embedding(tokens), pieces[column], pieces[-1][:, column])
        if column in self.ordered:
            ranks = self.ranks[tokens * self.most_parts + codes[:, 1, column]]
            piece = pieces[codes.shape[2] + self.ordered.index(column)]
            added = added + functional.linear(ranks, piece)
        return added
