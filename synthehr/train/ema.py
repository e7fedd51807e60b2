"""Moving average of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn

EVERY = 8
"""Steps between two updates; one update then counts for all of them."""


@final
class Average:
    """Exponential moving average of a module's weights.

    The decay at step t is ``min(decay, (1 + t) / (10 + t))``, so that short runs are not
    averaged with their random start.

    Parameters
    ----------
    module : nn.Module
        Whose parameters are followed; buffers are not averaged.
    decay : float
        Largest decay of a step; 0 follows the weights exactly.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.step = 0
        self.weights = [parameter.detach() for parameter in module.parameters()]
        self.values = [w.clone() for w in self.weights] if decay > 0 else self.weights

    def update(self, step: int, *, force: bool = False) -> None:
        """Take in the weights after ``step`` steps, if an update is due or forced.

        NOTE[DIFF] one update of decay**k in place of k updates: an eighth of the memory
        traffic, and with decays near one the same average.
        """
        gap = step - self.step
        if self.values is self.weights or gap == 0 or (gap < EVERY and not force):
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        torch.ops.aten._foreach_lerp_.Scalar(self.values, self.weights, 1.0 - decay**gap)
        self.step = step

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Context in which the module holds the averaged weights."""
        if self.values is self.weights:
            yield
            return
        held: list[Tensor] = [w.clone() for w in self.weights]
        torch.ops.aten._foreach_copy_.default(self.weights, self.values)
        try:
            yield
        finally:
            torch.ops.aten._foreach_copy_.default(self.weights, held)
