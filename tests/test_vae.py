"""The variational autoencoder: what is its own, beside `test_contract`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cohort import DIAGNOSIS, LAB, SEX, cohort, fields_of, tensor
from torch import Tensor

from synthehr.errors import ConditionError, ConfigError
from synthehr.models.base import NOTHING_GIVEN, Given
from synthehr.models.vae import VAE, VAEConfig
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
RECORDS = cohort(1600, 0)
FIELDS = fields_of(RECORDS)
CODES, HELD_OUT = torch.from_numpy(RECORDS), torch.from_numpy(cohort(400, 1))
CONFIG = VAEConfig(width=64, depth=1, latent=8, warmup=50, beta=0.3)


def fitted(config: VAEConfig, *, steps: int = 300) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = VAE.build(FIELDS, config)
    wanted = replace(VAE.train_config(FIELDS, 1600, config), steps=steps, batch_size=128, warmup=20)
    train(model, tensor(RECORDS), HELD_OUT, wanted, seed=0, runtime=CPU)
    return model


@pytest.fixture(scope="module")
def vae() -> VAE:
    model = fitted(CONFIG)
    model.finish(CODES)
    return model


def draw(model: VAE, n: int = 4000) -> Tensor:
    return model.sample(n, NOTHING_GIVEN, torch.Generator().manual_seed(3))


def pair_gap(codes: Tensor, one: int, other: int) -> float:
    """Total variation distance of a two-way table from that of the records."""

    def table(c: Tensor) -> np.ndarray:
        counts = np.zeros((FIELDS[one].size, FIELDS[other].size))
        np.add.at(counts, (c[:, 0, one].numpy(), c[:, 0, other].numpy()), 1 / len(c))
        return counts

    return float(np.abs(table(codes) - table(CODES)).sum() / 2)


def test_the_mixture_brings_samples_closer_to_the_records() -> None:
    model = fitted(replace(CONFIG, walks=0, beta=0.05))
    before = pair_gap(draw(model), DIAGNOSIS, LAB)
    model.finish(CODES)
    assert pair_gap(draw(model), DIAGNOSIS, LAB) < 0.8 * before


def test_the_mixture_lies_where_the_latents_lie(vae: VAE) -> None:
    assert float(vae.mixture.weights.sum()) == pytest.approx(1, abs=1e-5)
    assert float(vae.mixture.weights.min()) >= 0
    centre = (vae.mixture.weights[:, None] * vae.mixture.means).sum(0)
    assert torch.allclose(centre, vae.embed(CODES).mean(0), atol=0.1)


def test_few_records_get_few_components() -> None:
    model = VAE.build(FIELDS, CONFIG)
    model.finish(CODES[:40])
    assert int((model.mixture.weights > 0).sum()) == 1
    assert draw(model, 50).shape == (50, 2, 5)


def test_parts_follow_the_records(vae: VAE) -> None:
    """Parts of the simulated lab values lean towards zero."""
    sampled, real = draw(vae), CODES
    means = [c[c[:, 0, LAB] == 4, 1, LAB].double().mean() for c in (sampled, real)]
    assert abs(float(means[0] - means[1])) < 0.25


def test_embeddings_tell_records_apart(vae: VAE) -> None:
    latents = vae.embed(HELD_OUT)
    assert latents.shape == (400, 8)
    assert latents.dtype == torch.float32
    assert vae.embed(HELD_OUT).equal(latents)
    sex = HELD_OUT[:, 0, SEX].double()
    design = torch.cat([latents.double(), torch.ones(400, 1)], dim=1)
    solved = design @ torch.linalg.lstsq(design, sex[:, None]).solution
    assert float(((solved[:, 0] > 0.5) == (sex > 0.5)).double().mean()) > 0.9


def test_odd_records_have_large_errors(vae: VAE) -> None:
    usual = vae.reconstruction_error(HELD_OUT)
    assert usual.shape == (400,)
    shuffled = np.random.default_rng(0).permuted(HELD_OUT.numpy(), axis=0)
    odd = vae.reconstruction_error(torch.from_numpy(shuffled))
    assert float(odd.mean()) > float(usual.mean()) + 0.5


def test_without_beta_it_is_a_plain_autoencoder(vae: VAE) -> None:
    plain = fitted(replace(CONFIG, beta=0.0))
    error = plain.reconstruction_error(HELD_OUT)
    assert plain.held_out_loss(HELD_OUT) == pytest.approx(float(error.mean()), rel=1e-4)
    assert float(error.mean()) < 0.7 * float(vae.reconstruction_error(HELD_OUT).mean())
    plain.finish(CODES)
    assert pair_gap(draw(plain), DIAGNOSIS, LAB) < 0.25


def test_conditions_are_refused(vae: VAE) -> None:
    given = Given(allowed={SEX: torch.tensor([[1.0], [0.0]])})
    with pytest.raises(ConditionError, match="by itself"):
        vae.sample(3, given, torch.Generator())


@pytest.mark.parametrize("wrong", [{"latent": 0}, {"beta": -1.0}, {"dropout": 1.0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        VAE.sized(FIELDS, 1600, wrong)
