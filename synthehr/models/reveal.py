"""Drawing records from an any-order network: one column after the other is revealed.

Given cells are known from the start. Then come the *restricted* columns (a set, a
range, a bin whose part is open), each drawn from what its restriction leaves; then the
open ones, in the table's order.

Two restrictions A and B are not independent: drawing a in A and then b in B given a
misses the factor P(B | a). So candidates are drawn and one is chosen with
a chance in proportion to the product of these factors (sampling importance resampling,
Rubin 1987, doi:10.1080/01621459.1987.10478461).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.base import NOTHING_GIVEN, OPEN, Given, Legal
from synthehr.models.partial import Partial, reveal, start

CANDIDATES = 32
"""Draws of the restricted columns among which one is chosen."""
SETTLING_RECORDS = 4096
SETTLING_ROUNDS = 5
PSEUDO_COUNT = 10.0
"""Added to both counts in raking, so that a rare token does not follow the noise of few draws."""


def draw_records(
    network: AnyOrderNetwork,
    fields: Fields,
    n: int,
    given: Given,
    generator: torch.Generator,
    shifts: Tensor | None = None,
) -> Tensor:
    """Draw codes of shape (n, 2, D); shifts are those of `settled_shifts`.

    Raises
    ------
    ConditionError
        A restriction allows no token of its column.
    """
    allowed = {column: _weights(fields, column, given) for column in given.allowed}
    forced = {} if given.codes is None else _open_parts(fields, given.codes)
    partial = replace(start(network, fields, n, given), shifts=shifts)
    restricted = sorted({*allowed, *forced})
    if restricted:
        exact = len(restricted) == 1 and not forced and _all_or_nothing(*allowed.values())
        drawn = partial.copy()
        for candidate in range(1 if exact else CANDIDATES):
            other = partial.copy()
            for column in restricted:
                _draw(
                    network,
                    other,
                    column,
                    generator,
                    allowed.get(column),
                    forced.get(column),
                    legal=given.legal,
                )
            drawn = other if candidate == 0 else _choose(drawn, other, generator)
        partial = drawn
    order = range(len(fields)) if given.legal is None else given.legal.order
    for column in order:
        _draw(network, partial, column, generator, legal=given.legal)
    return partial.codes


@torch.no_grad()
def settled_shifts(network: AnyOrderNetwork, fields: Fields, generator: torch.Generator) -> Tensor:
    """Find shifts of the tokens' logits by which drawn columns have the shares that were learned.

    Dropout, averaging and weight decay leave a column's chances a little off on average, and
    the columns drawn after it follow. So records are drawn, and each column's logits are raked
    to its shares before it is. No real record is read.

    They serve drawn records alone, whose other columns are off, too. Given what is known of a
    real one, chances are best as they were learned: who lacks a cell is learned less well than
    what others have in it, and the shifts make up for both.

    Returns
    -------
    Tensor of shape (V,)
    """
    shifts = torch.zeros(network.starts[-1], device=network.offsets.device)
    partial = replace(start(network, fields, SETTLING_RECORDS, NOTHING_GIVEN), shifts=shifts)
    for column, field in enumerate(fields):
        hidden = network.body(partial.first)
        logits = network.column_logits(hidden, column, partial.added(network, column))
        wanted = torch.from_numpy(field.shares).to(logits) * len(logits)
        shift = shifts[network.starts[column] : network.starts[column + 1]]
        for _ in range(SETTLING_ROUNDS):
            drawn = network.with_values(logits + shift, column).softmax(1).sum(0)
            shift += ((wanted + PSEUDO_COUNT) / (drawn + PSEUDO_COUNT)).log()
        _draw(network, partial, column, generator, last_layer=hidden)
    return shifts


def _weights(fields: Fields, column: int, given: Given) -> Tensor:
    """Weights (size, P) of a restricted column's parts.

    Raises
    ------
    ConditionError
        All are zero.
    """
    weights = given.allowed[column].float()
    if not weights.any():
        raise ConditionError(
            f"the condition on column {fields[column].column!r} allows no value that was learned",
            hint="widen the range or the set",
        )
    return weights


def _open_parts(fields: Fields, codes: Tensor) -> dict[int, Tensor]:
    """Find columns whose token is known and whose part is open: their tokens, or `OPEN`."""
    found = {}
    for column, field in enumerate(fields):
        tokens = torch.where(codes[:, 1, column] == OPEN, codes[:, 0, column], OPEN)
        if field.has_parts and bool((tokens != OPEN).any()):
            found[column] = tokens
    return found


def _all_or_nothing(weights: Tensor) -> bool:
    """Whether each token is allowed wholly or not at all."""
    return bool(
        (weights.amin(1) == weights.amax(1)).all() and ((weights == 0) | (weights == 1)).all()
    )


def _draw(
    network: AnyOrderNetwork,
    partial: Partial,
    column: int,
    generator: torch.Generator,
    allowed: Tensor | None = None,
    forced: Tensor | None = None,
    last_layer: Tensor | None = None,
    legal: Legal | None = None,
) -> None:
    """Draw one column in the rows in which it is unknown."""
    rows = ~partial.known[:, column]
    if not bool(rows.any()):
        return
    hidden: Tensor = network.body(partial.first) if last_layer is None else last_layer
    logits = network.token_logits(hidden, column, partial.added(network, column))
    drawn_from, log_chance = logits, torch.zeros_like(partial.log_chance)
    log_share = torch.zeros(logits.shape[1], device=logits.device)
    if allowed is not None:
        bias = network.part_bias[network.starts[column] :][: len(allowed), : allowed.shape[1]]
        log_share = (bias.softmax(1) * allowed).sum(1).log()
        drawn_from = drawn_from + log_share
    if forced is not None:
        tokens = torch.arange(logits.shape[1], device=logits.device)
        wrong = (forced[:, None] != OPEN) & (forced[:, None] != tokens)
        drawn_from = drawn_from.masked_fill(wrong, -torch.inf)
    lawful = None if legal is None else legal.allowed(column, partial.codes, partial.known)
    if lawful is not None:
        drawn_from = without(drawn_from, ~lawful.any(2))
    if allowed is not None or forced is not None:
        log_chance = drawn_from.logsumexp(1) - logits.logsumexp(1)
    tokens = pick(drawn_from, generator, evenly=partial.evenly)
    partial.codes[:, 0, column] = tokens.where(rows, partial.codes[:, 0, column])
    if column in network.parted:
        logits = network.part_logits(hidden, column, tokens)
        if allowed is not None:
            weights = torch.zeros_like(logits)
            weights[:, : allowed.shape[1]] = allowed[tokens]
            restricted = logits + weights.log()
            # The token was drawn by the parts' shares; the record's own part chances correct it.
            log_chance = log_chance + restricted.logsumexp(1) - logits.logsumexp(1)
            log_chance = log_chance - log_share[tokens]
            logits = restricted
        if lawful is not None:
            logits = without(logits, wrong_parts(lawful, tokens, logits))
        parts = pick(logits, generator, evenly=partial.evenly)
        partial.codes[:, 1, column] = parts.where(rows, partial.codes[:, 1, column])
    partial.log_chance = partial.log_chance + log_chance.where(rows, 0.0)
    reveal(network, partial, column, rows)


def without(logits: Tensor, wrong: Tensor) -> Tensor:
    """Leave out what is wrong, (n, K) bool; a row in which nothing else is left stays as it is."""
    masked = logits.masked_fill(wrong, -torch.inf)
    return torch.where(masked.isinf().all(1, keepdim=True), logits, masked)


def wrong_parts(lawful: Tensor, tokens: Tensor, logits: Tensor) -> Tensor:
    """Say which parts of drawn tokens, (n,), are not lawful, (n, size, parts); as logits."""
    wrong = torch.ones_like(logits, dtype=torch.bool)
    wrong[:, : lawful.shape[2]] = ~lawful[torch.arange(len(tokens)), tokens]
    return wrong


def _choose(first: Partial, other: Partial, generator: torch.Generator) -> Partial:
    """Keep, in each row, one of two with a chance in proportion to theirs.

    The kept one carries the sum of both, so that any number of candidates can follow.
    """
    both = torch.logaddexp(first.log_chance, other.log_chance)
    noise = torch.rand(both.shape, generator=generator, device=both.device)
    take = noise.log() < other.log_chance - both
    factors = first.factors
    if factors is not None and other.factors is not None:
        factors = other.factors.where(take, factors)
    return replace(
        first,
        codes=other.codes.where(take[:, None, None], first.codes),
        known=other.known.where(take[:, None], first.known),
        first=other.first.where(take[:, None], first.first),
        log_chance=both,
        factors=factors,
    )


def pick(logits: Tensor, generator: torch.Generator, *, evenly: bool = False) -> Tensor:
    """Draw an index from each row of logits (n, K); (n,), int64.

    One uniform number a row against the cumulated chances: cheaper than a Gumbel variable
    for each index. It stays below the last sum, so that an index of chance 0 is never drawn.
    """
    sums = course(logits)
    uniform = torch.rand(len(logits), generator=generator, device=logits.device)
    if evenly:
        uniform = spread(uniform, (sums.mean(1) / sums[:, -1]).argsort(stable=True), generator)
    return reached(sums, uniform)


def course(logits: Tensor) -> Tensor:
    """Cumulate the chances of logits (n, K), up to a factor a row; (n, K)."""
    return (logits - logits.amax(1, keepdim=True)).exp_().cumsum(1)


def reached(sums: Tensor, uniform: Tensor) -> Tensor:
    """Find where numbers (n,) of [0, 1) fall among cumulated chances (n, K); (n,), int64."""
    threshold = uniform[:, None] * (1 - 1e-6) * sums[:, -1:]
    return torch.searchsorted(sums, threshold, right=True)[:, 0]


def spread(uniform: Tensor, order: Tensor, generator: torch.Generator) -> Tensor:
    """Turn uniform numbers (n,) into ones that neighbours in an order share out evenly.

    Of any 2, 4, 8, ... aligned neighbours one falls into each half, quarter, eighth, ... of
    (0, 1), as far as n can be halved: nested stratified sampling. Each number alone stays
    uniform and independent of other calls, so that the distribution of a record is as
    before; but counts, also those among alike records, vary less from sample to sample.
    """
    rows, size = order, 1
    while size < len(rows) and len(rows) % (2 * size) == 0:
        pairs = rows.view(-1, 2, size)
        swapped = torch.rand(len(pairs), 1, size, generator=generator, device=rows.device) < 0.5
        rows = torch.where(swapped, pairs.flip(1), pairs).transpose(1, 2).reshape(-1)
        size *= 2
    stratum = torch.arange(len(rows), device=rows.device) % size
    return torch.empty_like(uniform).index_copy_(0, rows, (stratum + uniform) / size)
