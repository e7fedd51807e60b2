"""What a network of visits starts from, before its first step: ends and anchors of the patients."""

from __future__ import annotations

import torch

from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_network import VisitNetwork

PATIENTS = 256
"""Patients at a time."""
PSEUDO_VISITS = 10.0
"""Visits without a slope that are added."""
LEAST_VARIANCE = 0.02


@torch.no_grad()
def start_visits(network: VisitNetwork, records: Sequences, generator: torch.Generator) -> None:
    """Count when patients end, and regress scores on where columns were.

    Parameters
    ----------
    network : VisitNetwork
        Changed in place: odds of ends, and the biases of the anchors' head.
    records : Sequences
        The patients trained on.
    generator : torch.Generator
        Only handed on.
    """
    network.ends.learn(network.reached_by(records))
    anchors, course = network.block.anchors, network.course
    if anchors is None:
        return
    terms = 3
    columns = len(anchors.columns)
    left = torch.zeros(columns, terms, terms, device=records.starts.device)
    right, square = left.new_zeros(columns, terms), left.new_zeros(columns)
    for part in records.lengths.argsort().split(PATIENTS):
        batch = records.take(part, generator)
        known = batch.present[..., None] & course.seen(batch.visits)
        elapsed = course.lengths(batch.visits).cumsum(1)
        past = course.before_each(batch.visits, known, elapsed, elapsed.new_zeros(len(part)))
        here = [each[:, :-1][batch.present] for each in past]
        anchor = network.anchor(type(past)(*here))
        assert anchor is not None
        cells = batch.visits[batch.present]
        score = course.score(cells)[:, anchors.index]
        counted = anchor.seen * course.seen(cells)[:, anchors.index]
        design = torch.stack([anchor.last, anchor.mean, torch.ones_like(score)], 2)
        weighted = design * counted[..., None]
        left += torch.einsum("roi,roj->oij", weighted, design)
        right += torch.einsum("roi,ro->oi", weighted, score)
        square += (counted * score.square()).sum(0)
    count = left[:, 2, 2]
    left += PSEUDO_VISITS * torch.eye(terms, device=left.device)
    found = torch.linalg.solve(left, right[..., None])[..., 0]
    # Visits that are added have a variance of 1.
    rest = square - (found * right).sum(1) + PSEUDO_VISITS
    anchors.start(found, (rest / (count + PSEUDO_VISITS)).clamp(min=LEAST_VARIANCE))
