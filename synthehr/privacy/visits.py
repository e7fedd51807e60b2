"""Batches of patients with their visits under differential privacy, and their rehearsal.

A batch has the same number of slots and of places for visits whoever is in it. See
`synthehr.privacy.slots`, which this follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from synthehr.encode.sequence import SequenceFields
from synthehr.models.base import Loss
from synthehr.models.sequence_base import SequenceBatch, SequenceModel, Sequences
from synthehr.privacy.allowed import REHEARSED, made_up_codes, rehearse_on
from synthehr.privacy.slots import poisson

MOST_REHEARSED = 8
"""Visits of a patient in a rehearsal, at most."""


@final
class SequenceSlots:
    """Draws batches of patients with all their visits.

    Parameters
    ----------
    records : Sequences
        The patients.
    rate : float
        Probability that a patient is in a batch.
    slots : int
        Patients of a batch, filled or not.
    most_visits : int
        Places for visits of each; no patient has more.

    Attributes
    ----------
    owners : None
        Each is a record of its own.
    filled : Tensor of shape (slots,), bool
        Which patients of the last batch are there and not blanks.
    """

    def __init__(self, records: Sequences, rate: float, slots: int, most_visits: int) -> None:
        self.records = records
        self.rate = rate
        self.slots = slots
        self.most_visits = most_visits
        self.owners: Tensor | None = None
        self.filled = torch.zeros(slots, dtype=torch.bool, device=records.starts.device)

    def __call__(self, step: int, generator: torch.Generator) -> SequenceBatch:
        """Draw a batch; neither the step nor the generator says whom it holds."""
        drawn, places = poisson(len(self.records), self.rate, self.slots)
        device = self.records.starts.device
        return self.batch(drawn.to(device), places.to(device), generator)

    def batch(self, drawn: Tensor, places: Tensor, generator: torch.Generator) -> SequenceBatch:
        """Make a batch of chosen patients, (k,), in chosen slots, (k,)."""
        records = self.records
        self.filled = torch.zeros_like(self.filled).index_fill_(0, places, True)
        static = records.static.new_zeros(
            (self.slots, *records.static.shape[1:]), dtype=torch.int64
        )
        static[places] = records.static[drawn].long()
        room = torch.arange(self.most_visits, device=places.device)
        starts, lengths = (
            torch.zeros_like(self.filled, dtype=torch.int64).index_put_((places,), part[drawn])
            for part in (records.starts, records.lengths)
        )
        present = room < lengths[:, None]
        visits = records.visits.new_zeros(
            (*present.shape, *records.visits.shape[1:]), dtype=torch.int64
        )
        visits[present] = records.visits[(starts[:, None] + room)[present]].long()
        return SequenceBatch(static, visits, present, generator, self.filled)


def rehearse_visits(model: SequenceModel, fields: SequenceFields) -> int:
    """Rehearse a step of a model of visits, see `synthehr.privacy.allowed.rehearse_on`.

    Returns
    -------
    int
        How often a step looks at its patients.

    Raises
    ------
    ConfigError
        Differential privacy would not hold.
    """
    lengths = 1 + torch.arange(REHEARSED) % (MOST_REHEARSED - 2)
    starts = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    static = made_up_codes(fields.static, REHEARSED)
    visits = made_up_codes(fields.visits, int(starts[-1]))
    everyone = torch.arange(REHEARSED)
    slots = SequenceSlots(Sequences(static, visits, starts), 1.0, REHEARSED, MOST_REHEARSED)
    made_up = slots.batch(everyone, everyone, torch.default_generator)
    once, each, present = (part.clone() for part in made_up[:3])
    once[0] = once[1]
    each[0] = made_up_codes(fields.visits, 2 * MOST_REHEARSED)[MOST_REHEARSED:]
    present[0] = True

    def losses(batch: SequenceBatch, generator: torch.Generator) -> Iterator[Loss]:
        filled = slots.filled
        there = batch.present & filled[:, None]
        return model.losses(batch._replace(present=there, generator=generator, filled=filled), 0)

    changed = SequenceBatch(once, each, present, torch.default_generator, slots.filled)
    return rehearse_on(model, slots, losses, made_up, changed)
