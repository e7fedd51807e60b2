"""The loop, with a tiny model of independent columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Field, Fields
from synthehr.errors import TrainingError
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)


@dataclass(frozen=True)
class MarginalsConfig:
    """Settings of `Marginals`."""

    scale: float = 1.0


@final
class Marginals(Model):
    """Independent columns: one table of logits, which is all a loop needs to be tested."""

    Config = MarginalsConfig

    def __init__(self, sizes: tuple[int, ...], scale: float) -> None:
        super().__init__()
        self.sizes, self.scale = sizes, scale
        self.table = nn.ParameterDict({str(i): nn.Parameter(torch.zeros(s)) for i, s in enumerate(sizes)})
        self.dropout = nn.Dropout(0.1)

    @classmethod
    def build(cls, fields: Fields, config: Any) -> Self:
        return cls(tuple(field.size for field in fields), config.scale)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> MarginalsConfig:
        return MarginalsConfig(**settings)

    @classmethod
    def training(cls, fields: Fields, n_records: int, config: Any) -> TrainConfig:
        return TrainConfig(steps=100)

    def scores(self, codes: Tensor) -> Tensor:
        logs = [self.dropout(self.table[str(i)] * self.scale).log_softmax(0) for i in range(len(self.sizes))]
        return -torch.stack([log[codes[:, 0, i]] for i, log in enumerate(logs)]).sum(0)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("table", per_record=self.scores(batch.codes))

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def held_out_loss(self, codes: Tensor) -> float:
        return self.scores(codes).mean().item()


def make(n: int = 600, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    tokens = np.stack([rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.choice(4, n)], 1)
    return torch.from_numpy(np.stack([tokens, np.zeros_like(tokens)], 1).astype(np.int16))


def test_learns_shares() -> None:
    model = Marginals((3, 4), 1.0)
    history = train(model, make(), make(200, 1), TrainConfig(steps=300, learning_rate=0.05, warmup=10), seed=1, runtime=CPU)
    assert history.stopped_by == "steps"
    assert len(history.curve) == 20
    shares = model.table["0"].softmax(0)
    assert torch.allclose(shares, torch.tensor([0.7, 0.2, 0.1]), atol=0.05)
