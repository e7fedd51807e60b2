"""Filling the open cells of records with an any-order network.

The known cells of a record condition all of its open ones, which are drawn one after the
other, each given those before it: a draw from the joint distribution of what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from synthehr.encode.fields import Fields
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.base import Given, Legal
from synthehr.models.leaning import Context
from synthehr.models.partial import reveal, start
from synthehr.models.reveal import course, reached, without, wrong_parts


def complete_records(
    network: AnyOrderNetwork,
    fields: Fields,
    codes: Tensor,
    barred: Mapping[int, Tensor],
    generator: torch.Generator,
    legal: Legal | None = None,
    estimate: int = 0,
    context: Context | None = None,
    once: Tensor | None = None,
) -> Tensor:
    """Draw the open cells of records, (n, 2, D); parameters as of `Model.complete`.

    A context is as of `AnyOrderNetwork.cross_entropy`. A column is computed for the records
    alone in which it is open. Where `legal` speaks of other columns, too, these stand before
    the drawn ones and are `once`, (n, 2, S).
    """
    n, before = len(codes), 0 if once is None else once.shape[2]
    partial = start(network, fields, n, Given(codes), estimate, context)
    places = range(before, before + len(fields)) if legal is None else legal.order
    order = [place - before for place in places if place >= before]
    for column in order:
        # Drawn for every record, so that a record's numbers hang on no other's holes.
        chance = torch.rand(2, n, generator=generator, device=codes.device)
        is_open = ~partial.known[:, column]
        rows = torch.nonzero(is_open)[:, 0]
        if not len(rows):
            continue
        hidden: Tensor = network.body(partial.first[rows])
        leaning = partial.leaning(network, column, hidden, rows)
        added = partial.added(network, column, rows, leaning)
        logits = network.token_logits(hidden, column, added)
        logits = _without(logits, barred.get(column))
        drawn = partial.codes[rows]
        lawful = None
        if legal is not None:
            there = beside(None if once is None else once[rows], drawn, partial.known[rows])
            lawful = legal.allowed(before + column, *there)
        if lawful is not None:
            logits = without(logits, ~lawful.any(2))
        drawn[:, 0, column] = tokens = reached(course(logits), chance[0, rows])
        if column in network.parted:
            logits = network.part_logits(hidden, column, tokens, leaning)
            if lawful is not None:
                logits = without(logits, wrong_parts(lawful, tokens, logits))
            drawn[:, 1, column] = reached(course(logits), chance[1, rows])
        partial.codes[rows] = drawn
        reveal(network, partial, column, is_open)
    return partial.codes


def token_chances(
    network: AnyOrderNetwork,
    fields: Fields,
    codes: Tensor,
    barred: Mapping[int, Tensor],
    context: Context | None = None,
) -> tuple[Tensor, ...]:
    """Compute the chance of each token given the known cells, D times (n, size).

    One pass tells it of every column: none of the open cells is looked at.
    """
    partial = start(network, fields, len(codes), Given(codes), context=context)
    hidden = network.body(partial.first)
    found = []
    for column in range(len(fields)):
        leaning = partial.leaning(network, column, hidden)
        added = partial.added(network, column, leaning=leaning)
        logits = network.token_logits(hidden, column, added)
        found.append(_without(logits, barred.get(column)).softmax(1))
    return tuple(found)


def beside(once: Tensor | None, codes: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Put known columns before those of records."""
    if once is None:
        return codes, known
    return torch.cat([once, codes], 2), torch.cat([torch.ones_like(once[:, 0]).bool(), known], 1)


def _without(logits: Tensor, barred: Tensor | None) -> Tensor:
    return logits if barred is None else logits.masked_fill(barred.to(logits.device), -torch.inf)
