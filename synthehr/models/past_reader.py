"""Reading visits in one direction: a recurrent network, and what `Course` says of them."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.sequence import SequenceFields
from synthehr.models.cells import CellReader
from synthehr.models.course import Course, Past

CELLS: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

State = tuple[Tensor, ...]
"""Of a recurrent network: one tensor, or two for an LSTM, each of shape (1, B, hidden)."""


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
        cell: str,
        hidden: int,
        width: int,
        embedding: int,
        frequencies: int,
        own_share: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.course = course
        self.states = 2 if cell == "lstm" else 1
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
        self.recurrent = CELLS[cell](hidden, hidden, batch_first=True)
        self.initial = nn.Linear(width, self.states * hidden)
        self.recall = nn.Linear(hidden, width, bias=False)
        self.features = nn.Linear(course.width, width, bias=False)
        # What happens at one time alone, such as the end of a stay, smooth features blur.
        self.when = nn.Embedding(max(len(fields.elapsed), 1), width)
        nn.init.zeros_(self.when.weight)

    def begin(self, once: Tensor) -> State:
        """Give the state before the first visit, from what patients have once, (B, width)."""
        state = self.initial(functional.silu(once)).tanh()[None].chunk(self.states, 2)
        return tuple(part.contiguous() for part in state)

    def step(self, codes: Tensor, known: Tensor, state: State) -> State:
        """Read one more visit, of codes (B, 2, D) with known cells (B, D)."""
        return self._run(self.visit(codes, known)[:, None], state)[1]

    def read(
        self, codes: Tensor, shown: Tensor, elapsed: Tensor, origin: Tensor, once: Tensor
    ) -> tuple[Past, Tensor]:
        """Read all visits.

        Parameters
        ----------
        codes : Tensor of shape (B, T, 2, D), int64
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
        n, steps = shown.shape[:2]
        read = self.visit(codes.flatten(0, 1), shown.flatten(0, 1)).view(n, steps, -1)
        start = self.begin(once)
        states, _ = self._run(read, start)
        states = torch.cat([start[0][0][:, None].to(states.dtype), states], 1)
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

    def _run(self, read: Tensor, state: State) -> tuple[Tensor, State]:
        start = state if self.states == 2 else state[0]
        out, end = self.recurrent(functional.silu(read), start)
        return out, end if self.states == 2 else (end,)
