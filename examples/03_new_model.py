"""A model of one's own in one file: a mixture of classes within which columns are independent.

    python examples/03_new_model.py

To give it to everybody: move the two classes to `synthehr/models/mixture.py`, add one line to
`synthehr.models.MODELS`, and let `tests/test_contract.py` say what is still owed. The command
line then knows `--model mixture --set model.classes=64` without an edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor, nn

from synthehr import Synthesizer
from synthehr.config import TrainConfig, apply
from synthehr.demo import simulate, true_shares
from synthehr.encode.fields import Field, Fields
from synthehr.models.base import Batch, Given, Loss, Model


@dataclass(frozen=True)
class MixtureConfig:
    """Settings of a mixture: its number of classes."""

    classes: int = 32


class Tables(nn.Module):
    """Log-odds of the classes, and of each column's (token, part) cells within each class."""

    def __init__(self, fields: Fields, classes: int) -> None:
        super().__init__()
        self.widths = [int(field.parts.max(initial=1)) for field in fields]
        self.weights = nn.Parameter(torch.zeros(classes))
        self.cells = nn.ParameterList(_starting_cells(field, classes) for field in fields)
        for place, field in enumerate(fields):
            # a token has as many parts as its column says: the cells beyond do not exist
            real = torch.arange(self.widths[place]) < torch.from_numpy(field.parts)[:, None]
            closed = torch.where(real.flatten(), 0.0, -torch.inf)
            self.register_buffer(f"closed_{place}", closed, persistent=False)

    def log_chances(self, place: int) -> Tensor:
        """Log-probability of each cell of a column in each class, (classes, cells)."""
        return torch.log_softmax(self.cells[place] + self.get_buffer(f"closed_{place}"), dim=1)

    def forward(self, codes: Tensor) -> Tensor:
        """Log-likelihood of records (B, 2, D), in nats, (B,)."""
        joint = torch.log_softmax(self.weights, dim=0).expand(len(codes), -1)
        for place, width in enumerate(self.widths):
            cell = codes[:, 0, place] * width + codes[:, 1, place]
            joint = joint + self.log_chances(place)[:, cell].T
        return joint.logsumexp(dim=1)


def _starting_cells(field: Field, classes: int) -> nn.Parameter:
    """Start every class near the column's shares; a little noise tells the classes apart."""
    width = int(field.parts.max(initial=1))
    shares = torch.from_numpy(field.shares).float().clamp_min(1e-4)
    logits = (shares / torch.from_numpy(field.parts)).log().repeat_interleave(width)
    return nn.Parameter(logits + 0.3 * torch.randn(classes, len(logits)))


@final
class Mixture(Model):
    """Latent classes with independent columns; fitted by gradient ascent on the likelihood."""

    Config = MixtureConfig

    def __init__(self, fields: Fields, config: MixtureConfig) -> None:
        super().__init__()
        self.tables = Tables(fields, config.classes)

    @classmethod
    def build(cls, fields: Fields, config: MixtureConfig) -> Self:
        return cls(fields, config)

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> MixtureConfig:
        return apply(MixtureConfig(classes=min(64, max(4, n_records // 100))), settings)

    @classmethod
    def training(cls, fields: Fields, n_records: int, config: MixtureConfig) -> TrainConfig:
        return TrainConfig(steps=600, batch_size=512, learning_rate=0.05, ema=0.99)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("tables", per_record=-self.tables(batch.codes))

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        weights = torch.softmax(self.tables.weights, dim=0)
        member = torch.multinomial(weights, n, replacement=True, generator=generator)
        codes = torch.empty(n, 2, len(self.tables.widths), dtype=torch.int64)
        for place, width in enumerate(self.tables.widths):
            chances = self.tables.log_chances(place).exp()[member]
            cell = torch.multinomial(chances, 1, generator=generator)[:, 0]
            codes[:, 0, place], codes[:, 1, place] = cell // width, cell % width
        return codes

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        return -float(self.tables(codes.long()).mean())


def main() -> None:
    synthesizer = Synthesizer(model=Mixture, seed=1).fit(simulate(4000, 0), patient="patient_id")
    synthetic = synthesizer.sample(4000, seed=2).to_pandas()
    print("held out:", synthesizer.record["held_out"])
    for column in ("sex", "diabetes", "sepsis"):
        seen = synthetic[column].value_counts(normalize=True).round(3).to_dict()
        truth = {level: round(share, 3) for level, share in true_shares(column).items()}
        print(f"{column}: {seen}, the truth {truth}")


if __name__ == "__main__":
    main()
