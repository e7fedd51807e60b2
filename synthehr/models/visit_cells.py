"""Drawing visits cell by cell, as many patients at a time as there are.

What `synthehr.models.completing` does for records with holes, made quick for visits of which
nothing is known but, at most, the gap: all patients are at the same cell, and what hangs on the
weights alone is computed once for all visits. Shapes: B patients, D columns of visits.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.models.any_order import IMPOSSIBLE, LOGIT_LIMIT, AnyOrderNetwork
from synthehr.models.base import Legal
from synthehr.models.completing import beside
from synthehr.models.layers import Residual
from synthehr.models.leaning import Context, LastSeen, Leaning
from synthehr.models.reveal import course, reached, without, wrong_parts
from synthehr.models.visit_network import VisitNetwork


class _Parts(NamedTuple):
    """What the parts of a column's tokens are drawn by; see `AnyOrderNetwork.part_logits`.

    Attributes
    ----------
    rise, rise_bias : Tensor of shape (part_width, width), (part_width,)
    embedding : Tensor of shape (size, part_width)
    fall : Tensor of shape (P, part_width)
    bias : Tensor of shape (size, P)
    """

    rise: Tensor
    rise_bias: Tensor
    embedding: Tensor
    fall: Tensor
    bias: Tensor


class _Column(NamedTuple):
    """What a column is drawn by, and what the first layer sees of it afterwards.

    Attributes
    ----------
    head, bias : Tensor of shape (size, width), (size,)
        Of its tokens' logits.
    leaning : Tensor of shape (4, size), or None
        What leanings weigh, times the column's sharpness; None where it does not lean.
    null : int or None
        Its null, where it can be null and something else.
    parts : _Parts or None
        None where no token has several.
    seen : Tensor of shape (size, width)
        What a token adds to the first layer.
    ranks, rank_weight : Tensor of shape (size * P, F), (F, width), or None
        Features of each part's rank, and what they add; None without an order.
    """

    head: Tensor
    bias: Tensor
    leaning: Tensor | None
    null: int | None
    parts: _Parts | None
    seen: Tensor
    ranks: Tensor | None
    rank_weight: Tensor | None


class _Leans(NamedTuple):
    """How a column leans at a visit.

    Attributes
    ----------
    tilts : Tensor of shape (B, 4)
        What its `_Column.leaning` is weighed by.
    density : Leaning
        Of each patient.
    """

    tilts: Tensor
    density: Leaning


@final
class VisitCells:
    """Draws the cells of visits with the weights that an any-order network has now.

    Parameters
    ----------
    network : VisitNetwork
        In evaluation mode. Columns of one number among its `passes` follow each other and are
        drawn in one pass, each given those before them all. Its gap is known of a first visit,
        as null, and is not null in any other.
    """

    def __init__(self, network: VisitNetwork) -> None:
        block = network.block
        assert block.copula is None
        # Autocast would turn the weights of each column into its type again at every visit.
        device = block.offsets.device.type
        lower = torch.is_autocast_enabled(device)
        self.dtype = torch.get_autocast_dtype(device) if lower else torch.float32
        self.course = network.course
        self.gap = network.course.gap
        self.leanings = block.leanings
        self.most_parts = block.most_parts
        self.start = block.cells.input.bias.detach()
        residuals = [part for part in block.body if isinstance(part, Residual)]
        norms = [part for part in block.body if isinstance(part, nn.LayerNorm)]
        self.norms = [(norm.weight, norm.bias) for norm in (*(r.norm for r in residuals), *norms)]
        self.layers = [
            [
                part.to(self.dtype)
                for layer in (r.rise, r.fall)
                for part in (layer.weight, layer.bias)
            ]
            for r in residuals
        ]
        columns = range(len(block.starts) - 1)
        by_pass = groupby(columns, key=network.passes.tolist().__getitem__)
        self.groups = [list(group) for _, group in by_pass]
        self.columns = [
            _packed(block, column, factor, self.dtype)
            for column, factor in zip(columns, network.sharpness.tolist(), strict=True)
        ]

    def draw(
        self,
        context: Context,
        is_first: Tensor,
        generator: torch.Generator,
        legal: Legal | None = None,
        once: Tensor | None = None,
    ) -> Tensor:
        """Draw a visit of each patient, (B, 2, D).

        Parameters
        ----------
        context : Context
            What is known of the patients.
        is_first : Tensor of shape (B,), bool
            Whether it is a patient's first visit.
        generator : torch.Generator
            The source of randomness.
        legal : Legal, optional
            Rules over what patients have once, `once` of shape (B, 2, S), and then the columns of
            visits.
        """
        with torch.autocast(context.first.device.type, enabled=False):
            return self._drawn(context, is_first, generator, legal, once)

    def _drawn(
        self,
        context: Context,
        is_first: Tensor,
        generator: torch.Generator,
        legal: Legal | None,
        once: Tensor | None,
    ) -> Tensor:
        n, columns, device = len(context.first), len(self.columns), context.first.device
        before = 0 if once is None else once.shape[2]
        chances = torch.rand(columns, 2, n, generator=generator, device=device)
        codes = torch.zeros(n, 2, columns, dtype=torch.int64, device=device)
        known = torch.zeros(columns, dtype=torch.bool, device=device)
        first = self.start + context.first
        length = self.course.lengths(codes)
        groups = self.groups
        if legal is not None:
            groups = [[place - before] for place in legal.order if place >= before]
        for group in groups:
            hidden, leans = None, None
            for column in group:
                packed = self.columns[column]
                if column == self.gap and bool(is_first.all()):
                    codes[:, 0, column] = packed.null or 0
                    continue
                lawful = None
                if legal is not None:
                    rows = beside(once, codes, known.expand(n, -1))
                    lawful = legal.allowed(before + column, *rows)
                hidden = self._hidden(first) if hidden is None else hidden
                if leans is None and column != self.gap:
                    leans = self._leans(group, hidden, context.last_seen, length)
                tokens, parts = self._cell(
                    column,
                    hidden,
                    chances[column],
                    is_first,
                    lawful,
                    None if leans is None else leans.get(column),
                )
                codes[:, 0, column] = tokens
                if parts is not None:
                    codes[:, 1, column] = parts
                if column == self.gap:
                    length = self.course.lengths(codes)
            known[group] = True
            if group is not groups[-1]:  # nothing is drawn after the last
                for column in group:
                    self._reveal(column, first, codes)
        return codes

    def _reveal(self, column: int, first: Tensor, codes: Tensor) -> None:
        """Let the network see a column."""
        packed, tokens = self.columns[column], codes[:, 0, column]
        first += packed.seen.index_select(0, tokens)
        if packed.ranks is not None and packed.rank_weight is not None:
            rows = tokens * self.most_parts + codes[:, 1, column]
            first.addmm_(packed.ranks.index_select(0, rows), packed.rank_weight)

    def _leans(
        self, group: list[int], hidden: Tensor, last_seen: LastSeen | None, length: Tensor
    ) -> dict[int, _Leans]:
        """Say how columns lean, moved along the patients' slopes over the gap's length."""
        columns = [column for column in group if self.columns[column].leaning is not None]
        if self.leanings is None or last_seen is None or not columns:
            return {}
        # Columns of a pass follow each other, and so do their places.
        place = self.leanings.places[columns[0]]
        places = slice(place, place + len(columns))
        found = self.leanings.of_places(hidden, last_seen, places)
        if last_seen.slopes is not None:
            found = found.moved(last_seen.slopes[:, places], length[:, None])
        tilts = self.leanings.tilts(found)
        return {column: _Leans(tilts[:, k], found.of(k)) for k, column in enumerate(columns)}

    def _cell(
        self,
        column: int,
        hidden: Tensor,
        chance: Tensor,
        is_first: Tensor,
        lawful: Tensor | None,
        leans: _Leans | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Draw tokens and, where they have several, parts of a column, (B,) each."""
        packed = self.columns[column]
        logits = functional.linear(hidden, packed.head, packed.bias).float()
        if leans is not None and packed.leaning is not None:
            logits.addmm_(leans.tilts, packed.leaning)
        logits.clamp_(-LOGIT_LIMIT, LOGIT_LIMIT)
        null, odds = packed.null, None
        if null is not None:
            odds = logits[:, null].clone()
            if column == self.gap:
                odds = torch.where(is_first, torch.inf, -torch.inf)
            logits[:, null] = -torch.inf
        if lawful is not None:
            if null is not None and odds is not None:
                logits[:, null] = logits.logsumexp(1) + odds
            tokens = reached(course(without(logits, ~lawful.any(2))), chance[0])
        elif null is not None and odds is not None:
            tokens = _null_or_value(logits, null, odds.sigmoid(), chance[0])
        else:
            tokens = reached(logits.exp_().cumsum(1), chance[0])
        if packed.parts is None:
            return tokens, None
        rise, rise_bias, embedding, fall, bias = packed.parts
        units = functional.linear(hidden, rise, rise_bias) + embedding.index_select(0, tokens)
        logits = functional.linear(functional.silu(units), fall).float()
        logits += bias.index_select(0, tokens)
        if self.leanings is not None and leans is not None:
            added = self.leanings.part_logits(leans.density, column, tokens)
            logits += added[:, : logits.shape[1]]
        if lawful is not None:
            logits = without(logits, wrong_parts(lawful, tokens, logits))
        return tokens, reached(course(logits), chance[1])

    def _hidden(self, first: Tensor) -> Tensor:
        """Run the body, of first layers (B, width)."""
        x = first
        for norm, (rise, rise_bias, fall, fall_bias) in zip(self.norms, self.layers, strict=False):
            normed = functional.layer_norm(x, x.shape[1:], *norm).to(self.dtype)
            raised = functional.silu(functional.linear(normed, rise, rise_bias), inplace=True)
            x = x + functional.linear(raised, fall, fall_bias)
        return functional.layer_norm(x, x.shape[1:], *self.norms[-1]).to(self.dtype)


