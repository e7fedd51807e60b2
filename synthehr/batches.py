"""Batches: index draws over records that stay on the device as int16.

Every batch is a function of the seed and the step alone, so that a run can be taken
up at any step without having drawn the steps before it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, final

import torch
from torch import Tensor

from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Records
from synthehr.models.sequence_base import SequenceBatch, Sequences

Seeds = Callable[[int], int]
"""From a step or an epoch to a seed."""


class Draw(Protocol):
    """Draws the batch of a step."""

    def __call__(self, step: int, generator: torch.Generator) -> Any:
        """Draw the batch of ``step``, with a generator already seeded for it."""
        ...


def take(codes: Tensor, index: Tensor) -> Tensor:
    """Take records at an index: (B, 2, D) int64, from codes of any integer type."""
    return codes.index_select(0, index).long()


@final
class Shuffled:
    """Every record once an epoch, in an order that changes with the epoch.

    An epoch's last, incomplete batch is left out.

    Parameters
    ----------
    records : Tensor of shape (N, 2, D), int16, or RecordSet
        The records.
    size : int
        Records a batch; all records where there are fewer.
    seeds : callable
        From an epoch to a seed.
    """

    def __init__(self, records: Records, size: int, seeds: Seeds) -> None:
        self.records = records
        self.device = (records if isinstance(records, Tensor) else records.tensors[0]).device
        self.size = min(size, len(records))
        self.per_epoch = len(records) // self.size
        self.seeds = seeds
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def __call__(self, step: int, generator: torch.Generator) -> Any:
        """Draw the batch of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            shuffler = torch.Generator().manual_seed(self.seeds(epoch))
            order = torch.randperm(len(self.records), generator=shuffler)
            self._order, self._epoch = order.to(self.device), epoch
        index = self._order[place * self.size : (place + 1) * self.size]
        if isinstance(self.records, Tensor):
            return Batch(take(self.records, index), None, generator)
        return self.records.take(index, generator)


def balanced_columns(fields: Fields) -> tuple[int, ...]:
    """Choose the columns that balanced batches draw from: those without an order.

    Where every column has an order, those that are not cut into parts; else all.
    """
    unordered = tuple(i for i, field in enumerate(fields) if field.positions is None)
    whole = tuple(i for i, field in enumerate(fields) if not field.has_parts)
    return unordered or whole or tuple(range(len(fields)))


@final
class Balanced:
    """Training by sampling: rare tokens come up more often than they are held.

    For each record of a batch choose a column, each as likely; a token of it, by the
    logarithm of one plus its count; and a record that holds it, each as likely
    (Xu et al. 2019, arXiv:1907.00503, §4.3).

    Parameters
    ----------
    codes : Tensor of shape (N, 2, D), int16
        The records.
    size : int
        Records a batch.
    columns : tuple of int
        Columns to choose from, see `balanced_columns`.
    """

    def __init__(self, codes: Tensor, size: int, columns: tuple[int, ...]) -> None:
        device = codes.device
        self.codes = codes
        self.size = size
        self.columns = torch.tensor(columns, device=device)
        # Compressed rows: for each column, the records in the order of their tokens.
        self.records = torch.empty((len(columns), len(codes)), dtype=torch.int32, device=device)
        counts, courses = [], []
        for row, column in enumerate(columns):
            tokens = codes[:, 0, column]
            self.records[row] = torch.argsort(tokens, stable=True)
            held = torch.bincount(tokens.int())
            course = torch.log1p(held.double()).cumsum(0)
            counts.append(held)
            courses.append(row + course / course[-1])
        sizes = torch.tensor([len(held) for held in counts], device=device)
        self.first = sizes.cumsum(0) - sizes
        self.last = self.first + sizes - 1
        self.counts = torch.cat(counts)
        self.starts = torch.cat([held.cumsum(0) - held for held in counts])
        self.course = torch.cat(courses)

    def __call__(self, step: int, generator: torch.Generator) -> Batch:
        """Draw the batch of a step; its condition holds column and token."""
        device, n = self.codes.device, self.size
        row = torch.randint(len(self.columns), (n,), generator=generator, device=device)
        draws = torch.rand(2, n, dtype=torch.float64, generator=generator, device=device)
        slot = torch.searchsorted(self.course, row + draws[0], right=True)
        # a sum that rounds up to the next column's start would land there
        slot = torch.minimum(slot, self.last[row])
        place = self.starts[slot] + (draws[1] * self.counts[slot]).long()
        index = self.records[row, place]
        condition = torch.stack([self.columns[row], slot - self.first[row]], 1)
        return Batch(take(self.codes, index), condition, generator, asked=condition)


@final
class Bucketed:
    """Every patient once an epoch, in batches of patients with alike numbers of visits.

    Within stretches of a shuffled order patients are sorted by their number of visits, so that
    little of a batch is padding; then the batches are shuffled. What is over at the end of an
    epoch, less than a batch, is left out.

    Parameters
    ----------
    sequences : Sequences
        The patients.
    size : int
        Patients a batch; all where there are fewer.
    seeds : callable
        From an epoch to a seed.
    """

    STRETCH = 8

    def __init__(self, sequences: Sequences, size: int, seeds: Seeds) -> None:
        self.sequences = sequences
        self.lengths = sequences.lengths.cpu()
        self.size = min(size, len(sequences))
        self.per_epoch = len(sequences) // self.size
        self.seeds = seeds
        self._epoch = -1
        self._batches = torch.empty(0, 0, dtype=torch.int64)

    def __call__(self, step: int, generator: torch.Generator) -> SequenceBatch:
        """Draw the batch of a step."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._batches, self._epoch = self._ordered(epoch), epoch
        index = self._batches[place].to(self.sequences.starts.device)
        return self.sequences.take(index, generator)

    def _ordered(self, epoch: int) -> Tensor:
        shuffler = torch.Generator().manual_seed(self.seeds(epoch))
        order = torch.randperm(len(self.lengths), generator=shuffler)
        order = order[: self.per_epoch * self.size]
        stretches = order.split(self.STRETCH * self.size)
        sorted_ = torch.cat([part[self.lengths[part].argsort(stable=True)] for part in stretches])
        batches = sorted_.view(self.per_epoch, self.size)
        return batches[torch.randperm(self.per_epoch, generator=shuffler)]
