"""Randomness that nobody can repeat: drawn from the operating system, never seeded or kept.

A seeded generator would undo the guarantee twice: whoever knows the seed subtracts the
noise, and knows which records were in which batch.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import final

import numpy as np
import torch
from torch import Tensor


def uniform(n: int) -> Tensor:
    """Draw n numbers uniformly from (0, 1]; float64.

    Both ends are safe for a logarithm: the smallest is 2**-53.
    """
    words = np.frombuffer(os.urandom(8 * n), dtype=np.uint64) >> np.uint64(11)
    return torch.from_numpy((words + 1.0) * 2.0**-53)


def normal(n: int) -> Tensor:
    """Draw n standard normal numbers; float64.

    Box and Muller 1958 (doi:10.1214/aoms/1177706645), each pair of uniform numbers turned
    into a pair of normal ones.
    """
    pairs = -(-n // 2)
    drawn = uniform(2 * pairs)
    radius = drawn[:pairs].log_().mul_(-2.0).sqrt_()
    angle = drawn[pairs:].mul_(2.0 * math.pi)
    return torch.cat([radius * angle.cos(), radius * angle.sin()])[:n]


@final
class Ahead:
    """Draws the normal numbers of the next step while this one is computed.

    Drawing takes a third of a private step, and half of that is the operating system's.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._next: Future[Tensor] | None = None

    def take(self, n: int) -> Tensor:
        """Draw n standard normal numbers; float64."""
        drawn = None if self._next is None else self._next.result()
        self._next = self._thread.submit(normal, n)
        return drawn if drawn is not None and len(drawn) == n else normal(n)


def chosen(n: int, rate: float) -> Tensor:
    """Choose each of n items on its own with the same probability; their indices, ascending.

    Distances between chosen items are geometric, so that the cost is that of the chosen
    ones and not of all.
    """
    if rate >= 1.0:
        return torch.arange(n)
    expected = n * rate
    index = torch.empty(0, dtype=torch.int64)
    last = -1
    while last < n:
        more = math.ceil(expected + 6.0 * math.sqrt(expected + 1.0)) + 1
        gaps = (uniform(more).log_() / math.log1p(-rate)).floor_().clamp_(max=float(n)).long() + 1
        reached = last + gaps.cumsum(0)
        index = torch.cat([index, reached])
        last = int(reached[-1])
    return index[index < n]
