"""Which columns of a visit are drawn in one pass of the network.

Drawing a column is a pass over all that is known before it. Columns that hardly tell of each other,
given what is known before them all, need a pass only once. How much they tell is measured on
visits that the network itself drew, so no patient is looked at: by how much the loss of a column
falls once it sees the others of its pass. Losses add up, so what all columns of a visit lose is at
most `LOST` each: at most what a correlation of .063 tells.
"""

from __future__ import annotations

import torch
from torch import Tensor

from synthehr.models.leaning import Context
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_network import VisitNetwork

LOST = 0.002
"""Nats that a column may lose, with a standard error on top."""
VISITS = 4096
"""Visits by which this is measured."""


@torch.no_grad()
def settle_passes(network: VisitNetwork, drawn: Sequences, generator: torch.Generator) -> None:
    """Find columns that one pass is enough for, and remember them.

    Parameters
    ----------
    network : VisitNetwork
        In evaluation mode; changed in place.
    drawn : Sequences
        Patients that it drew, each column in a pass of its own.
    generator : torch.Generator
        Chooses visits.
    """
    columns, gap = len(network.passes), network.course.gap
    batch = drawn.take(torch.arange(len(drawn), device=drawn.starts.device), generator)
    once = network.once_of(batch.static)
    shown = batch.present[..., None].expand(-1, -1, columns)
    context, past, owners = network.contexts(batch, shown, once)
    context = context.rows(past.visits < batch.present.sum(1)[owners])
    cells = batch.visits[batch.present]
    chosen = torch.randperm(len(cells), generator=generator, device=cells.device)[:VISITS]
    cells, context = cells[chosen], context.rows(chosen)
    alone = torch.stack([
        _losses(network, cells, context, column)[:, column] for column in range(columns)
    ])  # fmt: skip
    passes, start = [0], 0
    losses = _losses(network, cells, context, start)
    for column in range(1, columns):
        lost = losses[:, column] - alone[column]
        if gap in (start, column) or lost.mean() + lost.std() / len(lost) ** 0.5 > LOST:
            start = column
            losses = _losses(network, cells, context, start)
        passes.append(start)
    network.passes.copy_(torch.tensor(passes))


def _losses(network: VisitNetwork, cells: Tensor, context: Context, known: int) -> Tensor:
    """Losses of all columns, of which so many, the first ones, are known; (n, D)."""
    flags = torch.zeros_like(cells[:, 0], dtype=torch.bool)
    flags[:, :known] = True
    return network.block.cross_entropy(cells, flags, context)
