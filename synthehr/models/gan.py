"""A generative adversarial network over tokens and parts; see `synthehr.models.adversarial`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, apply
from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError
from synthehr.models.adversarial import (
    Generator,
    adversarial_losses,
    adversarial_training,
    adversarial_width,
    check_settings,
)
from synthehr.models.base import NOTHING_GIVEN, Batch, Given, Loss, Model
from synthehr.models.critic import Critic
from synthehr.models.fidelity import DRAWN, detectability
from synthehr.models.spans import Axes, Spans


@dataclass(frozen=True, kw_only=True)
class GANConfig:
    """Settings of the adversarial network.

    Attributes
    ----------
    noise : int
        Random numbers the generator starts from.
    width : int
        Width of generator and critic.
    depth : int
        Residual blocks of each of them.
    temperature : float
        Of the Gumbel-softmax; it only shapes the gradient.
    penalty : float
        Weight of the critic's gradient penalty; 0 leaves it out.
    penalty_every : int
        Steps from one penalty to the next.
    critic_steps : int
        Steps of the critic for each of the generator.
    group : int
        Records whose mean the critic sees beside each of them; 1 leaves it out.
    anchor : float
        Weight of the autoencoder's loss; 0 leaves a purely adversarial model.
    beta : float
        Weight of the divergence from the standard normal in that loss.
    walks : int
        Times a drawn record is read and written again; needs an anchor.
    """

    noise: int = 32
    width: int = 256
    depth: int = 2
    temperature: float = 0.7
    penalty: float = 0.01
    penalty_every: int = 8
    critic_steps: int = 1
    group: int = 8
    anchor: float = 1.0
    beta: float = 0.5
    walks: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_settings(self)


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
        return adversarial_losses(self.generator, self.critic, batch, None, self.config, step)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D).

        Raises
        ------
        ConditionError
            Something is given: this model only draws freely.
        """
        if given.codes is not None or given.allowed:
            raise ConditionError(
                "this model cannot draw under conditions by itself",
                hint="draw freely and keep what satisfies them, or fit --model cgan",
            )
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
