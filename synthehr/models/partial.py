"""Records of which some columns are known, as an any-order network draws them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from synthehr.encode.fields import Fields
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.base import OPEN, Given
from synthehr.models.factors import Posterior
from synthehr.models.leaning import Context, LastSeen, Leaning


@dataclass
class Partial:
    """Records of which some columns are known.

    Attributes
    ----------
    codes : Tensor of shape (n, 2, D), int64
        Tokens and parts; 0 where unknown.
    known : Tensor of shape (n, D), bool
        Whether token and part are known.
    first : Tensor of shape (n, width)
        First layer of the network, to which each known column adds.
    log_chance : Tensor of shape (n,)
        Logarithm of the chance that the restrictions drawn so far hold.
    evenly : bool
        Whether alike records share out their random numbers evenly. Completions of given
        cells do not: between-imputation variances need independent draws.
    factors : Posterior or None
        What the known columns say of the copula's factors, where the network has a copula.
    estimate : int
        Which estimate of the copula is used.
    last_seen : LastSeen or None
        Where columns were last, for a network in which they lean to that.
    shifts : Tensor of shape (V,), or None
        What is added to the tokens' logits; see `synthehr.models.reveal.settled_shifts`.
    """

    codes: Tensor
    known: Tensor
    first: Tensor
    log_chance: Tensor
    evenly: bool
    factors: Posterior | None = None
    estimate: int = 0
    last_seen: LastSeen | None = None
    shifts: Tensor | None = None

    def copy(self) -> Partial:
        """Copy what drawing changes in place."""
        return replace(
            self,
            codes=self.codes.clone(),
            known=self.known.clone(),
            first=self.first.clone(),
            log_chance=self.log_chance.clone(),
        )

    def added(
        self,
        network: AnyOrderNetwork,
        column: int,
        rows: Tensor | None = None,
        leaning: Leaning | None = None,
    ) -> Tensor | None:
        """Give what is added to the logits of a column, in some rows or all; broadcasts."""
        told = self._told(network, column, rows, leaning)
        if self.shifts is None:
            return told
        shift = self.shifts[network.starts[column] : network.starts[column + 1]]
        return shift if told is None else told + shift

    def _told(
        self,
        network: AnyOrderNetwork,
        column: int,
        rows: Tensor | None,
        leaning: Leaning | None,
    ) -> Tensor | None:
        """Give what leanings or the copula add."""
        if network.leanings is not None and leaning is not None:
            return network.leanings.column_logits(leaning, column)
        if self.factors is None or network.copula is None:
            return None
        found = self.factors if rows is None else self.factors.rows(rows)
        return network.copula.of_column(found, column, self.estimate)

    def leaning(
        self, network: AnyOrderNetwork, column: int, hidden: Tensor, rows: Tensor | None = None
    ) -> Leaning | None:
        """Say how a column leans, given the network's last layer in some rows or all."""
        leanings, last_seen = network.leanings, self.last_seen
        if leanings is None or last_seen is None or column not in leanings.places:
            return None
        if rows is not None:
            last_seen = last_seen.rows(rows)
        place = leanings.places[column]
        return leanings.of_places(hidden, last_seen, slice(place, place + 1)).of(0)


def start(
    network: AnyOrderNetwork,
    fields: Fields,
    n: int,
    given: Given,
    estimate: int = 0,
    context: Context | None = None,
) -> Partial:
    """Begin with the given cells; a context is as of `AnyOrderNetwork.cross_entropy`."""
    device = network.offsets.device
    codes = torch.zeros(n, 2, len(fields), dtype=torch.int64, device=device)
    known = torch.zeros(n, len(fields), dtype=torch.bool, device=device)
    log_chance, evenly = torch.zeros(n, device=device), given.codes is None
    first, copula = network.cells.nothing_known(n), network.copula
    first = first if context is None else first + context.first
    last_seen = None if context is None else context.last_seen
    factors = None if copula is None else copula.nothing_known(n, estimate)
    partial = Partial(codes, known, first, log_chance, evenly, factors, estimate, last_seen)
    if given.codes is None:
        return partial
    for column, field in enumerate(fields):
        token, part = given.codes[:, 0, column], given.codes[:, 1, column]
        settled = (token != OPEN) & ((part != OPEN) | (not field.has_parts))
        codes[:, 0, column] = token.where(settled, 0)
        codes[:, 1, column] = part.where(settled, 0).clamp_(min=0)
        reveal(network, partial, column, settled)
    return partial


def reveal(network: AnyOrderNetwork, partial: Partial, column: int, rows: Tensor) -> None:
    """Let the network see a column in some rows."""
    if not bool(rows.any()):
        return
    added = network.cells.column_input(column, partial.codes)
    partial.first += added if bool(rows.all()) else added * rows[:, None]
    partial.known[:, column] |= rows
    if partial.factors is not None and network.copula is not None:
        partial.factors = network.copula.with_column(
            partial.factors, column, partial.codes, rows, partial.estimate
        )
