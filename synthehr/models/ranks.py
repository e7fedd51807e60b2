"""Ranks tell a network which tokens of a numeric column are neighbours.

Tokens alone do not: each is a class of its own, and what a record of age 61 teaches about
blood pressure says nothing of age 62, nor a pressure of 130 anything of 135.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthehr.encode.fields import Field, Fields


def rank_width(frequencies: int) -> int:
    """Count the features of a rank."""
    return 2 + 2 * frequencies


def rank_features(positions: NDArray[np.float64], frequencies: int) -> NDArray[np.float32]:
    """Continuous features of a rank in (0, 1): itself, its normal score, Fourier pairs.

    They let tight numeric relations generalise (Gorishniy et al. 2022, arXiv:2203.05556).

    Returns
    -------
    ndarray of shape (*positions.shape, 2 + 2 * frequencies), float32
    """
    rank = torch.from_numpy(np.clip(positions, 1e-4, 1 - 1e-4))
    angles = math.pi * rank[..., None] * 2.0 ** torch.arange(frequencies)
    plain = torch.stack([2 * rank - 1, torch.special.ndtri(rank) / 1.5], -1)
    return torch.cat([plain, angles.sin(), angles.cos()], -1).float().numpy()


def normal_scores(field: Field) -> NDArray[np.float64]:
    """Scores of the parts of an ordered column's tokens, in standard units; (size, P)."""
    assert field.positions is not None
    clipped = torch.from_numpy(np.clip(field.positions, 1e-3, 1 - 1e-3))
    scores = torch.special.ndtri(clipped).numpy()
    shares = field.shares.copy()
    if field.null is not None:
        shares[field.null] = 0.0
    shares /= max(shares.sum(), 1e-9)
    centre = scores.mean(1)
    mean = shares @ centre
    scale = max(float(shares @ (centre - mean) ** 2) ** 0.5, 1e-3)
    return (scores - mean) / scale


def own_scale(fields: Fields, ordered: list[int], share: float) -> Tensor:
    """Say how much each token has for itself, (V, 1): a share where it has a rank, else all."""
    scales = [np.ones(field.size, np.float32) for field in fields]
    for column in ordered:
        scales[column][:] = share
        if (null := fields[column].null) is not None:
            scales[column][null] = 1.0
    return torch.from_numpy(np.concatenate(scales))[:, None]


@final
class RankHead(nn.Module):
    """What the weights of a head have in common among the tokens of a numeric column.

    A token's weights are its own, scaled down, plus slopes times the features of its rank.
    Slopes are few and every record teaches them, so that a thousand records are enough to
    learn that pressure rises with age; a token's own weights hear of the records in its bin
    alone, and fit what those few happen to be.

    Parameters
    ----------
    fields : Fields
        The columns.
    ordered : list of int
        Those with ranks; at least one.
    own : Tensor of shape (V, 1)
        Scale of the weights that each token has for itself.
    width : int
        Inputs of the head.
    frequencies : int
        Fourier pairs of a rank.
    """

    def __init__(
        self, fields: Fields, ordered: list[int], own: Tensor, width: int, frequencies: int
    ) -> None:
        super().__init__()
        self.places = {column: place for place, column in enumerate(ordered)}
        starts = np.cumsum([0, *(field.size for field in fields)])
        longest = max(fields[column].size for column in ordered)
        features = np.zeros((len(ordered), longest, rank_width(frequencies)), np.float32)
        rows, tokens = [], []
        for place, column in enumerate(ordered):
            field = fields[column]
            assert field.positions is not None
            centre = field.positions.mean(1)
            features[place, : field.size] = rank_features(centre, frequencies)
            if field.null is not None:
                features[place, field.null] = 0.0
            rows.append(place * longest + np.arange(field.size))
            tokens.append(np.arange(starts[column], starts[column + 1]))
        self.slopes = nn.Parameter(torch.zeros(len(ordered), features.shape[2], width))
        self.register_buffer("own", own, False)
        self.register_buffer("features", torch.from_numpy(features), False)
        self.register_buffer("rows", torch.from_numpy(np.concatenate(rows)), False)
        self.register_buffer("tokens", torch.from_numpy(np.concatenate(tokens)), False)
        self.starts = starts.tolist()

    own: Tensor
    features: Tensor
    rows: Tensor
    tokens: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        """Turn the weights that tokens have for themselves into those that count; (V, width)."""
        shared = torch.bmm(self.features, self.slopes).flatten(0, 1)
        return (weight * self.own).index_add(0, self.tokens, shared[self.rows].to(weight.dtype))

    def of_column(self, column: int, weight: Tensor) -> Tensor:
        """Do so for the tokens of one column; (size, width)."""
        start = self.starts[column]
        weight = weight * self.own[start : start + len(weight)]
        place = self.places.get(column)
        if place is None:
            return weight
        return weight + self.features[place, : len(weight)] @ self.slopes[place]
