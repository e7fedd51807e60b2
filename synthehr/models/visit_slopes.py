"""How columns move over time within patients, settled by drawn ones.

Each visit is drawn a little toward the patient's past, and what each lacks of a drift adds up:
drawn patients gain and lose less than fitted ones. So both are described by slopes of scores over
time within patients, given what these have once, and what differs is added while drawing.

Shapes: P patients, R visits, O columns that lean.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_network import VisitNetwork

PSEUDO_PATIENTS = 10.0
"""Patients without a slope that are added, so that few patients teach no wild ones."""
LEAST_VARIANCE = 1e-4
"""Of a feature of what patients have once, in the ridge."""


@torch.no_grad()
def slopes_of(network: VisitNetwork, records: Sequences) -> Tensor:
    """Estimate slopes of normal scores in a mean gap, (1 + width, O).

    Least squares with a level of each patient's own, and a ridge. A patient's slope is linear in 1
    and what the network makes of what he has once.

    Parameters
    ----------
    network : VisitNetwork
        One with columns that lean.
    records : Sequences
        The patients.
    """
    leanings = network.block.leanings
    assert leanings is not None
    codes, course = records.visits.long(), network.course
    owner = torch.arange(len(records), device=codes.device).repeat_interleave(records.lengths)
    time = course.lengths(codes).double().cumsum(0)
    time = (time - time[records.starts[:-1]][owner])[:, None]
    score = course.score(codes)[:, leanings.index].double()
    seen = course.seen(codes)[:, leanings.index].double()

    def by_patient(values: Tensor) -> Tensor:
        total = values.new_zeros(len(records), values.shape[1])
        return total.index_add(0, owner, values)

    count = by_patient(seen).clamp(min=1)
    time = (time - (by_patient(time * seen) / count)[owner]) * seen
    score = (score - (by_patient(score * seen) / count)[owner]) * seen
    together, square = by_patient(time * score), by_patient(time * time)
    once = network.once_of(records.static.long()).double()
    once = torch.cat([torch.ones_like(once[:, :1]), once], 1)
    scale = once.var(0).clamp(min=LEAST_VARIANCE)
    scale[0] = 1.0
    ridge = PSEUDO_PATIENTS * torch.diag(scale)
    found = [
        torch.linalg.solve(
            (once * each[:, None]).T @ once + ridge * each.mean().clamp(min=1e-6), once.T @ both
        )
        for each, both in zip(square.T, together.T, strict=True)
    ]
    return torch.stack(found, 1).float()


@torch.no_grad()
def settle_slopes(network: VisitNetwork, wanted: Tensor, drawn: Sequences, share: float) -> None:
    """Move the network's slopes by a share of what drawn patients lack of those wanted."""
    network.slopes += share * (wanted - slopes_of(network, drawn))
