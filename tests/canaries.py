"""A model with one weight a record, so that each record can be told by its weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.slots import Slots


@dataclass(frozen=True)
class CanariesConfig:
    n: int = 1


@final
class Canaries(Model):
    """Every record has the gradient -1 at the weight of its token, and 0 elsewhere."""

    Config = CanariesConfig

    def __init__(self, config: CanariesConfig) -> None:
        super().__init__()
        self.network = nn.Embedding(config.n, 1)

    @classmethod
    def build(cls, fields: Fields, config: CanariesConfig) -> Self:
        return cls(config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> CanariesConfig:
        return CanariesConfig(n_records)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: CanariesConfig) -> TrainConfig:
        return TrainConfig(steps=1)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("network", per_record=-self.network(batch.codes[:, 0, 0])[:, 0])

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        return torch.zeros((n, 2, 1), dtype=torch.int64)

    def held_out_loss(self, codes: Tensor) -> float:
        return 0.0


def steps_seen(
    included: NDArray[np.bool_], *, rate: float, steps: int, noise_multiplier: float
) -> NDArray[np.float64]:
    """Run DP-SGD on the canaries that are included, and give what each step did to the weights.

    Returns
    -------
    ndarray of shape (steps, m)
        In units of the clip: 1 and noise where a canary was in the batch, noise elsewhere.
    """
    codes = torch.zeros((int(included.sum()), 2, 1), dtype=torch.int32)
    codes[:, 0, 0] = torch.from_numpy(np.flatnonzero(included))
    model = Canaries(CanariesConfig(len(included)))
    n_slots = len(codes) if rate == 1.0 else round(2 * rate * len(codes)) + 100
    slots = Slots(codes, None, rate, n_slots)
    engine = DpSgd(model, slots, clip=1.0, noise_multiplier=noise_multiplier, expected=1.0)
    optimiser = torch.optim.SGD(model.network.parameters(), lr=1.0)
    seen = np.zeros((steps, len(included)))
    with engine.watching():
        for step in range(steps):
            before = model.network.weight.detach().clone()
            (loss,) = model.losses(slots(step, torch.default_generator), step)
            engine(loss, optimiser)
            seen[step] = (model.network.weight.detach() - before)[:, 0].double().numpy()
    return seen
