"""Reading visits in one direction: a recurrent network, and what `Course` says of them."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.sequence import SequenceFields
from synthehr.models.cells import CellReader
from synthehr.models.course import Course, Past
from synthehr.models.owners import rows_owned_by
from synthehr.models.recurrent import CellName, Recurrent


@final
class PastReader(nn.Module):
    """Makes the context of each visit of the visits on one side of it.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    course : Course
        Of the same columns.
    cell : {"lstm", "gru", "rnn"}
        Of the recurrent network.
    hidden, width : int
        Width of its state, and of a context.
    embedding, frequencies : int
    own_share, dropout : float
        As of `CellReader`; share of the state silenced in training.
    """

    def __init__(
        self,
        fields: SequenceFields,
        course: Course,
        *,
        cell: CellName,
        hidden: int,
        width: int,
        embedding: int,
        frequencies: int,
        own_share: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.course = course
        self.dropout = dropout
        self.visit = CellReader(
            fields.visits,
            width=hidden,
            embedding=embedding,
            frequencies=frequencies,
            own_share=own_share,
        )
        self.last = CellReader(
            fields.visits,
            width=width,
            embedding=embedding,
            frequencies=frequencies,
            own_share=own_share,
        )
        self.recurrent = Recurrent(hidden, hidden, cell)
        self.initial = nn.Linear(width, self.recurrent.state_width)
        self.recall = nn.Linear(hidden, width, bias=False)
        self.features = nn.Linear(course.width, width, bias=False)
        # What happens at one time alone, such as the end of a stay, smooth features blur.
        self.when = nn.Embedding(max(len(fields.elapsed), 1), width)
        nn.init.zeros_(self.when.weight)

    def begin(self, once: Tensor) -> Tensor:
        """Give the state before the first visit, from what patients have once, (B, width)."""
        return self.initial(functional.silu(once)).tanh()

    def step(self, codes: Tensor, known: Tensor, state: Tensor) -> Tensor:
        """Read one more visit, of codes (B, 2, D) with known cells (B, D)."""
        return self.recurrent.step(functional.silu(self.visit(codes, known)), state)

    def read(
        self,
        codes: Tensor,
        present: Tensor,
        shown: Tensor,
        elapsed: Tensor,
        origin: Tensor,
        once: Tensor,
    ) -> tuple[Past, Tensor]:
        """Read all visits.

        Parameters
        ----------
        codes : Tensor of shape (B, T, 2, D), int64
        present : Tensor of shape (B, T), bool
            Which visits there are, each patient's from the left.
        shown : Tensor of shape (B, T, D), bool
            Cells that are shown.
        elapsed : Tensor of shape (B, T)
            Time of each visit, in mean gaps, in the order of reading.
        origin : Tensor of shape (B,)
            Time before the first.
        once : Tensor of shape (B, width)
            What patients have once.

        Returns
        -------
        Past, Tensor of shape (B, T + 1, hidden)
            Before each visit and after the last.
        """
        with rows_owned_by(present.nonzero()[:, 0]):
            rows = functional.silu(self.visit(codes[present], shown[present]))
        read = rows.new_zeros(*present.shape, rows.shape[1]).index_put((present,), rows)
        start = self.begin(once)
        states = self.recurrent(read, start)
        states = torch.cat([self.hidden(start)[:, None].to(states.dtype), states], 1)
        known = shown & self.course.seen(codes)
        return self.course.before_each(codes, known, elapsed, origin), states

    def context(self, past: Past, state: Tensor) -> Tensor:
        """Make contexts, (R, width), of pasts and states, (R, hidden)."""
        if self.training and self.dropout:
            state = functional.dropout(state, self.dropout)
        features = self.features(self.course.features(past)) + self.when(
            self.course.bins(past.elapsed)
        )
        return self.last(past.last, past.seen) + features + self.recall(state)

    def hidden(self, state: Tensor) -> Tensor:
        """Give the part of states, (B, …), that contexts see; (B, hidden)."""
        return state[:, : self.recurrent.units]
