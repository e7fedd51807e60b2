"""Settling the shares of what is drawn at visits."""

from __future__ import annotations

import torch
from torch import Tensor

from synthehr.encode.fields import Field
from synthehr.encode.sequence import SequenceFields
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_network import VisitNetwork

PSEUDO_COUNT = 3.0
"""Patients that are added to both counts, so that rare tokens do not follow few draws."""


@torch.no_grad()
def shift_to_shares(network: VisitNetwork, fields: SequenceFields, drawn: Sequences) -> None:
    """Shift the tokens' biases by how far drawn visits are from the columns' shares.

    Visits count as in the noisy marginals that the shares come from: the less, the more of them
    a patient has. No real visit is looked at. The gap's nulls mark first visits, and stay.

    Parameters
    ----------
    network : VisitNetwork
        Changed in place.
    fields : SequenceFields
        The columns.
    drawn : Sequences
        Patients that the network drew.
    """
    block, weights = network.block, drawn.lengths.reciprocal().repeat_interleave(drawn.lengths)
    for column, field in enumerate(fields.visits):
        found = torch.zeros(field.size).index_add(
            0, drawn.visits[:, 0, column].long(), weights.float()
        )
        wanted = torch.from_numpy(field.shares).float() * len(drawn)
        shift = _logits(field, wanted) - _logits(field, found)
        if column == fields.gap and field.null is not None:
            shift[field.null] = 0.0
        block.token_head.bias[block.starts[column] : block.starts[column + 1]] += shift


def _logits(field: Field, counts: Tensor) -> Tensor:
    """Turn counts of patients into logits of the values, and of null against all values."""
    logits = (counts + PSEUDO_COUNT).log()
    if field.null is not None:
        values = counts.sum() - counts[field.null]
        logits[field.null] -= (values + PSEUDO_COUNT).log()
    return logits
