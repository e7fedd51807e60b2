"""Randomness for differential privacy: the right distribution, and no seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from synthehr.privacy import noise
from synthehr.privacy.slots import OVERFLOW, Slots, slots_for


def test_normal_numbers_are_standard_normal() -> None:
    drawn = noise.normal(400_001).numpy()
    assert len(drawn) == 400_001
    assert stats.kstest(drawn, "norm").pvalue > 1e-9
    # chi-square of the variance, two-sided at 1e-9
    low, high = stats.chi2.ppf([5e-10, 1 - 5e-10], len(drawn)) / len(drawn)
    assert low < (drawn**2).mean() < high
    assert abs(np.corrcoef(drawn[:200_000], drawn[200_000:400_000])[0, 1]) < 0.012


def test_uniform_numbers_can_go_into_a_logarithm() -> None:
    drawn = noise.uniform(100_000)
    assert drawn.min() > 0
    assert drawn.max() <= 1
    assert stats.kstest(drawn.numpy(), "uniform").pvalue > 1e-9
    assert len(noise.uniform(0)) == len(noise.normal(0)) == 0


def test_no_seed_repeats_the_noise() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(1)
        draws.append(noise.normal(8))
    assert not torch.equal(*draws)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.7, 1.0])
def test_items_are_chosen_each_on_its_own(rate: float) -> None:
    n, times = 2_000, 300
    taken, sizes = np.zeros(n), []
    for _ in range(times):
        index = noise.chosen(n, rate).numpy()
        assert (np.diff(index) > 0).all()
        taken[index] += 1
        sizes.append(len(index))
    assert stats.binomtest(int(taken.sum()), n * times, rate).pvalue > 1e-9
    if rate < 1:
        expected = stats.binom.pmf(np.arange(times + 1), times, rate) * n
        common = expected > 5
        seen = np.bincount(taken.astype(int), minlength=times + 1)
        spread = ((seen - expected)[common] ** 2 / expected[common]).sum()
        assert stats.chi2.sf(spread, common.sum()) > 1e-9
        assert np.var(sizes) == pytest.approx(n * rate * (1 - rate), rel=0.5)


def numbered(n: int) -> torch.Tensor:
    codes = torch.zeros((n, 2, 1), dtype=torch.int16)
    codes[:, 0, 0] = torch.arange(n)
    return codes


def test_slots_hold_each_patient_at_most_once_and_at_any_place() -> None:
    draw = Slots(numbered(500), None, 0.1, 80)
    places, sizes = np.zeros(80), []
    for step in range(400):
        batch = draw(step, torch.default_generator)
        tokens = batch.codes[draw.filled, 0, 0]
        assert batch.codes.shape == (80, 2, 1)
        assert len(tokens.unique()) == len(tokens)
        assert not batch.codes[~draw.filled].any()
        places += draw.filled.numpy()
        sizes.append(len(tokens))
    assert np.mean(sizes) == pytest.approx(50, abs=2)
    assert stats.chisquare(places).pvalue > 1e-9


def test_slots_take_one_record_of_a_patient_each_as_likely() -> None:
    patients = np.array([0, 1, 0, 2, 0, 1])
    draw = Slots(numbered(6), patients, 1.0, 3)
    seen = np.zeros(6)
    for step in range(3_000):
        tokens = draw(step, torch.default_generator).codes[:, 0, 0].numpy()
        assert sorted(patients[tokens]) == [0, 1, 2]
        seen[tokens] += 1
    assert stats.chisquare(seen[[0, 2, 4]]).pvalue > 1e-9
    assert stats.chisquare(seen[[1, 5]]).pvalue > 1e-9


def test_a_batch_of_nobody_has_all_its_slots() -> None:
    draw = Slots(numbered(5), None, 1e-9, 4)
    assert draw(0, torch.default_generator).codes.shape == (4, 2, 1)
    assert not draw.filled.any()


def test_slots_suffice_but_for_a_chance_that_is_charged() -> None:
    slots, chance = slots_for(30_000, 1024 / 30_000, 1_500, 1e-5)
    assert 1_024 < slots < 1_300
    assert 0 < chance <= OVERFLOW * 1e-5
    assert chance >= 1_500 * stats.binom.sf(slots, 30_000, 1024 / 30_000)
    assert slots_for(100, 1.0, 10, 1e-3) == (100, 0.0)
