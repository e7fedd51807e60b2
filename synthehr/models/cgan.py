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
from synthehr.models.adversarial import (
    PRIVATE_ONLY,
    PRIVATE_SETTINGS,
    AdversarialConfig,
    Chance,
    Generator,
    adversarial_losses,
    adversarial_training,
    adversarial_width,
)
from synthehr.models.base import NOTHING_GIVEN, OPEN, Batch, Given, Loss, Model
from synthehr.models.critic import Critic
from synthehr.models.fidelity import DRAWN, detectability
from synthehr.models.spans import Axes, Spans

TRIES = 64
"""Times a record is drawn anew before its conditions are written into it."""

WALKS = 8
"""Times a record with written conditions is read and drawn again."""


@final
@dataclass(frozen=True, kw_only=True)
class ConditionalGANConfig(AdversarialConfig):
    """Settings of the conditional adversarial network, beside those of every adversarial model.

    Attributes
    ----------
    conditioning : {"concatenation", "projection"}
        How the given token enters the critic.
    """

    conditioning: Literal["concatenation", "projection"] = "concatenation"


@final
class ConditionalGAN(Model):
    """Conditional generative adversarial network; see the module.

    Of several conditions the rarest is given to the generator, and records that fail the
    others are drawn anew; so far the distribution is the model's own. Into what has not
    matched then, the conditions are written, and the rest is brought to agree with them
    by walks: read the record as latents, draw it again with the conditions written in
    (Rezende, Mohamed and Wierstra 2014, arXiv:1401.4082, appendix F).

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

    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = PRIVATE_SETTINGS
    private_only: ClassVar[Mapping[str, Any]] = PRIVATE_ONLY

    def __init__(self, fields: Fields, config: ConditionalGANConfig) -> None:
        super().__init__()
        self.config = config
        self.spans = spans = Spans(fields)
        axes = Axes(fields, spans)
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
    def train_config(
        cls, fields: Fields, n_records: int, config: ConditionalGANConfig
    ) -> TrainConfig:
        """Choose batch and steps: some forty epochs, within bounds."""
        return adversarial_training(n_records, config)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the critic's loss, then the generator's."""
        assert batch.condition is not None, "balanced batches say what they were drawn by"
        assert batch.asked is not None, "and what made-up records are asked for"
        held, asked = (
            self.spans.start[condition[:, 0]] + condition[:, 1]
            for condition in (batch.condition, batch.asked)
        )
        given = held, asked
        return adversarial_losses(self.generator, self.critic, batch, given, self.config, step)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        Each record has random numbers of its own, so that it does not hang on the others.

        Raises
        ------
        ConditionError
            What is given contradicts itself.
        """
        self.eval()
        codes = torch.empty(n, 2, len(self.spans.start), dtype=torch.int64, device=generator.device)
        rows = torch.arange(n, device=codes.device)
        for _ in range(TRIES):
            drawn = self._draw(n, rows, given, generator)
            for _ in range(self._walks(self.config.walks)):
                drawn = self._draw(n, rows, given, generator, last=drawn)
            luck = torch.rand(n, generator=generator, device=codes.device)[rows]
            kept = luck < self._chance(drawn, rows, given)
            codes[rows[kept]] = drawn[kept]
            rows = rows[~kept]
            if not len(rows):
                return codes
        codes[rows] = drawn = self._written(n, rows, given, generator)
        failed = int((self._chance(drawn, rows, given) <= 0).sum())
        if failed:
            raise ConditionError(
                f"{failed} of {n} records cannot satisfy their conditions",
                hint="check that the conditions do not contradict one another",
            )
        return codes

    def _draw(
        self,
        n: int,
        rows: Tensor,
        given: Given,
        generator: torch.Generator,
        closed: Tensor | float = 0.0,
        last: Tensor | None = None,
    ) -> Tensor:
        """Draw records once for some rows of n; given the last ones, walk from them."""
        chance = Chance(*(part[rows] for part in self.generator.randomness(n, generator)))
        places = self._given_tokens(n, given, generator)[rows]
        if last is None:
            drawn = self.generator.codes(chance, places, closed)
        else:
            column = self.spans.owner[places][:, None]
            places = self.spans.flat(last[:, 0]).gather(1, column)[:, 0]
            drawn = self.generator.walk(last, chance, places, closed)
        if given.codes is None:
            return drawn
        known = given.codes.to(drawn.device)[rows]
        same = (known[:, 0] == drawn[:, 0]) & (known[:, 1] != OPEN)
        drawn[:, 1] = torch.where(same, known[:, 1], drawn[:, 1])
        return drawn

    def _written(self, n: int, rows: Tensor, given: Given, generator: torch.Generator) -> Tensor:
        """Draw records with their conditions written in, and walk."""
        closed = self._closed(rows, given)
        drawn = self._draw(n, rows, given, generator, closed)
        for _ in range(self._walks(WALKS)):
            drawn = self._draw(n, rows, given, generator, closed, drawn)
        return self._moved(drawn, n, rows, given, generator)

    def _walks(self, wanted: int) -> int:
        """How often to walk: without an anchor nothing has taught the generator to read."""
        return wanted if self.config.anchor > 0 else 0

    def _given_tokens(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Choose for each record the column and token that the generator is given, flat.

        The column is the one whose conditions are rarest; of those without conditions
        each is as likely. The token is drawn by its true share among those allowed.
        """
        device = self.shares.device
        shares = self.shares.clone()
        for row, column in enumerate(self.columns.tolist()):
            if column in given.allowed:
                open_tokens = given.allowed[column].to(device).amax(1) > 0
                shares[row, : len(open_tokens)] *= open_tokens
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

    def _chance(self, drawn: Tensor, rows: Tensor, given: Given) -> Tensor:
        """Weigh drawn records by what is given, (B,) in [0, 1]; 0 where they fail it."""
        chance = torch.ones(len(drawn), device=drawn.device)
        if given.codes is not None:
            known = given.codes.to(drawn.device)[rows, 0]
            chance *= ((known == OPEN) | (known == drawn[:, 0])).all(1)
        for column, weights in given.allowed.items():
            chance *= weights.to(drawn.device).float()[drawn[:, 0, column], drawn[:, 1, column]]
        return chance

    def _closed(self, rows: Tensor, given: Given) -> Tensor:
        """``-inf`` at every token that what is given excludes, else 0; (B, spans.width)."""
        start, width = self.spans.start, self.spans.width
        closed = torch.zeros(len(rows), width, device=start.device)
        for column, weights in given.allowed.items():
            never = weights.to(start.device).amax(1) <= 0
            first = int(start[column])
            closed[:, first : first + len(never)].masked_fill_(never, -torch.inf)
        if given.codes is not None:
            known = given.codes.to(start.device)[rows, 0]
            elsewhere = self.spans.one_hot(known.clamp(min=0)) == 0
            closed.masked_fill_((known != OPEN)[:, self.spans.owner] & elsewhere, -torch.inf)
        return closed

    def _moved(
        self, drawn: Tensor, n: int, rows: Tensor, given: Given, generator: torch.Generator
    ) -> Tensor:
        """Move drawn records from forbidden parts to allowed ones of the same token."""
        for column, weights in given.allowed.items():
            course = weights.to(drawn.device).float()[drawn[:, 0, column]]
            luck = torch.rand(n, generator=generator, device=drawn.device)[rows, None]
            part = drawn[:, 1, column]
            fits = course.gather(1, part[:, None])[:, 0] > 0
            course = course.cumsum(1)
            other = (course <= luck * course[:, -1:]).sum(1).clamp(max=course.shape[1] - 1)
            drawn[:, 1, column] = torch.where(fits, part, other)
        return drawn

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Measure how well drawn records can be told from the held-out ones, 0.5 to 1."""
        random = torch.Generator(codes.device).manual_seed(0)
        drawn = self.sample(min(DRAWN, len(codes)), NOTHING_GIVEN, random)
        return detectability(codes, drawn)
