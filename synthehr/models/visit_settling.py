"""Settling what a model of visits draws, after training.

What a network predicts one visit at a time drifts from visit to visit, and small ones, trained
with dropout, leave too much to chance. So patients are drawn, and four things are moved by what
is off: the shares of a column's tokens (their biases), how far it changes from one visit to the
next (the sharpness of its logits), how it moves over time (`synthehr.models.visit_slopes`), and
when visits end.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from synthehr.encode.fields import Field
from synthehr.encode.sequence import SequenceFields
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_ends import Reached, joined
from synthehr.models.visit_network import VisitNetwork
from synthehr.models.visit_slopes import settle_slopes, slopes_of

PSEUDO_COUNT = 3.0
"""Patients, or visits, that are added to both counts, so that rare tokens do not follow few
draws."""
END_STEPS = (0.5, 0.5, 0.5, 0.4, 0.3, 0.2)
"""Share of what is off by which odds of an end are moved, round by round: luck averages out."""
SLOPE_STEP = 2.0
"""Times as far slopes are moved in a round: a visit is drawn toward the past, and takes a part
of each move back."""
SHARPENING_ROUNDS = 2
SHARE_STEP = 0.4
"""Share of what is off by which biases are moved; each visit takes after the one before it."""
SHARPNESS_STEP = 0.7
SHARPNESS_LIMITS = (0.8, 1.25)
PAIRS = 100
"""Pairs of visits of fitted patients by which half of a step is taken."""
VISITS, FEWEST_DRAWN, MOST_DRAWN = 65_536, 256, 1_024
"""Visits of the patients that are drawn in a round, and how many these are."""


@torch.no_grad()
def settle_by_patients(
    network: VisitNetwork,
    fields: SequenceFields,
    fitted: Sequences,
    draw: Callable[[int, list[Reached]], Sequences],
) -> None:
    """Draw patients, and move the network to how the visits of fitted ones are; some rounds of it.

    Parameters
    ----------
    network : VisitNetwork
        Changed in place.
    fields : SequenceFields
        The columns.
    fitted : Sequences
        The patients trained on.
    draw : callable
        Draws so many patients with the network as it is, and adds the visits to the list.
    """
    ends = network.ends.shares(network.reached_by(fitted))
    wanted = None if network.block.leanings is None else slopes_of(network, fitted)
    n = min(max(round(VISITS / fields.mean_visits), FEWEST_DRAWN), MOST_DRAWN)
    for number, share in enumerate(END_STEPS):
        reached: list[Reached] = []
        drawn = draw(n, reached)
        if number < SHARPENING_ROUNDS:
            sharpen(network, fields, fitted, drawn)
        shift_to_shares(network, fields, drawn, torch.ones(len(drawn.visits)), SHARE_STEP)
        if wanted is not None:
            settle_slopes(network, wanted, drawn, SLOPE_STEP * share)
        network.ends.rake(ends, joined(reached), share)


@torch.no_grad()
def shift_to_shares(
    network: VisitNetwork,
    fields: SequenceFields,
    drawn: Sequences,
    weights: Tensor,
    step: float = 1.0,
) -> None:
    """Shift the tokens' biases by how far drawn visits are from the columns' shares.

    No real visit is looked at. The gap's nulls mark first visits, and stay.

    Parameters
    ----------
    network : VisitNetwork
        Changed in place.
    fields : SequenceFields
        The columns.
    drawn : Sequences
        Patients that the network drew, of R visits.
    weights : Tensor of shape (R,)
        Of the visits, as in the shares.
    step : float
        Share of what is off by which biases are moved.
    """
    block = network.block
    for column, field in enumerate(fields.visits):
        found = torch.zeros(field.size).index_add(
            0, drawn.visits[:, 0, column].long(), weights.float()
        )
        wanted = torch.from_numpy(field.shares).float() * weights.sum()
        shift = _logits(field, wanted) - _logits(field, found)
        if column == fields.gap and field.null is not None:
            shift[field.null] = 0.0
        block.token_head.bias[block.starts[column] : block.starts[column + 1]] += step * shift


def sharpen(
    network: VisitNetwork, fields: SequenceFields, fitted: Sequences, drawn: Sequences
) -> None:
    """Sharpen or blunt columns that change more, or less, in drawn than in fitted patients."""
    least, most = SHARPNESS_LIMITS
    for column, field in enumerate(fields.visits):
        wanted, found = (_steps(field, column, records) for records in (fitted, drawn))
        if column == fields.gap or not (len(wanted) and wanted.mean() > 0 and found.sum() > 0):
            continue
        trust = len(wanted) / (len(wanted) + PAIRS)
        factor = (found.mean() / wanted.mean()) ** (SHARPNESS_STEP * trust)
        network.sharpness[column] = (network.sharpness[column] * factor).clamp(least, most)


def _steps(field: Field, column: int, records: Sequences) -> Tensor:
    """Say by how much a column changes between visits, of ranks, or whether a level does, (n,).

    Of neighbouring visits of a patient of which neither is null.
    """
    tokens, parts = records.visits[:, :, column].long().unbind(1)
    follows = torch.ones(len(tokens), dtype=torch.bool)
    follows[records.starts[:-1]] = False
    now = follows.nonzero()[:, 0]
    if field.null is not None:
        known = tokens != field.null
        now = now[known[now] & known[now - 1]]
    if field.positions is None:
        return (tokens[now] != tokens[now - 1]).float()
    ranks = torch.from_numpy(field.positions).float()[tokens, parts]
    return (ranks[now] - ranks[now - 1]).abs()


def _logits(field: Field, counts: Tensor) -> Tensor:
    """Turn counts into logits of the values, and of null against all values."""
    logits = (counts + PSEUDO_COUNT).log()
    if field.null is not None:
        values = counts.sum() - counts[field.null]
        logits[field.null] -= (values + PSEUDO_COUNT).log()
    return logits
