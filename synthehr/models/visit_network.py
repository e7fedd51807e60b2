"""The network of the LSTM model: a patient's past in, the next visit's columns out.

A recurrent network reads the visits so far. Its state, what the patient has once, and what
`synthehr.models.course` says of the past make the context of an any-order network, the one
that models tables: so each cell of a visit is drawn given the past and the cells drawn before
it. A second recurrent network reads the visits from the last to the first; with it, holes are
filled by what comes after them too. Shapes: B patients, T visits, D columns.
"""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.sequence import SequenceFields
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.cells import CellReader
from synthehr.models.course import Course, Past
from synthehr.models.leaning import Context, LastSeen
from synthehr.models.owners import rows_owned_by
from synthehr.models.past_reader import PastReader
from synthehr.models.recurrent import CellName
from synthehr.models.sequence_base import SequenceBatch, Sequences
from synthehr.models.visit_ends import Reached, VisitEnds

STOP_WIDTH = 64


class Memory(NamedTuple):
    """What is kept of patients while their visits are drawn.

    Attributes
    ----------
    past : Past
        Of B patients.
    state : Tensor of shape (B, …)
        Of the recurrent network that reads forwards.
    once : Tensor of shape (B, width)
        What holds for the whole patient, as a summand of the context.
    slopes : Tensor of shape (B, O)
        See `VisitNetwork.slopes_for`.
    """

    past: Past
    state: Tensor
    once: Tensor
    slopes: Tensor

    def rows(self, index: Tensor) -> Memory:
        """Keep some patients."""
        return Memory(
            Past(*(part.index_select(0, index) for part in self.past)),
            self.state.index_select(0, index),
            self.once.index_select(0, index),
            self.slopes.index_select(0, index),
        )

    def where(self, here: Tensor, other: Memory) -> Memory:
        """Take these patients where `here`, (B,) bool, and the other memory elsewhere."""

        def either(mine: Tensor, theirs: Tensor) -> Tensor:
            return torch.where(here.view(-1, *[1] * (mine.ndim - 1)), mine, theirs)

        return Memory(
            Past(*(either(*pair) for pair in zip(self.past, other.past, strict=True))),
            either(self.state, other.state),
            self.once,
            self.slopes,
        )


