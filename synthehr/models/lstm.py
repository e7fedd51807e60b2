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
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.sequence import SequenceFields
from synthehr.models.autoregressive import Autoregressive
from synthehr.models.base import NOTHING_GIVEN, Batch, Given, Loss
from synthehr.models.completing import complete_records, token_chances
from synthehr.models.masks import draw_masks
from synthehr.models.sequence_base import SequenceBatch, SequenceModel, Sequences
from synthehr.models.visit_drawing import draw_visits, from_both_sides, next_visits
from synthehr.models.visit_network import VisitNetwork

HELD_OUT_VISITS = 4096
"""Visits times masks by which held-out patients are scored, at least."""
BLOCK = 256
"""Held-out patients that are scored at a time."""
ORDERED_SHARE = 0.5
NEXT_WEIGHT = 0.5
"""As `ordered_share` and `next_weight` of `AutoregressiveConfig`."""
LONGEST = 4.0
"""Drawing ends at so many times the visits of the patient with most."""


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
        for name in ("frequencies", "head_frequencies"):
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

    def __init__(self, fields: SequenceFields, config: LSTMConfig) -> None:
        super().__init__()
        self.fields = fields
        self.config = config
        self.static = None
        if fields.static:
            self.static = Autoregressive.build(
                fields.static, Autoregressive.sized(fields.static, 1_000, {"factors": 0})
            )
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
        visits = n_patients * fields.mean_visits
        per_batch = 256 if visits < 3_000 else 1_024 if visits < 30_000 else 4_096
        batch = max(8, min(512, round(per_batch / fields.mean_visits)))
        epochs = 150 if visits < 3_000 else 60 if visits < 30_000 else 22
        return TrainConfig(
            steps=max(500, round(epochs * n_patients / batch)),
            batch_size=batch,
            learning_rate=2e-3,
            betas=(0.9, 0.99),
            weight_decay=0.1,
            patience=6,
            evaluations=20,
        )

    def begin(self, records: Sequences, generator: torch.Generator) -> None:
        """Count when patients end, and remember how many visits they have at most, roughly."""
        self.visits.learn_hazard(records)
        longest = records.lengths.sort(descending=True).values[:10].float().mean()
        self.most_visits.fill_(int(longest) + 1)

    def losses(self, batch: SequenceBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of what patients have once, and of their visits, in nats."""
        if self.static is not None:
            for loss in self.static.losses(Batch(batch.static, None, batch.generator), step):
                yield loss._replace(child="static")
        present, columns = batch.present, len(self.fields.visits)
        noise = torch.rand(
            *present.shape, columns, generator=batch.generator, device=present.device
        )
        shown = present[..., None] & (noise >= self.config.forgetting)
        known, weights = self._masks(int(present.sum()), batch.generator, NEXT_WEIGHT)
        share = self.config.whole_share
        if int((step + 1) * share) > int(step * share):
            # Only values are learned here, as if nobody knew whether a null cell has one.
            shown, known, weights = self._without_nulls(batch, shown, known, weights)
            losses = self.visits.whole_losses(batch, shown, known, weights)
        else:
            losses = self.visits.losses(batch, shown, known, weights)
        yield Loss("visits", per_record=losses / self.fields.mean_visits)

    @torch.no_grad()
    def held_out_loss(self, records: Sequences) -> float:
        """Estimate the negative log-likelihood of a patient, in nats, over fixed masks."""
        device = records.starts.device
        generator = torch.Generator(device).manual_seed(0)
        total = 0.0
        if self.static is not None:
            total = self.static.held_out_loss(records.static.long()) * len(records)
        repeats = max(1, -(-HELD_OUT_VISITS // len(records.visits)))
        for part in records.lengths.argsort().repeat_interleave(repeats).split(BLOCK):
            batch = records.take(part, generator)
            known, weights = self._masks(int(batch.present.sum()), generator, 1.0)
            shown = batch.present[..., None].expand(-1, -1, len(self.fields.visits))
            losses = self.visits.losses(batch, shown, known, weights)
            total += losses.sum().item() / repeats
        return total / len(records)

    def finish(self, records: Sequences) -> None:
        """Settle the shares of what patients have once; no record is looked at."""
        self.eval()
        if self.static is not None:
            self.static.finish(records.static)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator, given: Given = NOTHING_GIVEN) -> Sequences:
        """Draw what patients have once, then all their visits side by side."""
        self.eval()
        if self.static is None:
            static = torch.zeros(n, 2, 0, dtype=torch.int64, device=self.most_visits.device)
        else:
            static = self.static.sample(n, given, generator)
        most = int(LONGEST * int(self.most_visits))
        return draw_visits(self.visits, self.fields, static, most, generator, given.of_visits)

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

    def _without_nulls(
        self, batch: SequenceBatch, shown: Tensor, known: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Show no null, and leave its loss out; the gap before a visit is always known."""
        seen = self.visits.course.seen(batch.visits)
        is_gap = torch.arange(known.shape[1], device=known.device) == self.fields.gap
        here = seen[batch.present] & ~is_gap
        known = (known & here) | is_gap
        return shown & (seen | is_gap), known, weights * here

    def _masks(
        self, n: int, generator: torch.Generator, next_weight: float
    ) -> tuple[Tensor, Tensor]:
        return draw_masks(
            n,
            len(self.fields.visits),
            generator,
            ordered_share=ORDERED_SHARE,
            next_weight=next_weight,
        )
