"""One noisy sum of bounded vectors, of which a model learns without a further look.

Harder, Adamczewski and Park 2021, arXiv:2002.11603.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.privacy import noise
from synthehr.privacy.plan import Budget, too_little

ROWS = 256
"""Vectors that are held at a time."""
MOST_NOISE_OF_A_MEAN = 0.25
"""Length of a mean's noise, at most; what it drowns is no longer than 1."""


def refuse_drowned(budget: Budget, multiplier: float, width: int) -> None:
    """Refuse a budget whose noise drowns the mean.

    Parameters
    ----------
    budget : Budget
        What may be spent.
    multiplier : float
        Standard deviation of the noise of each number of the sum.
    width : int
        How many numbers these are.

    Raises
    ------
    ConfigError
        Naming the smallest ε, and the smallest number of patients, that could work.
    """
    most = MOST_NOISE_OF_A_MEAN * budget.patients / math.sqrt(width)
    if multiplier > most:
        raise too_little(budget, most, multiplier)


def noisy_sum(
    contributions: Callable[[Tensor], Tensor],
    rows: int,
    patients: NDArray[np.int64] | None,
    multiplier: float,
) -> Tensor:
    """Sum what patients contribute, each at most a vector of length 1, and add normal noise.

    Of a patient's rows the mean counts. Rows that are longer than 1 are cut to that, so that no
    promise of the one who gives them is needed; those that are not finite count as nothing.

    Parameters
    ----------
    contributions : callable
        From an index of rows, (k,), to their vectors, (k, E).
    rows : int
        How many rows there are.
    patients : ndarray of shape (N,), int64, or None
        Patient of each row; None where each row is a patient.
    multiplier : float
        Standard deviation of the noise.

    Returns
    -------
    Tensor of shape (E,), float64
    """
    weights = torch.ones(rows, dtype=torch.float64)
    if patients is not None:
        weights = torch.from_numpy(1.0 / np.bincount(patients)[patients])
    total = torch.zeros((), dtype=torch.float64)
    for index in torch.arange(rows).split(ROWS):
        found = contributions(index).double()
        found = torch.where(found.isfinite().all(1, keepdim=True), found, 0.0)
        found = found / found.norm(dim=1, keepdim=True).clamp(min=1.0)
        total = total + weights[index].to(found.device) @ found
    return total + multiplier * noise.normal(total.numel()).to(total.device)
