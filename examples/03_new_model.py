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
    """Log-odds of the classes, and how each class moves those of each column's tokens."""

    def __init__(self, fields: Fields, classes: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(classes))
        self.tokens = nn.ParameterList(
            nn.Parameter(0.2 * torch.randn(classes, field.size)) for field in fields
        )
        for place, field in enumerate(fields):
            # classes differ from the column's shares by what they learn; where a value lies
            # within its bin is the same in every class, and so not learned
            shares = torch.from_numpy(field.shares).float().clamp_min(1e-4)
            self.register_buffer(f"shares_{place}", shares, persistent=False)
            self.register_buffer(f"parts_{place}", _part_chances(field), persistent=False)

    def log_chances(self, place: int) -> Tensor:
        """Log-probability of each token of a column in each class, (classes, tokens)."""
        shares = self.get_buffer(f"shares_{place}")
        return torch.log_softmax(shares.log() + self.tokens[place], dim=1)

    def parts(self, place: int) -> Tensor:
        """Probability of each part of each token of a column, (tokens, parts)."""
        return self.get_buffer(f"parts_{place}")

    def forward(self, codes: Tensor) -> Tensor:
        """Log-likelihood of records (B, 2, D), in nats, (B,)."""
        joint = torch.log_softmax(self.weights, dim=0).expand(len(codes), -1)
        for place in range(len(self.tokens)):
            token, part = codes[:, 0, place], codes[:, 1, place]
            within = self.parts(place)[token, part].log()[:, None]
            joint = joint + self.log_chances(place)[:, token].T + within
        return joint.logsumexp(dim=1)


def _part_chances(field: Field) -> Tensor:
    real = torch.arange(int(field.parts.max(initial=1))) < torch.from_numpy(field.parts)[:, None]
    if field.part_shares is None:
        return real.float()
    chances = (torch.from_numpy(field.part_shares).float() + 0.01) * real
    return chances / chances.sum(dim=1, keepdim=True)


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
        return apply(MixtureConfig(classes=min(64, max(4, n_records // 400))), settings)

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: MixtureConfig) -> TrainConfig:
        return TrainConfig(steps=400, learning_rate=0.02, weight_decay=1.0, ema=0.99)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("tables", per_record=-self.tables(batch.codes))

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        weights = torch.softmax(self.tables.weights, dim=0)
        member = torch.multinomial(weights, n, replacement=True, generator=generator)
        codes = torch.empty(n, 2, len(self.tables.tokens), dtype=torch.int64)
        for place in range(codes.shape[2]):
            token = _drawn(self.tables.log_chances(place).exp()[member], generator)
            codes[:, 0, place] = token
            codes[:, 1, place] = _drawn(self.tables.parts(place)[token], generator)
        return codes

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        return -float(self.tables(codes.long()).mean())


def _drawn(chances: Tensor, generator: torch.Generator) -> Tensor:
    return torch.multinomial(chances, 1, generator=generator)[:, 0]


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
