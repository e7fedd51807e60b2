"""Visits of a patient one after the other: the default model of time.

What patients have once is modelled like any table. Given that, each visit is drawn given the
visits before it, in the order: whether there is another, how long after, and then cell by cell,
null first. The likelihood is the product of these, so that it says when to stop training, and
the same network continues a patient's visits and fills holes in them.

NOTE[DIFF]: there is no latent variable for the whole patient. The state of the network carries
what sets a patient apart from the first visit on, and the likelihood stays exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.sequence import SequenceFields
from synthehr.models.base import NOTHING_GIVEN, Given, Loss
from synthehr.models.completing import complete_records, token_chances
from synthehr.models.sequence_base import SequenceBatch, SequenceModel, Sequences
from synthehr.models.visit_drawing import draw_visits, from_both_sides, next_visits
from synthehr.models.visit_ends import Reached, settle_ends
from synthehr.models.visit_learning import (
    draw_static,
    held_out_visits,
    lesson,
    lesson_losses,
    score_patients,
    static_losses,
    static_model,
    usual_most,
    visit_training,
)
from synthehr.models.visit_network import VisitNetwork
from synthehr.models.visit_passes import VISITS, settle_passes
from synthehr.models.visit_settling import settle_by_patients, shift_to_shares
from synthehr.models.visit_starts import start_visits

SETTLING_ROUNDS = 3
SETTLING_PATIENTS = 1024
FEWEST = 64
"""Patients by which passes are settled, at least."""


@dataclass(frozen=True)
class LSTMConfig:
    """Settings of the LSTM model.

    Attributes
    ----------
    cell : {"lstm", "gru", "rnn"}
        Of the recurrent network.
    hidden : int
        Width of its state.
    width, blocks : int
        Width and residual blocks of the network within a visit.
    embedding : int
        Width of a token's embedding.
    frequencies, head_frequencies : int
    own_share : float
        As in `synthehr.models.autoregressive.AutoregressiveConfig`.
    dropout : float
        Share of hidden units silenced in training.
    forgetting : float
        Share of the cells of the past that are hidden in training, so that a cell that was
        drawn a little off does not throw the next ones off.
    whole_share : float
        Share of the steps that learn visits given those on both sides, to fill holes; 0: this
        is not learned.
    """

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    hidden: int = 128
    width: int = 192
    blocks: int = 2
    embedding: int = 12
    frequencies: int = 3
    head_frequencies: int = 3
    own_share: float = 0.2
    dropout: float = 0.1
    forgetting: float = 0.1
    whole_share: float = 0.25

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("hidden", "width", "blocks", "embedding"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("frequencies", "head_frequencies", "own_share"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        for name in ("dropout", "forgetting", "whole_share"):
            if not 0 <= getattr(self, name) < 1:
                raise out_of_range(name, "at least 0 and below 1")


@final
class LSTM(SequenceModel):
    """Static columns by any-order autoregression, then visit after visit.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    config : LSTMConfig
        The settings.
    """

    Config: ClassVar[type] = LSTMConfig
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {
            "hidden": 48,
            "width": 96,
            "blocks": 1,
            "embedding": 8,
            "frequencies": 2,
            "own_share": 1.0,
            "forgetting": 0.0,
        },
        "train": {"steps": 200, "batch_size": 512},
        "privacy": {"marginals": 0.8, "rounds": 6},
    }
    private_only: ClassVar[Mapping[str, Any]] = {
        # Norms are taken layer by layer, and shared slopes are no layer.
        "head_frequencies": 0,
        # Its numbers are drawn for the visits that there are, not for those that may be.
        "dropout": 0.0,
        # No patient may go through a layer twice.
        "whole_share": 0.0,
    }

    def __init__(self, fields: SequenceFields, config: LSTMConfig) -> None:
        super().__init__()
        self.fields = fields
        self.config = config
        private = all(getattr(config, key) == value for key, value in self.private_only.items())
        self.static = static_model(fields, private=private)
        self.visits = VisitNetwork(
            fields,
            cell=config.cell,
            hidden=config.hidden,
            width=config.width,
            blocks=config.blocks,
            embedding=config.embedding,
            frequencies=config.frequencies,
            head_frequencies=config.head_frequencies,
            dropout=config.dropout,
            own_share=config.own_share,
            looks_ahead=config.whole_share > 0,
        )
        self.register_buffer("most_visits", torch.tensor(1))

    most_visits: Tensor

    @classmethod
    def build(cls, fields: SequenceFields, config: LSTMConfig) -> LSTM:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: SequenceFields, n_patients: int, settings: Mapping[str, Any]
    ) -> LSTMConfig:
        """Choose by the number of visits, with the user's settings on top."""
        visits = n_patients * fields.mean_visits
        if visits < 3_000:
            size = LSTMConfig(
                hidden=48,
                width=128,
                dropout=0.4,
                own_share=0.1,
                frequencies=1,
                head_frequencies=1,
                forgetting=0.2,
            )
        elif visits < 30_000:
            size = LSTMConfig(hidden=96, dropout=0.25)
        else:
            size = LSTMConfig()
        return replace(size, **settings)

    @classmethod
    def train_config(
        cls, fields: SequenceFields, n_patients: int, config: LSTMConfig
    ) -> TrainConfig:
        """Choose the budget by the number of visits."""
        return visit_training(fields, n_patients)

    def begin(self, records: Sequences, generator: torch.Generator) -> None:
        """Start visits, and remember how many of them patients have at most, roughly."""
        start_visits(self.visits, records, generator)
        self.most_visits.fill_(usual_most(records))

    def losses(self, batch: SequenceBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of what patients have once, and of their visits, in nats."""
        yield from static_losses(self.static, batch, step)
        config = self.config
        batch, asked = lesson(
            batch,
            self.visits.course,
            step,
            forgetting=config.forgetting,
            whole_share=config.whole_share,
        )
        losses = lesson_losses(self.visits, batch, asked)
        yield Loss("visits", per_record=losses / self.fields.mean_visits)

    @torch.no_grad()
    def held_out_loss(self, records: Sequences) -> float:
        """Estimate the negative log-likelihood of a patient, in nats, over fixed masks."""
        score = partial(lesson_losses, self.visits)
        loss = held_out_visits(records, len(self.fields.visits), score)
        if self.static is not None:
            loss += self.static.held_out_loss(records.static.long())
        return loss

    @torch.no_grad()
    def patient_losses(self, records: Sequences) -> Tensor:
        """Estimate the negative log-likelihood of each patient, (P,), in nats."""
        score = partial(lesson_losses, self.visits)
        losses = score_patients(records, len(self.fields.visits), score)
        if self.static is None:
            return losses
        once = self.static.record_losses(records.static.long())
        return losses if once is None else losses + once

    def finish(self, records: Sequences) -> None:
        """Settle the shares of what patients have once, passes, and when visits end.

        Of the records, only when visits end is looked at.
        """
        self.eval()
        if self.static is not None:
            self.static.finish(records.static)
        random = torch.Generator(records.starts.device).manual_seed(0)
        n = min(max(round(VISITS / self.fields.mean_visits), FEWEST), SETTLING_PATIENTS)
        settle_passes(self.visits, self.sample(n, random), random)
        wanted = self.visits.ends.shares(self.visits.reached_by(records))
        settle_ends(
            self.visits.ends,
            wanted,
            self.fields.mean_visits,
            lambda n, reached: self._drawn(n, random, NOTHING_GIVEN, reached),
        )

    def adjust(self, records: Sequences) -> None:
        """Draw patients, and move shares, changes and ends to those of the patients trained on."""
        random = torch.Generator(records.starts.device).manual_seed(1)
        settle_by_patients(
            self.visits,
            self.fields,
            records,
            lambda n, reached: self._drawn(n, random, NOTHING_GIVEN, reached),
        )

    def settle(self, generator: torch.Generator) -> None:
        """Draw patients, and shift biases by what is off; some rounds of it.

        Visits count as in the noisy marginals that the shares come from: the less, the more of
        them a patient has.
        """
        for _ in range(SETTLING_ROUNDS):
            drawn = self.sample(SETTLING_PATIENTS, generator)
            weights = drawn.lengths.reciprocal().repeat_interleave(drawn.lengths)
            shift_to_shares(self.visits, self.fields, drawn, weights)

    def sample(self, n: int, generator: torch.Generator, given: Given = NOTHING_GIVEN) -> Sequences:
        """Draw what patients have once, then all their visits side by side."""
        return self._drawn(n, generator, given)

    @torch.no_grad()
    def proceed(
        self, past: Sequences, steps: int, draws: int, generator: torch.Generator
    ) -> Tensor:
        """Draw the next visits of given patients, as often as is asked for."""
        self.eval()
        return next_visits(self.visits, self.fields, past, steps, draws, generator)

    @torch.no_grad()
    def complete(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> Tensor:
        """Draw the open cells of visits given all known cells of the patient."""
        self.eval()
        codes, context = from_both_sides(self.visits, self.fields, records, generator)
        return complete_records(
            self.visits.block, self.fields.visits, codes, barred, generator, context=context
        )

    @torch.no_grad()
    def token_chances(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Compute the chances of each open cell's tokens given all known cells of the patient."""
        self.eval()
        codes, context = from_both_sides(self.visits, self.fields, records, generator)
        return token_chances(self.visits.block, self.fields.visits, codes, barred, context)

    @torch.no_grad()
    def _drawn(
        self,
        n: int,
        generator: torch.Generator,
        given: Given,
        reached: list[Reached] | None = None,
    ) -> Sequences:
        self.eval()
        static = draw_static(self.static, n, given, generator)
        most, legal = int(self.most_visits), given.of_visits
        return draw_visits(
            self.visits, self.fields, static, most, generator, legal=legal, reached=reached
        )
