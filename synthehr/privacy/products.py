"""Norms of sums of outer products, record by record: what gradients of linear maps are.

Shapes: B records, T places of a record, I inputs and O outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

Gradients = Sequence[tuple[Tensor, Tensor]]
"""Weights, each with a gradient."""


def squares(x: Tensor) -> Tensor:
    """Sum of squares of each record; (B,)."""
    return x.flatten(1).square().sum(1)


def product_norms(x: Tensor, gradient: Tensor) -> Tensor:
    """Squared norm of each record's sum over places of outer products; (B,).

    Parameters
    ----------
    x, gradient : Tensor of shape (B, T, I) and (B, T, O)
        Of B records at T places.
    """
    if x.shape[1] * (x.shape[2] + gradient.shape[2]) < x.shape[2] * gradient.shape[2]:
        # |sum of outer products|² is the sum over pairs of places of products of products.
        pairs = (x @ x.mT) * (gradient @ gradient.mT)
        return pairs.sum((1, 2)).clamp_(min=0.0)
    return squares(x.mT @ gradient)
