"""Any-order autoregression over tokens: the default model.

A record's likelihood is the product of its columns' conditionals in any order. One
network learns them all: training hides a random subset of the columns and predicts
each hidden one (Uria, Murray and Larochelle 2014, arXiv:1310.1757; Hoogeboom et al.
2022, arXiv:2110.02037). So drawing, conditioning and imputing are one forward pass
with other columns known.

With k columns known, chosen uniformly among all subsets of a uniform k, the loss
``D / (D - k) * sum of the hidden columns' losses`` has as its expectation the mean,
over all orders, of the record's negative log-likelihood.

NOTE[DIFF]: a share of the masks reveals columns in the table's own order instead, and
there the next column counts most. Unconditional samples are drawn in that order, so
the D conditionals that they need are learned better than 2^D others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from synthehr.config import TrainConfig, out_of_range
from synthehr.encode.fields import Fields
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.base import Batch, Given, Legal, Loss, Model
from synthehr.models.completing import complete_records, token_chances
from synthehr.models.masks import draw_masks
from synthehr.models.reveal import draw_records, settled_shifts

HELD_OUT_MASKS = 4
"""Masks by which each held-out record is scored, at least."""
HELD_OUT_SCORES = 4096
"""Records times masks, at least: few records need more masks for a steady score."""
RECORD_MASKS = 16
"""Masks through which records are scored one by one."""
HELD_OUT_RECORDS = 4096
"""Held-out records that are scored, at most."""


@dataclass(frozen=True)
class AutoregressiveConfig:
    """Settings of the autoregressive model.

    Attributes
    ----------
    width : int
        Width of the residual network.
    blocks : int
        Number of its residual blocks.
    embedding : int
        Width of a token's embedding.
    frequencies : int
        Fourier pairs of a numeric cell's rank.
    dropout : float
        Share of hidden units silenced in training.
    part_width : int
        Hidden width of the head that places a value inside its bin.
    ordered_share : float
        Share of the masks that reveal columns in the table's order.
    next_weight : float
        In those masks, the weight of the next column; the other hidden ones share the rest.
    head_frequencies : int
        Fourier pairs of the ranks by which the head knows which numeric tokens are
        neighbours; 0: each is a class of its own.
    own_share : float
        How much a numeric token has for itself beside its rank, in its embedding at the start
        and in the head; 1: as much as a level.
    factors : int
        Of the Gaussian copula from which the chances of numeric tokens start; 0: from their
        shares alone.
    estimates : int
        How often it is estimated: on all records, and on resampled patients, for draws that
        know how unsure it is.
    """

    width: int = 256
    blocks: int = 3
    embedding: int = 16
    frequencies: int = 3
    dropout: float = 0.1
    part_width: int = 32
    ordered_share: float = 0.5
    next_weight: float = 0.5
    head_frequencies: int = 0
    own_share: float = 1.0
    factors: int = 0
    estimates: int = 21

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("width", "blocks", "embedding", "part_width", "estimates"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("frequencies", "head_frequencies", "factors"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        if not 0 <= self.dropout < 1:
            raise out_of_range("dropout", "at least 0 and below 1")


@final
class Autoregressive(Model):
    """Any-order autoregression over the tokens of a record.

    Parameters
    ----------
    fields : Fields
        The columns.
    config : AutoregressiveConfig
        The settings.
    """

    Config: ClassVar[type] = AutoregressiveConfig
    native_conditions: ClassVar[bool] = True
    private_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "model": {
            "width": 128,
            "blocks": 2,
            "dropout": 0.0,
            # Norms are taken layer by layer, and shared slopes are no layer.
            "head_frequencies": 0,
            # It is estimated from the records, outside of the ledger.
            "factors": 0,
            "frequencies": 3,
            "own_share": 1.0,
        }
    }

    def __init__(self, fields: Fields, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.fields = fields
        self.config = config
        self.network = AnyOrderNetwork(
            fields,
            width=config.width,
            blocks=config.blocks,
            embedding=config.embedding,
            frequencies=config.frequencies,
            dropout=config.dropout,
            part_width=config.part_width,
            head_frequencies=config.head_frequencies,
            own_share=config.own_share,
            factors=config.factors,
            estimates=config.estimates,
        )
        self.register_buffer("shifts", torch.zeros(self.network.starts[-1]))

    shifts: Tensor

    @classmethod
    def build(cls, fields: Fields, config: AutoregressiveConfig) -> Autoregressive:
        """Make a freshly initialised model for these columns."""
        return cls(fields, config)

    @classmethod
    def sized(
        cls, fields: Fields, n_records: int, settings: Mapping[str, Any]
    ) -> AutoregressiveConfig:
        """Choose by the number of records, with the user's settings on top."""
        if n_records < 1_500:
            size = AutoregressiveConfig(
                width=128,
                embedding=12,
                dropout=0.5,
                frequencies=1,
                head_frequencies=1,
                own_share=0.1,
                factors=12,
            )
        elif n_records < 15_000:
            size = AutoregressiveConfig(
                embedding=12, dropout=0.4, head_frequencies=3, own_share=0.2, factors=12
            )
        elif n_records < 50_000:
            size = AutoregressiveConfig(head_frequencies=3)
        else:
            size = AutoregressiveConfig(width=384, embedding=24, dropout=0.05, head_frequencies=3)
        return replace(size, **settings)

    @classmethod
    def train_config(
        cls, fields: Fields, n_records: int, config: AutoregressiveConfig
    ) -> TrainConfig:
        """Choose the budget: 28 to 45 epochs of 15 columns, more of more, within limits."""
        batch = 128 if n_records < 1_500 else 256 if n_records < 5_000 else 512
        epochs = 28 if n_records < 5_000 else 32 if n_records < 15_000 else 45
        epochs *= (len(fields) / 15) ** 0.5
        least = 900 if n_records < 1_500 else 300
        steps = min(max(least, round(epochs * n_records / batch)), 7_200)
        return TrainConfig(
            steps=steps,
            batch_size=batch,
            learning_rate=1e-3 if n_records < 1_500 else 2e-3,
            betas=(0.9, 0.99),
            weight_decay=0.1,
            patience=6,
            evaluations=16,
        )

    def begin(self, codes: Tensor, patients: Tensor | None, generator: torch.Generator) -> None:
        """Estimate the copula."""
        if self.network.copula is not None:
            self.network.copula.learn(codes, patients, generator)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        """Yield one loss: the record's negative log-likelihood in nats, estimated."""
        known, weights = self.masks(len(batch.codes), batch.generator, self.config.next_weight)
        codes = batch.codes
        if self.config.dropout == 0:
            codes, known, weights = batch.present(codes, known, weights)
        losses = self.network.cross_entropy(codes, known)
        yield Loss("network", per_record=(losses * weights).sum(1))

    def masks(
        self, n: int, generator: torch.Generator, next_weight: float
    ) -> tuple[Tensor, Tensor]:
        """Draw n masks: which columns are known, and the weights of the losses; both (n, D)."""
        return draw_masks(
            n,
            len(self.fields),
            generator,
            ordered_share=self.config.ordered_share,
            next_weight=next_weight,
        )

    @torch.no_grad()
    def held_out_loss(self, codes: Tensor) -> float:
        """Estimate the mean negative log-likelihood of records, in nats, by fixed masks.

        In the masks of the table's order the next column alone counts, so that both kinds
        of masks estimate a likelihood.
        """
        codes = codes[:HELD_OUT_RECORDS]
        codes = codes.repeat(max(HELD_OUT_MASKS, -(-HELD_OUT_SCORES // len(codes))), 1, 1)
        generator = torch.Generator(codes.device).manual_seed(0)
        known, weights = self.masks(len(codes), generator, next_weight=1.0)
        losses = torch.cat([
            self.network.cross_entropy(*some)
            for some in zip(codes.split(4096), known.split(4096), strict=True)
        ])  # fmt: skip
        return (losses * weights).sum().item() / len(codes)

    @torch.no_grad()
    def record_losses(self, codes: Tensor) -> Tensor:
        """Estimate the negative log-likelihood of each record, (N,), in nats.

        All records are seen through the same few masks, so that they can be compared.
        """
        generator = torch.Generator(codes.device).manual_seed(0)
        known, weights = self.masks(RECORD_MASKS, generator, next_weight=1.0)
        total = torch.zeros(len(codes), device=codes.device)
        for mask, weight in zip(known, weights, strict=True):
            losses = [
                self.network.cross_entropy(part, mask.expand(len(part), -1))
                for part in codes.split(4096)
            ]
            total += torch.cat(losses).float() @ weight
        return total / RECORD_MASKS

    def finish(self, codes: Tensor) -> None:
        """Settle the columns' shares; the records are not looked at."""
        self.eval()
        generator = torch.Generator(self.network.offsets.device).manual_seed(0)
        self.shifts.copy_(settled_shifts(self.network, self.fields, generator))

    @torch.no_grad()
    def complete(
        self,
        codes: Tensor,
        barred: Mapping[int, Tensor],
        generator: torch.Generator,
        legal: Legal | None = None,
        draw: int = 0,
    ) -> Tensor:
        """Draw the open cells of records one column after the other."""
        self.eval()
        return complete_records(self.network, self.fields, codes, barred, generator, legal, draw)

    @torch.no_grad()
    def token_chances(self, codes: Tensor, barred: Mapping[int, Tensor]) -> tuple[Tensor, ...]:
        """Compute the chance of each token of each column in one pass."""
        self.eval()
        return token_chances(self.network, self.fields, codes, barred)

    @torch.no_grad()
    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        """Draw codes of shape (n, 2, D), int64, that hold what is given.

        Raises
        ------
        ConditionError
            A restriction allows nothing that the model knows.
        """
        was_training = self.training
        self.eval()
        codes = draw_records(self.network, self.fields, n, given, generator, self.shifts)
        self.train(was_training)
        return codes
