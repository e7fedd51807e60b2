"""Visits from a patient's latent vector, which an adversarial network makes.

An autoencoder reads all visits of a patient as a few latent numbers and writes the visits
again, one after the other, given these and the visits before. A generator learns to make such
latents of noise, given what the patient has once, and a critic to tell them from those read
(as RTSGAN, Pei et al. 2021, doi:10.1109/ICDM51629.2021.00178, whose decoder sees its latents
alone). The adversarial loss is that of `synthehr.models.adversarial`.

NOTE[DIFF]: latents are read with noise, and drawn towards the standard normal by `beta` times
their divergence from it; the generator starts from there. So latents have no gaps in which
a generated one would be a patient that nobody is like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor
from torch.nn import functional

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.sequence import SequenceFields
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.base import NOTHING_GIVEN, Given, Loss
from synthehr.models.completing import complete_records, token_chances
from synthehr.models.layers import around, divergence
from synthehr.models.leaning import Context
from synthehr.models.past_reader import PastReader
from synthehr.models.sequence_base import SequenceBatch, SequenceModel, Sequences
from synthehr.models.visit_drawing import draw_visits, from_both_sides, next_visits
from synthehr.models.visit_ends import Reached
from synthehr.models.visit_latents import LatentCritic, LatentGenerator, VisitAutoencoder
from synthehr.models.visit_learning import (
    Lesson,
    draw_static,
    held_out_visits,
    lesson,
    lesson_losses,
    static_losses,
    static_model,
    usual_most,
    visit_training,
)
from synthehr.models.visit_network import VisitNetwork
from synthehr.models.visit_settling import settle_by_patients
from synthehr.models.visit_starts import start_visits

EMBEDDING = 12
"""Width of a token's embedding in the autoencoder."""
ADVERSARY = 128
"""Width of generator and critic."""
PENALTY_EVERY = 4
"""Steps from one penalty of the critic to the next."""
CUT_SHARE = 0.25
"""Share of the patients whose latents are read from some visits only, to learn to continue."""


