"""What is spent: known values, sums, two accountants, and a claim that follows."""

from __future__ import annotations

import json
import math

import pytest
from scipy import optimize, stats

from synthehr.errors import ConfigError
from synthehr.privacy.accountant import epsilon, noise_multiplier, renyi_epsilon
from synthehr.privacy.ledger import Entry, Ledger, most_true_alarms, suggested_delta
from synthehr.privacy.mechanisms import Bounded, Gaussian


def exact_gaussian_epsilon(noise: float, delta: float) -> float:
    """Balle and Wang 2018, arXiv:1805.06530, theorem 8."""

    def spare(eps: float) -> float:
        one = stats.norm.cdf(1 / (2 * noise) - eps * noise)
        two = stats.norm.cdf(-1 / (2 * noise) - eps * noise)
        return one - math.exp(eps) * two - delta

    return optimize.brentq(spare, 0, 50)


@pytest.mark.parametrize("noise", [0.8, 2.0, 10.0])
def test_one_gaussian_costs_what_theory_says(noise: float) -> None:
    exact = exact_gaussian_epsilon(noise, 1e-5)
    assert exact <= epsilon([Gaussian(noise_multiplier=noise)], 1e-5) <= exact * 1.005 + 2e-3


def test_training_costs_what_other_accountants_say() -> None:
    # shared/research/privacy.md §1.5: PRV 2.918, PLD 2.908, Rényi 3.197
    training = [Gaussian(noise_multiplier=1.0, rate=256 / 30_000, times=3_515)]
    assert epsilon(training, 1e-5) == pytest.approx(2.908, abs=0.01)
    assert renyi_epsilon(training, 1e-5) == pytest.approx(3.197, abs=0.01)


def test_many_gaussians_are_one_of_less_noise() -> None:
    many = epsilon([Gaussian(noise_multiplier=8.0, times=16)], 1e-6)
    assert many == pytest.approx(epsilon([Gaussian(noise_multiplier=2.0)], 1e-6), abs=2e-3)
    split = epsilon([Gaussian(noise_multiplier=8.0, times=8)] * 2, 1e-6)
    assert split == pytest.approx(many, abs=2e-3)


def test_epsilons_without_delta_add_up() -> None:
    assert epsilon([Bounded(epsilon=0.3)] * 2, 1e-12) == pytest.approx(0.6, abs=2e-3)
    assert epsilon([], 1e-5) == 0


def test_a_delta_that_is_spent_leaves_no_claim() -> None:
    spent = [Bounded(epsilon=0.1, delta=1e-5)]
    assert epsilon(spent, 1e-5) == math.inf
    assert epsilon(spent, 2e-5) < 0.2
    ledger = Ledger(1e-5, 1000).charged(Entry("levels", spent[0]))
    assert ledger.claim() == ("No guarantee: the entries cost more than any finite ε.",)


def test_everything_is_charged() -> None:
    training = Gaussian(noise_multiplier=1.5, rate=0.03, times=1_500)
    levels = Gaussian(noise_multiplier=6.0)
    empty = Ledger(1e-5, 30_000)
    alone = empty.charged(Entry("training", training)).epsilon
    both = empty.charged(Entry("training", training), Entry("levels", levels)).epsilon
    assert alone < both < alone + empty.charged(Entry("levels", levels)).epsilon


def test_the_noise_multiplier_is_the_smallest_that_suffices() -> None:
    def training(noise: float) -> list[Gaussian]:
        return [Gaussian(noise_multiplier=noise, rate=0.03, times=500)]

    found = noise_multiplier(2.0, 1e-5, training)
    assert found is not None
    assert epsilon(training(found), 1e-5) <= 2.0 < epsilon(training(found / 1.006), 1e-5)
    hopeless = noise_multiplier(0.1, 1e-5, lambda noise: [Bounded(epsilon=1.0)])
    assert hopeless is None


def test_a_ledger_comes_back_and_its_claim_is_derived_anew() -> None:
    ledger = Ledger(1e-5, 30_000, public=("bounds of 3 columns",))
    ledger = ledger.charged(
        Entry("training", Gaussian(noise_multiplier=1.5, rate=0.03, times=1_500))
    )
    ledger = ledger.charged(Entry("levels", Bounded(epsilon=0.1, delta=1e-8)))
    written = json.loads(json.dumps(ledger.to_json()))
    assert Ledger.from_json(written) == ledger
    assert f"({ledger.epsilon:.3f}, 1e-05)-differentially private" in ledger.claim()[0]
    assert "bounds of 3 columns" in ledger.claim()[2]
    written["entries"].pop()
    with pytest.raises(ConfigError, match="do not add up"):
        Ledger.from_json(written)


def test_a_claim_beyond_ten_says_that_it_is_none() -> None:
    ledger = Ledger(1e-5, 30_000).charged(Entry("training", Gaussian(noise_multiplier=0.4)))
    assert ledger.epsilon > 10
    assert "next to nothing" in ledger.claim()[-1]


def test_what_an_attacker_can_find_out() -> None:
    # shared/research/privacy.md §1.7, point 19
    assert most_true_alarms(1.0, 0.0, 0.01) == pytest.approx(0.0272, abs=1e-4)
    assert most_true_alarms(3.0, 0.0, 0.01) == pytest.approx(0.2009, abs=1e-4)
    assert most_true_alarms(4.6, 0.0, 0.01) > 0.985
    assert most_true_alarms(0.0, 0.0, 0.01) == pytest.approx(0.01)


@pytest.mark.parametrize("delta", [0.0, -1e-5, 1e-3, float("nan")])
def test_a_delta_beyond_one_patient_is_refused(delta: float) -> None:
    with pytest.raises(ConfigError, match="delta must lie between 0 and 1 / 1000"):
        Ledger(delta, 1000)
    assert Ledger(suggested_delta(1000), 1000).delta == 1e-4
