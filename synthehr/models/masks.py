"""Which columns an any-order network is shown in training, and what the hidden ones weigh."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_masks(
    n: int,
    columns: int,
    generator: torch.Generator,
    *,
    ordered_share: float,
    next_weight: float,
) -> tuple[Tensor, Tensor]:
    """Draw n masks: which columns are known, and the weights of the losses; both (n, D).

    Parameters
    ----------
    n, columns : int
        Records and columns.
    generator : torch.Generator
        The source of randomness, on the device of what it gives.
    ordered_share : float
        Share of the masks that reveal columns in the table's order.
    next_weight : float
        In those masks, the weight of the next column; the other hidden ones share the rest.
    """
    device = generator.device
    # Evenly spaced in place of independent draws: the same expectation, less noise.
    order = torch.randperm(n, generator=generator, device=device)
    shift = torch.rand(1, generator=generator, device=device)
    n_known = ((order + shift) / n * columns).long().clamp_(max=columns - 1)[:, None]
    place = torch.arange(columns, device=device).expand(n, -1)
    noise = torch.rand(n, columns, generator=generator, device=device)
    ordered = torch.rand(n, 1, generator=generator, device=device) < ordered_share
    place = torch.where(ordered, place, noise.argsort(1).argsort(1))
    known = place < n_known
    weights = columns / (columns - n_known) * ~known
    following = columns * (place == n_known)
    share = next_weight * ordered
    return known, (1 - share) * weights + share * following
