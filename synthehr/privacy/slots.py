"""Batches under differential privacy: a fixed number of slots, most of them filled.

Each patient is in a batch on his own with the same public probability, and the batch has
the same shape whoever is in it. So what a model does batch by batch (evenly spread masks, a
number of fake records) cannot hang on the number of records drawn, and one patient more
changes one slot and no other: the slots of all others, and the random numbers that go with
them, are the same. A model may drop the slots left blank once those numbers are drawn
(`synthehr.models.base.Batch.present`), so that they cost no work. Where patients have visits, as
many numbers are drawn for each patient as the most visits that are allowed in public, not as
many as the longest history of the batch has: else that patient moves the numbers of the others.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom
from torch import Tensor

from synthehr.models.base import Batch
from synthehr.privacy import noise
from synthehr.privacy.conditions import Conditions

OVERFLOW = 1e-3
"""Share of δ that may go to batches that have more records than slots."""


def slots_for(patients: int, rate: float, steps: int, delta: float) -> tuple[int, float]:
    """Choose how many slots a batch has, and bound the chance that any step has too few.

    Parameters
    ----------
    patients : int
        The largest number of patients that may take part, in public.
    rate : float
        Probability of each to be in a batch.
    steps : int
        Number of batches.
    delta : float
        The δ of the whole run.

    Returns
    -------
    slots : int
    chance : float
        At most `OVERFLOW` of delta.
    """
    slots = math.ceil(patients * rate)
    allowed = OVERFLOW * delta / steps
    slots = max(slots, int(binom.isf(allowed, patients, rate)))
    while (tail := float(binom.sf(slots, patients, rate))) > allowed:
        slots += 1
    return slots, steps * tail


def poisson(patients: int, rate: float, slots: int) -> tuple[Tensor, Tensor]:
    """Draw who is in a batch, each on his own, and where.

    Parameters
    ----------
    patients : int
        How many there are.
    rate : float
        Probability of each.
    slots : int
        Places of a batch; the rest stay blank.

    Returns
    -------
    drawn, places : Tensor of shape (P,), int64
        Patients, and the slot of each.
    """
    drawn = noise.chosen(patients, rate)
    drawn = drawn[noise.uniform(len(drawn)).argsort()][:slots]
    return drawn, noise.uniform(slots).argsort()[: len(drawn)]


@final
class Slots:
    """Draws batches of patients; of each patient in a batch, one record at random.

    Parameters
    ----------
    codes : Tensor of shape (N, 2, D), int16
        The records.
    patients : ndarray of shape (N,), int64, or None
        Patient of each record, numbered from 0; None where each record is a patient.
    rate : float
        Probability that a patient is in a batch.
    slots : int
        Records of a batch, filled or not.
    conditions : Conditions, optional
        For models whose records are drawn under conditions.

    Attributes
    ----------
    owners : None
        Each is a record of its own.
    filled : Tensor of shape (slots,), bool
        Which records of the last batch are patients' and not blanks.
    """

    def __init__(
        self,
        codes: Tensor,
        patients: NDArray[np.int64] | None,
        rate: float,
        slots: int,
        conditions: Conditions | None = None,
    ) -> None:
        self.codes = codes
        self.rate = rate
        self.slots = slots
        self.conditions = conditions
        self.owners: Tensor | None = None
        self.filled = torch.zeros(slots, dtype=torch.bool, device=codes.device)
        owners = np.arange(len(codes)) if patients is None else patients
        self._order = torch.from_numpy(np.argsort(owners, kind="stable"))
        self._counts = torch.from_numpy(np.bincount(owners))
        self._starts = self._counts.cumsum(0) - self._counts

    def __call__(self, step: int, generator: torch.Generator) -> Batch:
        """Draw a batch; neither the step nor the generator says which records it holds."""
        drawn, places = poisson(len(self._counts), self.rate, self.slots)
        among = (noise.uniform(len(drawn)) * self._counts[drawn]).ceil_().long() - 1
        records = self._order[self._starts[drawn] + among]
        device = self.codes.device
        codes = torch.zeros((self.slots, *self.codes.shape[1:]), dtype=torch.int64, device=device)
        codes[places.to(device)] = self.codes[records.to(device)].long()
        self.filled = torch.zeros(self.slots, dtype=torch.bool)
        self.filled[places] = True
        self.filled = self.filled.to(device)
        return self.batch(codes, generator)

    def batch(self, codes: Tensor, generator: torch.Generator) -> Batch:
        """Make a batch of chosen records, (slots, 2, D)."""
        if self.conditions is None:
            return Batch(codes, None, generator, filled=self.filled)
        return self.conditions.batch(codes, generator)._replace(filled=self.filled)
