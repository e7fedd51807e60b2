"""Batches of patients with some rows of each, under differential privacy.

A batch has the same number of slots, and of places for rows in each, whoever is in it. See
`synthehr.privacy.slots`, which this follows. What a row is, a record set knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthehr.models.base import Loss
from synthehr.privacy import noise
from synthehr.privacy.allowed import rehearse_on
from synthehr.privacy.slots import poisson

MakeBatch = Callable[[Sequence[Tensor], Tensor, torch.Generator], Any]
"""Makes a batch of rows' tensors, (B, …) each, of which rows are there, (B,), and of chance."""


@final
class RowSlots:
    """Draws batches of patients; of each, as many rows as are shown at most, at random.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (N, …)
        The rows.
    patients : ndarray of shape (N,), int64, or None
        Patient of each row, numbered from 0; None where each row is a patient.
    rate : float
        Probability that a patient is in a batch.
    slots : int
        Patients of a batch, there or not.
    most : int
        Rows of a patient that a batch shows, at most.
    make : callable
        Makes the batch that the model is given.

    Attributes
    ----------
    filled : Tensor of shape (slots * most,), bool
        Which rows of the last batch are there and not blanks.
    owners : Tensor of shape (slots * most,), int64, or None
        Whose place each row is; None where each row is a patient.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        patients: NDArray[np.int64] | None,
        rate: float,
        slots: int,
        most: int,
        make: MakeBatch,
    ) -> None:
        self.tensors, self.rate, self.slots, self.make = tensors, rate, slots, make
        self.most = 1 if patients is None else most
        device = tensors[0].device
        self.filled = torch.zeros(slots * self.most, dtype=torch.bool, device=device)
        self.owners: Tensor | None = None
        if self.most > 1:
            self.owners = torch.arange(slots, device=device).repeat_interleave(self.most)
        owners = np.arange(len(tensors[0])) if patients is None else patients
        self._order = torch.from_numpy(np.argsort(owners, kind="stable"))
        self._counts = torch.from_numpy(np.bincount(owners))
        self._starts = self._counts.cumsum(0) - self._counts

    def __call__(self, step: int, generator: torch.Generator) -> Any:
        """Draw a batch; neither the step nor the generator says whom it holds."""
        drawn, places = poisson(len(self._counts), self.rate, self.slots)
        counts = self._counts[drawn]
        whose = torch.arange(len(drawn)).repeat_interleave(counts)
        first = counts.cumsum(0) - counts
        # Sorted by chance within each patient, so that the first ones are a draw of his rows.
        order = (whose.double() + noise.uniform(len(whose)).mul_(0.5)).argsort()
        place = torch.arange(len(whose)) - first[whose]
        shown = order[place < self.most]
        rows = self._order[(self._starts[drawn] - first)[whose[shown]] + shown]
        into = (places[whose] * self.most + place)[place < self.most]
        return self.batch(
            [tensor[rows.to(tensor.device)] for tensor in self.tensors], into, generator
        )

    def batch(self, rows: Sequence[Tensor], into: Tensor, generator: torch.Generator) -> Any:
        """Make a batch of chosen rows, (k, …), in chosen places, (k,)."""
        into = into.to(self.filled.device)
        self.filled = torch.zeros_like(self.filled).index_fill_(0, into, True)
        laid = [
            row.new_zeros((len(self.filled), *row.shape[1:])).index_copy_(0, into, row)
            for row in rows
        ]
        return self.make(laid, self.filled, generator)


def rehearse_rows(
    model: nn.Module,
    losses: Callable[[Any], Iterator[Loss]],
    made_up: Sequence[Tensor],
    make: MakeBatch,
) -> int:
    """Rehearse a step of a model of rows, see `synthehr.privacy.allowed.rehearse_on`.

    Two rows are each patient's, so that what is summed within a patient is rehearsed as well.

    Parameters
    ----------
    model : nn.Module
        What is to be trained.
    losses : callable
        From a batch to the losses of a step.
    made_up : sequence of Tensor of shape (R, …)
        Rows that are nobody's; R is even.
    make : callable
        As of `RowSlots`.

    Returns
    -------
    int
        How often a step looks at its patients.

    Raises
    ------
    ConfigError
        Differential privacy would not hold.
    """
    rows = len(made_up[0])
    slots = RowSlots(made_up, np.arange(rows) // 2, 1.0, rows // 2, 2, make)
    slots.filled = torch.ones(rows, dtype=torch.bool)
    changed = [tensor.clone() for tensor in made_up]
    for tensor in changed:
        tensor[0] = tensor[1]

    def of_step(tensors: Sequence[Tensor], generator: torch.Generator) -> Iterator[Loss]:
        return losses(make(tensors, slots.filled, generator))

    return rehearse_on(model, slots, of_step, made_up, changed)
