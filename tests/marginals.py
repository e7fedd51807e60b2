"""The smallest model: every column on its own. It shows what the facade needs of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.models.base import Batch, Given, Loss, Model


@dataclass(frozen=True)
class MarginalsConfig:
    start: float = 0.0


@final
class Marginals(Model):
    Config = MarginalsConfig

    def __init__(self, fields: Fields, config: MarginalsConfig) -> None:
        super().__init__()
        self.widths = [int(field.parts.max()) for field in fields]
        self.logits = nn.ParameterList(
            nn.Parameter(torch.full((field.size * width,), config.start))
            for field, width in zip(fields, self.widths, strict=True)
        )
        for place, field in enumerate(fields):
            used = torch.from_numpy(field.parts)[:, None] > torch.arange(self.widths[place])
            self.register_buffer(f"used_{place}", used.reshape(-1))

    @classmethod
    def build(cls, fields: Fields, config: Any) -> Self:
        return cls(fields, config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> Any:
        return MarginalsConfig(**settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: Any) -> TrainConfig:
        return TrainConfig(steps=60, batch_size=256, learning_rate=0.3, evaluations=4, ema=0.0)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("logits", per_record=self.nats(batch.codes))

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        columns = []
        with torch.no_grad():
            for place, width in enumerate(self.widths):
                cells = torch.multinomial(
                    self.log_shares(place).exp(), n, replacement=True, generator=generator
                )
                columns.append(torch.stack([cells // width, cells % width], dim=1))
        return torch.stack(columns, dim=2)

    def held_out_loss(self, codes: Tensor) -> float:
        return float(self.nats(codes).mean())

    def nats(self, codes: Tensor) -> Tensor:
        total = torch.zeros(len(codes))
        for place, width in enumerate(self.widths):
            cells = codes[:, 0, place] * width + codes[:, 1, place]
            total = total - self.log_shares(place)[cells]
        return total

    def log_shares(self, place: int) -> Tensor:
        used = self.get_buffer(f"used_{place}")
        return torch.log_softmax(self.logits[place].masked_fill(~used, -1e9), dim=0)
