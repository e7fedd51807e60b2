"""A generative adversarial network over tokens and parts; see `synthehr.models.adversarial`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, apply
from synthehr.encode.fields import Fields
from synthehr.models.adversarial import (
    PRIVATE_ONLY,
    PRIVATE_SETTINGS,
    AdversarialConfig,
    Generator,
    adversarial_losses,
    adversarial_training,
    adversarial_width,
)
from synthehr.models.base import NOTHING_GIVEN, Batch, Given, Loss, Model, refuse_conditions
from synthehr.models.critic import Critic
from synthehr.models.fidelity import DRAWN, detectability
from synthehr.models.spans import Axes, Spans


@final
@dataclass(frozen=True, kw_only=True)
class GANConfig(AdversarialConfig):
    """Settings of the adversarial network: those of every adversarial model."""


@final
class GAN(Model):
    """Generative adversarial network; see the module.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : GANConfig
        The settings.
    """

    Config: ClassVar[type] = GANConfig

    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = PRIVATE_SETTINGS
    private_only: ClassVar[Mapping[str, Any]] = PRIVATE_ONLY

    def __init__(self, fields: Fields, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        spans = Spans(fields)
        axes = Axes(fields, spans)
        self.generator = Generator(spans, axes, config, conditional=False)
        self.critic = Critic(spans, axes, config, None)

    @classmethod
    def build(cls, fields: Fields, config: GANConfig) -> Self:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> GANConfig:
        """Choose the width by the number of records and columns."""
        return apply(GANConfig(width=adversarial_width(fields, n_records)), settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: GANConfig) -> TrainConfig:
        """Choose batch and steps: some forty epochs, within bounds."""
        return adversarial_training(n_records, config)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield the critic's loss, then the generator's."""
        return adversarial_losses(
            self.generator, self.critic, batch, (None, None), self.config, step
        )

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        Raises
        ------
        ConditionError
            Something is given: this model only draws freely.
        """
        refuse_conditions(given)
        self.eval()
        codes = self.generator.codes(self.generator.randomness(n, generator), None)
        for _ in range(self.config.walks if self.config.anchor > 0 else 0):
            codes = self.generator.walk(codes, self.generator.randomness(n, generator), None)
        return codes

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Measure how well drawn records can be told from the held-out ones, 0.5 to 1."""
        random = torch.Generator(codes.device).manual_seed(0)
        drawn = self.sample(min(DRAWN, len(codes)), NOTHING_GIVEN, random)
        return detectability(codes, drawn)
