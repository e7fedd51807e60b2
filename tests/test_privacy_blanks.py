"""Blanks of a batch under differential privacy: dropped by whom they do not concern."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from synthehr.errors import ConfigError
from synthehr.models.autoregressive import Autoregressive, AutoregressiveConfig
from synthehr.models.base import Batch, Loss, Model
from synthehr.models.vae import VAE
from synthehr.privacy.allowed import rehearse
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.slots import Slots
from tests.test_privacy_dpsgd import FIELDS, Net, tokens


class Hasty(Net):
    """Drops blanks, then draws: who joins the batch moves the numbers of the others."""

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        (codes,) = batch.present(batch.codes)
        drawn = torch.rand(len(codes), generator=batch.generator)
        yield Loss("net", per_record=self.net(codes[:, 0].float()).square().sum(1) * drawn)


class Patient(Net):
    """Draws, then drops blanks."""

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        drawn = torch.rand(len(batch.codes), generator=batch.generator)
        codes, drawn = batch.present(batch.codes, drawn)
        yield Loss("net", per_record=self.net(codes[:, 0].float()).square().sum(1) * drawn)


def clipped(model: Model, filled: Tensor) -> list[Tensor]:
    """Sum of the clipped gradients of the filled slots, random numbers being equal."""
    codes = tokens(len(filled), 3) % torch.tensor([3, 4, 2])
    codes[:, 1] = 0
    slots = Slots(codes.short(), None, 1.0, len(filled))
    slots.filled = filled
    engine = DpSgd(model, slots, clip=0.5, noise_multiplier=0.0, expected=1.0)
    with engine.watching():
        (loss,) = model.losses(slots.batch(codes, torch.Generator().manual_seed(4)), 0)
        assert loss.per_record is not None
        return engine.clipped_sum(loss.per_record, list(model.parameters()))


def default_model() -> Autoregressive:
    torch.manual_seed(0)
    model = Autoregressive.build(FIELDS, AutoregressiveConfig(width=16, dropout=0.0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return model


def test_blanks_may_be_dropped_only_after_the_random_numbers_are_drawn() -> None:
    rehearse(Patient(nn.Linear(3, 2)), FIELDS)
    with pytest.raises(ConfigError, match="how many others are in its batch"):
        rehearse(Hasty(nn.Linear(3, 2)), FIELDS)


def test_the_default_model_sees_its_records_the_same_beside_blanks() -> None:
    model = default_model()
    rehearse(model, FIELDS)
    some = torch.tensor([True, False, True, True, False, False])
    both = [clipped(model, some), clipped(model, ~some)]
    whole = clipped(model, torch.ones(6, dtype=torch.bool))
    assert any(float(part.abs().max()) > 0.0 for part in whole)
    for one, other, all_of_them in zip(*both, whole, strict=True):
        torch.testing.assert_close(one + other, all_of_them)


def test_a_model_without_places_to_look_up_may_be_private() -> None:
    plain = (FIELDS[0], FIELDS[2])
    assert rehearse(VAE.build(plain, VAE.sized(plain, 1_000, {})), plain) == 1


def test_an_empty_batch_adds_nothing() -> None:
    for part in clipped(default_model(), torch.zeros(6, dtype=torch.bool)):
        assert torch.equal(part, torch.zeros_like(part))