@final
class VisitNetwork(nn.Module):
    """A recurrent network over visits, and an any-order network within each.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    cell : {"lstm", "gru", "rnn"}
        Of the recurrent networks.
    hidden, width, blocks, embedding, frequencies, head_frequencies : int
    dropout, own_share : float
        See `synthehr.models.lstm.LSTMConfig`.
    looks_ahead : bool
        Whether there is a network that reads backwards.
    latent : int
        Width of the latent vector of a patient that visits hang on; 0: there is none.
    """

    def __init__(
        self,
        fields: SequenceFields,
        *,
        cell: CellName,
        hidden: int,
        width: int,
        blocks: int,
        embedding: int,
        frequencies: int,
        head_frequencies: int,
        dropout: float,
        own_share: float,
        looks_ahead: bool,
        latent: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.course = Course(fields)
        columns = _leaning_columns(fields)
        self.block = AnyOrderNetwork(
            fields.visits,
            width=width,
            blocks=blocks,
            embedding=embedding,
            frequencies=frequencies,
            dropout=dropout,
            part_width=32,
            head_frequencies=head_frequencies,
            own_share=own_share,
            factors=0,
            estimates=1,
            leaning_columns=columns,
        )
        readers = [
            PastReader(
                fields,
                self.course,
                cell=cell,
                hidden=hidden,
                width=width,
                embedding=embedding,
                frequencies=frequencies,
                own_share=own_share,
                dropout=dropout,
            )
            for _ in range(2 if looks_ahead else 1)
        ]
        self.behind, self.ahead = readers[0], readers[1] if looks_ahead else None
        self.once = None
        if fields.static:
            self.once = CellReader(
                fields.static,
                width=width,
                embedding=embedding,
                frequencies=frequencies,
                own_share=own_share,
            )
        self.latent = nn.Linear(latent, width, bias=False) if latent else None
        self.stop = nn.Sequential(nn.Linear(width, STOP_WIDTH), nn.SiLU(), nn.Linear(STOP_WIDTH, 1))
        self.ends = VisitEnds(max(len(fields.elapsed), 1), fields.mean_visits)
        # By which columns are drawn in one pass; see `synthehr.models.visit_passes`.
        self.register_buffer("passes", torch.arange(len(fields.visits)))
        # What the logits of a column's values are multiplied by while drawing; see
        # `synthehr.models.visit_settling`.
        self.register_buffer("sharpness", torch.ones(len(fields.visits)))
        # By how much columns move over time besides, while drawing, given what patients have
        # once; see `synthehr.models.visit_slopes`.
        self.register_buffer("slopes", torch.zeros(1 + width, len(columns)))

    passes: Tensor
    sharpness: Tensor
    slopes: Tensor

    def reached_by(self, records: Sequences) -> Reached:
        """Give the visits of patients, (R,), each with even odds that it is the last."""
        lengths = self.course.lengths(records.visits.long()).cumsum(0)
        first = records.starts[:-1].repeat_interleave(records.lengths)
        begins = self.course.origin(records.static.long()).repeat_interleave(records.lengths)
        time = self.course.bins(lengths - lengths[first] + begins)
        number = 1 + torch.arange(len(time), device=time.device) - first
        even = torch.tensor(len(records) / len(time)).logit(1e-4).to(time.device)
        return Reached(time, number, even.expand(len(time)))

    def reached(self, context: Tensor, past: Past) -> Reached:
        """Give the visits that were the last so far, (R,), and log odds that none follows."""
        time, number = self.course.bins(past.elapsed), past.visits.long()
        odds = self.stop(context)[:, 0].float() + self.ends(time, number)
        return Reached(time, number, odds)

    def begin(self, static: Tensor, latent: Tensor | None = None) -> Memory:
        """Start with what patients have once, of codes (B, 2, S), and latents (B, L)."""
        once = self.once_of(static, latent)
        past = self.course.nothing(self.course.origin(static))
        return Memory(past, self.behind.begin(once), once, self.slopes_for(static))

    def proceed(self, memory: Memory, codes: Tensor, known: Tensor) -> Memory:
        """Take in one more visit, of codes (B, 2, D) with known cells (B, D)."""
        state = self.behind.step(codes, known, memory.state)
        past = self.course.after(memory.past, codes, known & self.course.seen(codes))
        return Memory(past, state, memory.once, memory.slopes)

    def context(self, memory: Memory) -> Context:
        """Say what is known before the next visit, of B patients."""
        first = self.behind.context(memory.past, self.behind.hidden(memory.state)) + memory.once
        return Context(first, self.last_seen(memory.past, memory.slopes))

    def last_seen(self, past: Past, slopes: Tensor | None = None) -> LastSeen | None:
        """Say where patients' columns were last; None where none leans to that."""
        if self.block.leanings is None:
            return None
        index = self.block.leanings.index
        mean = past.sums / past.counts.clamp(min=1)
        last, seen = self.course.score(past.last), past.seen.float()
        return LastSeen(last[..., index], mean[..., index], seen[..., index], slopes)

    def slopes_for(self, static: Tensor) -> Tensor:
        """Say by how much scores are moved in a mean gap, of codes (B, 2, S); (B, O)."""
        return torch.addmm(self.slopes[0], self.once_of(static).float(), self.slopes[1:])

    def losses(
        self,
        batch: SequenceBatch,
        shown: Tensor,
        known: Tensor,
        weights: Tensor,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Negative log-likelihood of each patient's visits and of their end, (B,), in nats.

        Parameters
        ----------
        batch : SequenceBatch
            The patients.
        shown : Tensor of shape (B, T, D), bool
            Cells of the past that the network is shown.
        known, weights : Tensor of shape (R, D)
            For each of the R visits that there are: cells that are known, and the weights of
            the losses of the others.
        latent : Tensor of shape (B, L), optional
            Of the patients.
        """
        once = self.once_of(batch.static, latent)
        context, past, owners = self.contexts(batch, shown, once)
        place = past.visits
        left = batch.present.sum(1)[owners] - place
        cells = batch.visits[batch.present]
        with rows_owned_by(owners[left > 0]):
            losses = self.block.cross_entropy(cells, known, context.rows(left > 0))
        with rows_owned_by(owners):
            odds = self.reached(context.first, past).odds[place > 0]
        losses = (losses * weights).sum(1)
        ended = (left[place > 0] == 0).float()
        ends = functional.binary_cross_entropy_with_logits(odds, ended, reduction="none")
        return losses.new_zeros(len(once)).index_add(0, owners[left > 0], losses + ends)

    def whole_losses(
        self,
        batch: SequenceBatch,
        shown: Tensor,
        known: Tensor,
        weights: Tensor,
        latent: Tensor | None = None,
    ) -> Tensor:
        """Do so for each visit given those on both sides of it, (B,); parameters as `losses`."""
        owners = batch.present.nonzero()[:, 0]
        context = self.whole_context(batch, shown, latent)
        cells = batch.visits[batch.present]
        losses = (self.block.cross_entropy(cells, known, context) * weights).sum(1)
        return losses.new_zeros(len(batch.static)).index_add(0, owners, losses)

    def whole_context(
        self, batch: SequenceBatch, shown: Tensor, latent: Tensor | None = None
    ) -> Context:
        """Say what is known of each of R visits from those on both sides of it."""
        once = self.once_of(batch.static, latent)
        context, past, owners = self.contexts(batch, shown, once)
        left = batch.present.sum(1)[owners] - past.visits
        before = context.rows(left > 0)
        return before._replace(first=before.first + self.foresight(batch, shown, once))

    def contexts(
        self, batch: SequenceBatch, shown: Tensor, once: Tensor
    ) -> tuple[Context, Past, Tensor]:
        """Make the contexts before each visit and after the last, patient by patient.

        Returns
        -------
        Context, Past, Tensor of shape (R + B,), int64
            Of R + B places: what is known, what it is made of, and whose it is.
        """
        origin = self.course.origin(batch.static)
        elapsed = self.course.lengths(batch.visits).cumsum(1) + origin[:, None]
        past, states = self.behind.read(batch.visits, batch.present, shown, elapsed, origin, once)
        steps = torch.arange(states.shape[1], device=states.device)
        reached = steps <= batch.present.sum(1, keepdim=True)
        owners = reached.nonzero()[:, 0]
        here = Past(*(part[reached] for part in past))
        with rows_owned_by(owners):
            first = self.behind.context(here, states[reached]) + once[owners]
        return Context(first, self.last_seen(here)), here, owners

    def foresight(self, batch: SequenceBatch, shown: Tensor, once: Tensor) -> Tensor:
        """Say what the visits after each of R visits tell of it, (R, width)."""
        assert self.ahead is not None
        here = batch.present
        lengths = batch.present.sum(1, keepdim=True)
        steps = torch.arange(batch.present.shape[1], device=lengths.device)
        turned = (lengths - 1 - steps).clamp_(min=0)
        rows = torch.arange(len(turned), device=turned.device)[:, None]
        elapsed = self.course.lengths(batch.visits).cumsum(1)
        to_end = (elapsed.gather(1, lengths - 1) - elapsed)[rows, turned]
        visits, seen = batch.visits[rows, turned], shown[rows, turned]
        start = torch.zeros_like(to_end[:, 0])
        past, states = self.ahead.read(visits, here, seen, to_end, start, once)
        after = Past(*(part[rows, turned][here] for part in past))
        return self.ahead.context(after, states[rows, turned][here])

    def once_of(self, static: Tensor, latent: Tensor | None = None) -> Tensor:
        """Say what holds for whole patients, of codes (B, 2, S) and latents (B, L); (B, width)."""
        if self.once is None:
            once = self.behind.initial.weight.new_zeros(len(static), self.width)
        else:
            once = self.once(static, torch.ones_like(static[:, 0], dtype=torch.bool))
        return once if self.latent is None or latent is None else once + self.latent(latent)


def _leaning_columns(fields: SequenceFields) -> list[int]:
    """Choose the columns of visits that lean: gaps hang on protocols more than on the last gap."""
    ordered = (d for d, field in enumerate(fields.visits) if field.positions is not None)
    return [column for column in ordered if column != fields.gap]