@dataclass(frozen=True)
class LSTMGANConfig:
    """Settings of the adversarial model of visits.

    Attributes
    ----------
    cell : {"lstm", "gru", "rnn"}
    hidden, width, blocks : int
    frequencies : int
    own_share, dropout, forgetting, whole_share : float
        As in `synthehr.models.lstm.LSTMConfig`; head frequencies are as many as the others.
    latent : int
        Number of latents of a patient.
    beta : float
        Weight of their divergence from the standard normal.
    penalty : float
        Weight of the critic's gradient penalty; 0 leaves it out.
    """

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    hidden: int = 128
    width: int = 192
    blocks: int = 2
    frequencies: int = 3
    own_share: float = 0.2
    dropout: float = 0.1
    forgetting: float = 0.1
    whole_share: float = 0.25
    latent: int = 24
    beta: float = 0.3
    penalty: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("hidden", "width", "blocks", "latent"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("frequencies", "own_share", "beta", "penalty"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        for name in ("dropout", "forgetting", "whole_share"):
            if not 0 <= getattr(self, name) < 1:
                raise out_of_range(name, "at least 0 and below 1")


@final
class LSTMGAN(SequenceModel):
    """Static columns by any-order autoregression, then latents, then visit after visit.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    config : LSTMGANConfig
        The settings.
    """

    Config: ClassVar[type] = LSTMGANConfig

    def __init__(self, fields: SequenceFields, config: LSTMGANConfig) -> None:
        super().__init__()
        self.fields = fields
        self.config = config
        self.static = static_model(fields)
        visits = VisitNetwork(
            fields,
            cell=config.cell,
            hidden=config.hidden,
            width=config.width,
            blocks=config.blocks,
            embedding=EMBEDDING,
            frequencies=config.frequencies,
            head_frequencies=config.frequencies,
            dropout=config.dropout,
            own_share=config.own_share,
            looks_ahead=config.whole_share > 0,
            latent=config.latent,
        )
        reader = PastReader(
            fields,
            visits.course,
            cell=config.cell,
            hidden=config.hidden,
            width=config.width,
            embedding=EMBEDDING,
            frequencies=config.frequencies,
            own_share=config.own_share,
            dropout=config.dropout,
        )
        self.autoencoder = VisitAutoencoder(visits, reader, config.latent)
        self.critic = LatentCritic(fields, config.latent, ADVERSARY)
        self.generator = LatentGenerator(fields, config.latent, ADVERSARY)
        self.register_buffer("most_visits", torch.tensor(1))

    most_visits: Tensor

    @classmethod
    def build(cls, fields: SequenceFields, config: LSTMGANConfig) -> LSTMGAN:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: SequenceFields, n_patients: int, settings: Mapping[str, Any]
    ) -> LSTMGANConfig:
        """Choose by the number of visits, with the user's settings on top."""
        visits = n_patients * fields.mean_visits
        if visits < 3_000:
            size = LSTMGANConfig(
                hidden=48,
                width=128,
                dropout=0.4,
                own_share=0.1,
                frequencies=1,
                forgetting=0.2,
                latent=16,
            )
        elif visits < 30_000:
            size = LSTMGANConfig(hidden=96, dropout=0.25)
        else:
            size = LSTMGANConfig()
        return replace(size, **settings)

    @classmethod
    def train_config(
        cls, fields: SequenceFields, n_patients: int, config: LSTMGANConfig
    ) -> TrainConfig:
        """Choose the budget by the number of visits."""
        return visit_training(fields, n_patients)

    def begin(self, records: Sequences, generator: torch.Generator) -> None:
        """Start visits, and remember how many of them patients have at most, roughly."""
        start_visits(self.autoencoder.visits, records, generator)
        self.most_visits.fill_(usual_most(records))

    def losses(self, batch: SequenceBatch, step: int) -> Iterator[Loss]:
        """Yield the losses of what patients have once, of their visits, and the adversaries'.

        All adversaries see are latents, but these, and what patients have once, are the
        patients': no part of these losses is public.
        """
        yield from static_losses(self.static, batch, step)
        config, random = self.config, batch.generator
        course = self.autoencoder.visits.course
        batch, asked = lesson(
            batch, course, step, forgetting=config.forgetting, whole_share=config.whole_share
        )
        losses = self._bound(batch, asked, self._until(batch), config.beta)
        yield Loss("autoencoder", per_record=losses / self.fields.mean_visits)

        with torch.no_grad():
            real = self._latent(batch, self._all(batch), batch.present.sum(1), random)
        fake = self.generator(batch.static, random)
        shown = fake.detach()
        loss = functional.softplus(-self.critic(real, batch.static))
        loss = loss + functional.softplus(self.critic(shown, batch.static))
        if config.penalty > 0 and step % PENALTY_EVERY == 0:
            slopes = [self.critic.steepness(some, batch.static) for some in (real, shown)]
            loss = loss + 0.5 * config.penalty * PENALTY_EVERY * (slopes[0] + slopes[1])
        yield Loss("critic", per_record=loss)
        yield Loss("generator", per_record=functional.softplus(-self.critic(fake, batch.static)))

    @torch.no_grad()
    def held_out_loss(self, records: Sequences) -> float:
        """Bound the negative log-likelihood of a patient, in nats, over fixed masks.

        It is that of the visits given latents read from them, plus the divergence of these:
        the likelihood under latents that were standard normal. What the generator adds to
        these is not in it.
        """
        loss = held_out_visits(
            records,
            len(self.fields.visits),
            lambda batch, asked: self._bound(batch, asked, batch.present.sum(1), 1.0),
        )
        if self.static is not None:
            loss += self.static.held_out_loss(records.static.long())
        return loss

    def finish(self, records: Sequences) -> None:
        """Settle the shares of what patients have once."""
        self.eval()
        if self.static is not None:
            self.static.finish(records.static)

    def adjust(self, records: Sequences) -> None:
        """Draw patients, and move shares, changes and ends to those of the patients trained on."""
        random = torch.Generator(records.starts.device).manual_seed(0)
        settle_by_patients(
            self.autoencoder.visits,
            self.fields,
            records,
            lambda n, reached: self._drawn(n, random, NOTHING_GIVEN, reached),
        )

    def sample(self, n: int, generator: torch.Generator, given: Given = NOTHING_GIVEN) -> Sequences:
        """Draw what patients have once, then latents, then all their visits side by side."""
        return self._drawn(n, generator, given)

    @torch.no_grad()
    def proceed(
        self, past: Sequences, steps: int, draws: int, generator: torch.Generator
    ) -> Tensor:
        """Draw the next visits of given patients, each draw with latents of its own."""
        self.eval()
        everyone = torch.arange(len(past), device=past.starts.device)
        batch = past.take(everyone, generator)
        mean, log_variance = self.autoencoder.read(batch, self._all(batch), batch.present.sum(1))
        everyone = everyone.repeat_interleave(draws)
        latent = around(mean[everyone], log_variance[everyone], generator)
        visits = self.autoencoder.visits
        return next_visits(visits, self.fields, past, steps, draws, generator, latent)

    @torch.no_grad()
    def complete(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> Tensor:
        """Draw the open cells of visits given all known cells of the patient."""
        self.eval()
        block, codes, context = self._completion(records, generator)
        return complete_records(
            block, self.fields.visits, codes, barred, generator, context=context
        )

    @torch.no_grad()
    def token_chances(
        self, records: Sequences, barred: Mapping[int, Tensor], generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Compute the chances of each open cell's tokens given all known cells of the patient."""
        self.eval()
        block, codes, context = self._completion(records, generator)
        return token_chances(block, self.fields.visits, codes, barred, context)

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
        latent, most = self.generator(static, generator), int(self.most_visits)
        visits = self.autoencoder.visits
        return draw_visits(visits, self.fields, static, most, generator, latent, reached=reached)

    def _bound(self, batch: SequenceBatch, asked: Lesson, until: Tensor, beta: float) -> Tensor:
        """Losses of visits given latents read from them, with `beta` divergences, (B,)."""
        shown = asked.shown
        if asked.whole:
            # What is asked for must not be told by the latents.
            told = torch.zeros_like(shown)
            told[batch.present] = asked.known
            shown, until = shown & told, batch.present.sum(1)
        mean, log_variance = self.autoencoder.read(batch, shown, until)
        latent = around(mean, log_variance, batch.generator)
        losses = lesson_losses(self.autoencoder.visits, batch, asked, latent)
        return losses + beta * divergence(mean, log_variance)

    def _latent(
        self, batch: SequenceBatch, shown: Tensor, until: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Draw latents, (B, L), given the shown cells of the first visits."""
        return around(*self.autoencoder.read(batch, shown, until), generator)

    def _all(self, batch: SequenceBatch) -> Tensor:
        """Show all cells, (B, T, D)."""
        return batch.present[..., None].expand(-1, -1, len(self.fields.visits))

    def _until(self, batch: SequenceBatch) -> Tensor:
        """Draw how many visits latents are read from, (B,)."""
        lengths = batch.present.sum(1)
        cut, share = torch.rand(2, len(lengths), generator=batch.generator, device=lengths.device)
        return torch.where(cut < CUT_SHARE, 1 + (share * lengths).long(), lengths)

    def _completion(
        self, records: Sequences, generator: torch.Generator
    ) -> tuple[AnyOrderNetwork, Tensor, Context]:
        """Give what holes are filled by: network, codes and contexts."""

        def latent_of(batch: SequenceBatch, shown: Tensor) -> Tensor:
            return self._latent(batch, shown, batch.present.sum(1), generator)

        visits = self.autoencoder.visits
        codes, context = from_both_sides(visits, self.fields, records, generator, latent_of)
        return visits.block, codes, context