def _null_or_value(values: Tensor, null: int, share: Tensor, uniform: Tensor) -> Tensor:
    """Draw null with a share, (B,), else of the values' logits, (B, size); (B,), int64.

    What is left of the uniform number, (B,), is uniform again. Logits are within `LOGIT_LIMIT`,
    so that they need not be moved before they are raised.
    """
    is_null = uniform < share
    left = ((uniform - share) / (1 - share)).nan_to_num_().clamp_(0, 1)
    return reached(values.exp_().cumsum(1), left).masked_fill_(is_null, null)


def _packed(block: AnyOrderNetwork, column: int, sharpness: float, dtype: torch.dtype) -> _Column:
    """Compute what hangs on a column's weights alone."""
    cells, span = block.cells, slice(block.starts[column], block.starts[column + 1])
    head, bias = block.token_head.weight[span], block.token_head.bias[span]
    if block.rank_head is not None:
        head = block.rank_head.of_column(column, head)
    null = None
    if column in block.with_null:
        null = int(block.nulls[block.with_null.index(column)]) - span.start
    factors = torch.full_like(bias, sharpness)
    if null is not None:
        factors[null] = 1.0
    parts = None
    if column in block.parted:
        place = block.parted.index(column)
        rise = slice(place * block.part_width, (place + 1) * block.part_width)
        part_bias = block.part_bias[span]
        most = int((part_bias > IMPOSSIBLE).sum(1).max())
        parts = _Parts(
            block.part_rise.weight[rise].to(dtype),
            block.part_rise.bias[rise].to(dtype),
            block.part_embedding.weight[span].to(dtype),
            block.part_fall.weight[place, :, :most].T.to(dtype),
            part_bias[:, :most],
        )
    pieces = cells.input.weight.split(cells.input_widths, 1)
    known = pieces[-1][:, column]
    seen = functional.linear(cells.embedding.weight[span], pieces[column], known)
    ranks = rank_weight = None
    if column in cells.ordered:
        ranks = cells.ranks[span.start * cells.most_parts : span.stop * cells.most_parts]
        rank_weight = pieces[len(block.starts) - 1 + cells.ordered.index(column)].T
    leaning = None
    if block.leanings is not None and column in block.leanings.places:
        leaning = block.leanings.basis(column) * factors
    head, bias = (head * factors[:, None]).to(dtype), (bias * factors).to(dtype)
    return _Column(head, bias, leaning, null, parts, seen, ranks, rank_weight)
