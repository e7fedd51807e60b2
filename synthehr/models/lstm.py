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
from synthehr.models.base import NOTHING_GIVEN, OPEN, Batch, Given, Loss
from synthehr.models.completing import complete_records
from synthehr.models.masks import draw_masks
from synthehr.models.sequence_base import SequenceBatch, SequenceModel, Sequences
from synthehr.models.visit_network import Memory, VisitNetwork

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
        epochs = 150 if visits < 3_000 else 60 if visits < 30_000 else 30
        return TrainConfig(
            steps=max(600, round(epochs * n_patients / batch)),
            batch_size=batch,
            learning_rate=2e-3,
            betas=(0.9, 0.99),
            weight_decay=0.1,
            patience=6,
            evaluations=20,
        )

    def begin(self, records: Sequences, generator: torch.Generator) -> None:
        """Remember how many visits a patient has at most, roughly."""
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
        is_whole = int((step + 1) * share) > int(step * share)
        learn = self.visits.whole_losses if is_whole else self.visits.losses
        losses = learn(batch, shown, known, weights)
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
    def sample(self, n: int, generator: torch.Generator, static: Tensor | None = None) -> Sequences:
        """Draw patients, and all their visits side by side; who has had the last one drops out."""
        self.eval()
        device = self.most_visits.device
        if self.static is None:
            static = torch.zeros(n, 2, 0, dtype=torch.int64, device=device)
        else:
            given = NOTHING_GIVEN if static is None else Given(static)
            static = self.static.sample(n, given, generator)
        memory = self.visits.begin(static)
        here = torch.arange(n, device=device)
        owners, drawn = [], []
        for _ in range(int(LONGEST * int(self.most_visits))):
            memory, codes = self._visit(memory, generator)
            owners.append(here)
            drawn.append(codes)
            odds = self.visits.stop(self.visits.context(memory))[:, 0].float()
            goes_on = torch.rand(len(here), generator=generator, device=device) >= odds.sigmoid()
            kept = goes_on.nonzero()[:, 0]
            here, memory = here[kept], memory.rows(kept)
            if not len(here):
                break
        owner = torch.cat(owners)
        counts = torch.bincount(owner, minlength=n)
        starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return Sequences(static, torch.cat(drawn)[owner.argsort(stable=True)], starts)

    @torch.no_grad()
    def proceed(self, past: Sequences, steps: int, generator: torch.Generator) -> Tensor:
        """Draw the next visits of given patients."""
        self.eval()
        memory = self._after(past, generator)
        drawn = []
        for _ in range(steps):
            memory, codes = self._visit(memory, generator)
            drawn.append(codes)
        return torch.stack(drawn, 1)

    def _after(self, past: Sequences, generator: torch.Generator) -> Memory:
        """Take in all visits of given patients; null where a cell is `OPEN`."""
        everyone = torch.arange(len(past), device=past.starts.device)
        batch = past.take(everyone, generator)
        memory = self.visits.begin(batch.static.clamp(min=0))
        for step in range(batch.present.shape[1]):
            codes, here = batch.visits[:, step], batch.present[:, step]
            known = torch.ones_like(codes[:, 0], dtype=torch.bool)
            memory = self.visits.proceed(memory, codes, known).where(here, memory)
        return memory

    def _visit(self, memory: Memory, generator: torch.Generator) -> tuple[Memory, Tensor]:
        """Draw the next visit of each patient, (B, 2, D), and take it in."""
        codes = torch.full_like(memory.past.last, OPEN)
        barred = {}
        field, gap = self.fields.visits[self.fields.gap], self.fields.gap
        assert field.null is not None
        if bool((memory.past.visits == 0).all()):
            codes[:, 0, gap], codes[:, 1, gap] = field.null, 0
        else:
            barred = {gap: torch.arange(field.size) == field.null}
        codes = complete_records(
            self.visits.block,
            self.fields.visits,
            codes,
            barred,
            generator,
            context=self.visits.context(memory),
        )
        return self.visits.proceed(
            memory, codes, torch.ones_like(codes[:, 0], dtype=torch.bool)
        ), codes

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
