"""What a network of visits starts from, before its first step: ends and regressions."""

from __future__ import annotations

import torch

from synthehr.models.course import Past
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_network import VisitNetwork

PATIENTS = 256
"""Patients at a time."""
PSEUDO_VISITS = 10.0
"""Visits without a slope that are added."""
LEAST_VARIANCE = 0.02
"""Of scores around the regression: no column starts as one that is known for certain."""


@torch.no_grad()
def start_visits(network: VisitNetwork, records: Sequences, generator: torch.Generator) -> None:
    """Count when patients end, and regress scores on where columns were.

    Parameters
    ----------
    network : VisitNetwork
        Changed in place: odds of ends, and the biases of the leanings' head.
    records : Sequences
        The patients trained on.
    generator : torch.Generator
        Of the batches, which draw nothing here.
    """
    network.ends.learn(network.reached_by(records))
    leanings, course = network.block.leanings, network.course
    if leanings is None:
        return
    # Terms are the last score, the mean and 1.
    left = torch.zeros(len(leanings.columns), 3, 3, device=records.starts.device)
    right, square = torch.zeros_like(left[:, 0]), torch.zeros_like(left[:, 0, 0])
    for part in records.lengths.argsort().split(PATIENTS):
        batch = records.take(part, generator)
        known = batch.present[..., None] & course.seen(batch.visits)
        elapsed = course.lengths(batch.visits).cumsum(1)
        past = course.before_each(batch.visits, known, elapsed, elapsed.new_zeros(len(part)))
        past = Past(*(each[:, :-1][batch.present] for each in past))
        last_seen = network.last_seen(past)
        assert last_seen is not None
        cells = batch.visits[batch.present]
        score = course.score(cells)[:, leanings.index]
        counted = last_seen.seen * course.seen(cells)[:, leanings.index]
        design = torch.stack([last_seen.last, last_seen.mean, torch.ones_like(score)], 2)
        weighted = design * counted[..., None]
        left += torch.einsum("roi,roj->oij", weighted, design)
        right += torch.einsum("roi,ro->oi", weighted, score)
        square += (counted * score.square()).sum(0)
    count = left[:, 2, 2]
    left += PSEUDO_VISITS * torch.eye(3, device=left.device)
    found = torch.linalg.solve(left, right[..., None])[..., 0]
    # Visits that are added have a variance of 1.
    rest = square - (found * right).sum(1) + PSEUDO_VISITS
    leanings.start(found, (rest / (count + PSEUDO_VISITS)).clamp(min=LEAST_VARIANCE))
