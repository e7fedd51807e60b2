"""Randomness that nobody can repeat: drawn from the operating system, never seeded or kept.

A seeded generator would undo the guarantee twice: whoever knows the seed subtracts the
noise, and knows which records were in which batch.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_WORTH_A_THREAD = 1 << 15
_SMALL = 1 << 20


def uniform(n: int) -> Tensor:
    """Draw n numbers uniformly from (0, 1]; float64.

    Both ends are safe for a logarithm: the smallest is 2**-53.
    """
    return torch.from_numpy(_uniform(n))


def _uniform(n: int) -> NDArray[np.float64]:
    words = np.frombuffer(os.urandom(8 * n), dtype=np.uint64) >> np.uint64(11)
    return (words.astype(np.float64) + 1.0) * 2.0**-53


def normal(n: int) -> Tensor:
    """Draw n standard normal numbers; float64.

    Box and Muller 1958 (doi:10.1214/aoms/1177706645), each pair of uniform numbers turned
    into a pair of normal ones. Many numbers are drawn by several threads: most of the time is
    the operating system's, and a model's weights need many.
    """
    threads = min(torch.get_num_threads(), n // _WORTH_A_THREAD)
    if threads < 2:
        return torch.from_numpy(_normal(n))
    share = -(-n // threads)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(_normal, [share] * threads))
    return torch.from_numpy(np.concatenate(parts)[:n])


def _normal(n: int) -> NDArray[np.float64]:
    pairs = -(-n // 2)
    words = np.frombuffer(os.urandom(8 * pairs), dtype=np.uint32).reshape(2, pairs)
    share = (words[0].astype(np.float64) + 0.5) * 2.0**-32
    # A small share is a large radius: it gets its digits, all of them, from further numbers.
    small = np.flatnonzero(words[0] < _SMALL)
    share[small] = (words[0][small] + _uniform(len(small))) * 2.0**-32
    radius = np.sqrt(-2.0 * np.log(share))
    # The digits of the radius are enough for two numbers; cosines in single precision are cheap.
    angle = words[1].astype(np.float32) * np.float32(2.0 * math.pi * 2.0**-32)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:n]


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
