"""A conditional adversarial network: a token of one column is given to both sides.

Training draws a column, a token of it by the logarithm of its count, and a record that
holds it (training by sampling, Xu et al. 2019, arXiv:1907.00503, §4.3), so that rare
tokens are learned. Drawing freely, tokens are given by their *true* shares instead, and
the given token is written into its own column, whichever that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, final

import torch
from torch import Tensor

from synthehr.batches import balanced_columns
from synthehr.config import TrainConfig, apply
from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError
from synthehr.models.base import NOTHING_GIVEN, OPEN, Batch, Given, Loss, Model
from synthehr.models.fidelity import Fidelity
from synthehr.models.gan import (
    Critic,
    Generator,
    adversarial_losses,
    adversarial_training,
    adversarial_width,
    check_settings,
)
from synthehr.models.layers import Axes, Spans

TRIES = 512
"""Times a record is drawn anew before its conditions are given up."""


@dataclass(frozen=True, kw_only=True)
class ConditionalGANConfig:
    """Settings of the conditional adversarial network.

    Attributes
    ----------
    conditioning : {"concatenation", "projection"}
        How the given token enters the critic.
    noise, width, depth, temperature, penalty, penalty_every, critic_steps, group
        As for `synthehr.models.gan.GANConfig`.
    """

    conditioning: Literal["concatenation", "projection"] = "concatenation"
    noise: int = 64
    width: int = 256
    depth: int = 2
    temperature: float = 0.7
    penalty: float = 0.01
    penalty_every: int = 8
    critic_steps: int = 1
    group: int = 8

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self)


@final
class ConditionalGAN(Model):
    """Conditional generative adversarial network; see the module.

    Conditions are honoured exactly: one of them, the rarest, is given to the generator,
    and records that fail the others are drawn anew.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : ConditionalGANConfig
        The settings.
    """

    Config: ClassVar[type] = ConditionalGANConfig
    batching: ClassVar[Literal["shuffled", "balanced"]] = "balanced"
    native_conditions: ClassVar[bool] = True

    columns: Tensor
    sizes: Tensor
    shares: Tensor

    def __init__(self, fields: Fields, config: ConditionalGANConfig) -> None:
        super().__init__()
        self.config = config
        self.spans = spans = Spans(fields)
        axes = Axes(fields, spans)
        self.fidelity = Fidelity(fields, spans)
        self.generator = Generator(spans, axes, config, conditional=True)
        self.critic = Critic(spans, axes, config, config.conditioning)
        columns = balanced_columns(fields)
        sizes = torch.tensor([fields[column].size for column in columns])
        shares = torch.zeros(len(columns), int(sizes.max()))
        for row, column in enumerate(columns):
            shares[row, : fields[column].size] = torch.from_numpy(fields[column].shares)
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("shares", shares, persistent=False)

    @classmethod
    def build(cls, fields: Fields, config: ConditionalGANConfig) -> Self:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: Fields, n_records: int, settings: Mapping[str, Any]
    ) -> ConditionalGANConfig:
        """Choose the width by the number of records and columns."""
        chosen = ConditionalGANConfig(width=adversarial_width(fields, n_records))
        return apply(chosen, settings)

    @classmethod
    def training(cls, fields: Fields, n_records: int, config: ConditionalGANConfig) -> TrainConfig:
        """Choose batch and steps: some sixty epochs, within bounds."""
        return adversarial_training(n_records, config)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the critic's loss, then the generator's."""
        assert batch.condition is not None, "balanced batches say what they were drawn by"
        given = self.spans.start[batch.condition[:, 0]] + batch.condition[:, 1]
        return adversarial_losses(self.generator, self.critic, batch, given, self.config, step)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        A record is drawn anew, up to `TRIES` times, until it satisfies what is given;
        each with random numbers of its own, so that it does not hang on the others.

        Raises
        ------
        ConditionError
            Some record never did.
        """
        self.eval()
        codes = torch.empty(n, 2, len(self.spans.start), dtype=torch.int64, device=generator.device)
        open_rows = torch.arange(n, device=codes.device)
        for _ in range(TRIES):
            drawn = self._draw(n, open_rows, given, generator)
            kept = self._satisfies(drawn, open_rows, n, given, generator)
            codes[open_rows[kept]] = drawn[kept]
            open_rows = open_rows[~kept]
            if not len(open_rows):
                return codes
        raise ConditionError(
            f"{len(open_rows)} of {n} records satisfied their conditions in none of {TRIES} tries",
            hint="ask for fewer or wider conditions, or fit --model autoregressive",
        )

    def _draw(self, n: int, rows: Tensor, given: Given, generator: torch.Generator) -> Tensor:
        """Draw records once for some rows of n, and write the known parts into them."""
        noise, luck = self.generator.randomness(n, generator)
        places = self._given_tokens(n, given, generator)
        drawn = self.generator.codes(noise[rows], places[rows], luck[:, rows])
        if given.codes is None:
            return drawn
        known = given.codes.to(drawn.device)[rows]
        same = (known[:, 0] == drawn[:, 0]) & (known[:, 1] != OPEN)
        drawn[:, 1] = torch.where(same, known[:, 1], drawn[:, 1])
        return drawn

    def _given_tokens(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Choose for each record the column and token that the generator is given, flat.

        The column is the one whose conditions are rarest; of those without conditions
        each is as likely. The token is drawn by its true share among those allowed.
        """
        device = self.shares.device
        shares = self.shares.clone()
        for row, column in enumerate(self.columns.tolist()):
            if column in given.allowed:
                weights = given.allowed[column].to(device).float().amax(1)
                shares[row, : len(weights)] *= weights
        known = torch.full((n, len(shares)), OPEN, device=device)
        if given.codes is not None:
            known = given.codes.to(device)[:, 0, self.columns]
        of_known = shares.gather(1, known.clamp(min=0).T).T
        mass = torch.where(known == OPEN, shares.sum(1), of_known)
        draws = torch.rand(2, n, generator=generator, device=device)
        free = (draws[0] * len(shares)).long().clamp(max=len(shares) - 1)
        row = torch.where(mass.amin(1) < 1 - 1e-4, mass.argmin(1), free)
        course = shares.cumsum(1)[row]
        drawn = (course <= draws[1, :, None] * course[:, -1:]).sum(1)
        token = known.gather(1, row[:, None])[:, 0]
        token = torch.where(token == OPEN, torch.minimum(drawn, self.sizes[row] - 1), token)
        return self.spans.start[self.columns[row]] + token

    def _satisfies(
        self, drawn: Tensor, rows: Tensor, n: int, given: Given, generator: torch.Generator
    ) -> Tensor:
        """Say which drawn records satisfy what is given, (B,)."""
        chance = torch.ones(len(drawn), device=drawn.device)
        if given.codes is not None:
            known = given.codes.to(drawn.device)[rows, 0]
            chance *= ((known == OPEN) | (known == drawn[:, 0])).all(1)
        for column, weights in given.allowed.items():
            chance *= weights.to(drawn.device).float()[drawn[:, 0, column], drawn[:, 1, column]]
        luck = torch.rand(n, generator=generator, device=drawn.device)
        return luck[rows] < chance

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Mean distance of marginal and pair tables between drawn and held-out records."""
        random = torch.Generator(codes.device).manual_seed(0)
        drawn = self.sample(self.fidelity.size(codes), NOTHING_GIVEN, random)
        return self.fidelity(codes, drawn)
