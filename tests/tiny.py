"""A model of independent columns: all that a training loop needs to be tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.train import Runtime

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
SHARES = (0.7, 0.2, 0.1)


@dataclass(frozen=True)
class MarginalsConfig:
    scale: float = 1.0
    dropout: float = 0.1


@final
class Marginals(Model):
    Config = MarginalsConfig

    def __init__(self, sizes: tuple[int, ...], config: MarginalsConfig) -> None:
        super().__init__()
        self.config = config
        self.logits = nn.ParameterList(nn.Parameter(torch.zeros(size)) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("seen", torch.zeros(1))
        self.dtypes: set[torch.dtype] = set()

    @classmethod
    def build(cls, fields: Fields, config: MarginalsConfig) -> Self:
        return cls(tuple(field.size for field in fields), config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> MarginalsConfig:
        return MarginalsConfig(**settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: MarginalsConfig) -> TrainConfig:
        return TrainConfig(steps=100)

    def scores(self, codes: Tensor) -> Tensor:
        noisy = [self.dropout(weight * self.config.scale) for weight in self.logits]
        logs = [weight.log_softmax(0) for weight in noisy]
        return -torch.stack([log[codes[:, 0, i]] for i, log in enumerate(logs)]).sum(0)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        self.seen += len(batch.codes)
        self.dtypes.add((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        yield Loss("logits", per_record=self.scores(batch.codes))

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        draws = [
            weight.softmax(0).multinomial(n, True, generator=generator) for weight in self.logits
        ]
        tokens = torch.stack(draws, 1)
        return torch.stack([tokens, torch.zeros_like(tokens)], 1)

    def held_out_loss(self, codes: Tensor) -> float:
        return self.scores(codes).mean().item()


def make(**settings: float) -> Marginals:
    return Marginals((3, 4), MarginalsConfig(**settings))


def records(n: int, seed: int = 0, shares: tuple[float, ...] = SHARES) -> Tensor:
    rng = np.random.default_rng(seed)
    tokens = np.stack([rng.choice(3, n, p=shares), rng.choice(4, n)], 1)
    return torch.from_numpy(np.stack([tokens, np.zeros_like(tokens)], 1).astype(np.int16))


def weights(model: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
