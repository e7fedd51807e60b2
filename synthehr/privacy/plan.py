"""How a budget is spent: everything is fixed here, in public, before a record is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, final

from synthehr.config import TrainConfig, apply
from synthehr.errors import ConfigError
from synthehr.privacy.accountant import epsilon, noise_multiplier
from synthehr.privacy.config import PrivacyConfig
from synthehr.privacy.ledger import TRAINING, Entry, suggested_delta
from synthehr.privacy.mechanisms import Bounded, Gaussian, Mechanism
from synthehr.privacy.slots import slots_for

MOST_BEYOND = 1.05
"""A table may have so many times the patients that were declared, and no more."""
ONE_WAY = 0.3
"""Share of the marginals' budget for single columns; pairs of them have the rest."""
MOST_NOISE = 0.04
"""A budget is refused where the noise of a count exceeds this share of all patients."""


@final
@dataclass(frozen=True)
class Budget:
    """What may be spent, and on how many patients.

    Attributes
    ----------
    epsilon, delta : float
        The privacy that the whole fit has.
    patients : int
        About how many there are, in public.
    most_patients : int
        The most that the table may have.

    Raises
    ------
    ConfigError
        If one of them makes no sense.
    """

    epsilon: float
    delta: float
    patients: int
    most_patients: int

    def __post_init__(self) -> None:
        check_asked(self.epsilon, self.delta)
        if self.patients < 1:
            raise ConfigError("--public-rows must be 1 or more", hint="for example 30000")
        if not 0 < self.delta < 1 / self.patients:
            raise ConfigError(
                f"--delta must lie between 0 and 1 / {self.patients}, the number of patients",
                hint=f"for example --delta {suggested_delta(self.patients):g}",
            )


@final
@dataclass(frozen=True)
class Plan:
    """The mechanisms of a fit.

    Attributes
    ----------
    columns, pairs : Gaussian
        Of the noisy marginals of columns, and of pairs of them; of endless noise where they are
        not asked for.
    training : Gaussian
        Of DP-SGD: noise, rate and steps.
    overflow : Bounded
        The chance that a batch has more patients than slots.
    slots : int
        Records of a batch, filled or not.
    looks : int
        How often a step looks at its batch.
    what : str
        What the ledger calls training.
    """

    columns: Gaussian
    pairs: Gaussian
    training: Gaussian
    overflow: Bounded
    slots: int
    looks: int
    what: str = TRAINING

    @property
    def noise_of_a_look(self) -> float:
        """Noise multiplier of one look.

        L looks at one batch, each with noise of its own, are one look at a vector L times as
        long: one normal mechanism with a noise multiplier smaller by the root of L.
        """
        return self.training.noise_multiplier * math.sqrt(self.looks)

    @property
    def of_training(self) -> tuple[Entry, ...]:
        """What training owes to the ledger."""
        spent = Entry(self.what, self.training)
        return (spent, Entry("batches without room", self.overflow)) if self.slots else (spent,)


def check_asked(epsilon: float, delta: float) -> None:
    """Refuse an ε or a δ that no number of patients makes sense of.

    Raises
    ------
    ConfigError
        If it is one.
    """
    if not 0 < epsilon < math.inf:
        raise ConfigError("--epsilon must be above 0", hint="for example --epsilon 3")
    if not 0 < delta < 1:
        raise ConfigError("--delta must lie between 0 and 1", hint="for example --delta 1e-6")


def private_training(budget: Budget, settings: Mapping[str, Any]) -> TrainConfig:
    """Choose how to train from what is public, with settings on top."""
    most = max(64, budget.patients // 4)
    default = TrainConfig(
        steps=round(min(2_500, max(500, 800 * budget.epsilon**0.5))),
        batch_size=min(1024, 1 << (most.bit_length() - 1)),
        learning_rate=2e-3,
        ema=0.995,
        clip=0.0,
        precision="float32",
    )
    return apply(default, settings)


@cache
def planned(
    budget: Budget,
    config: PrivacyConfig,
    *,
    questions: int,
    steps: int,
    batch_size: int,
    looks: int,
    with_pairs: bool = True,
    once: str = "",
) -> Plan:
    """Share a budget out.

    The privacy that normal noise gives adds up as one over its variance. So what has a share
    s of the budget has the noise of the whole budget over the root of s; what marginals leave,
    by the exact accountant, is for training.

    Parameters
    ----------
    budget : Budget
        What may be spent.
    config : PrivacyConfig
        How.
    questions : int
        Histograms that are asked for; where there are none, training has the whole budget.
    steps, batch_size, looks : int
        Of training; how often a step looks at its batch.
    with_pairs : bool
        Whether pairs of columns are counted; if not, single ones have all of their share.
    once : str
        What is looked at once, and then in no step: it has all that marginals leave. Empty where
        steps look at records.

    Raises
    ------
    ConfigError
        The budget does not suffice for so few patients: with the smallest that would.
    """
    whole = noise_multiplier(
        budget.epsilon, budget.delta, lambda noise: [Gaussian(noise_multiplier=noise)]
    )
    of_columns = ONE_WAY * config.marginals if with_pairs else config.marginals
    most_noise = MOST_NOISE * budget.patients * math.sqrt(of_columns / max(questions, 1))
    if whole is None or whole > most_noise:
        raise too_little(budget, most_noise, whole)
    columns = _share(whole, of_columns if questions else 0.0)
    pairs = _share(whole, config.marginals - of_columns if questions else 0.0)
    measured: list[Mechanism] = [
        each for each in (columns, pairs) if math.isfinite(each.noise_multiplier)
    ]
    rate = min(1.0, batch_size / budget.patients)
    slots, overflow = 0, Bounded(epsilon=0.0, delta=0.0)
    if once:
        rate, steps = 1.0, 1
    else:
        slots, chance = slots_for(budget.most_patients, rate, steps, budget.delta)
        overflow = Bounded(epsilon=0.0, delta=chance)
        measured.append(overflow)
    found = noise_multiplier(
        budget.epsilon,
        budget.delta,
        lambda noise: [*measured, Gaussian(noise_multiplier=noise, rate=rate, times=steps)],
    )
    if found is None:
        raise too_little(budget, most_noise, whole)
    training = Gaussian(noise_multiplier=found, rate=rate, times=steps)
    return Plan(columns, pairs, training, overflow, slots, looks, once or TRAINING)


def _share(whole: float, share: float) -> Gaussian:
    """Give the mechanism that has a share of the budget; endless noise where it has none."""
    return Gaussian(noise_multiplier=whole / math.sqrt(share) if share > 0 else math.inf)


def too_little(budget: Budget, most_noise: float, whole: float | None) -> ConfigError:
    """Say that the whole budget's noise is more than may be, and what could work."""
    least = epsilon([Gaussian(noise_multiplier=most_noise)], budget.delta)
    patients = "more" if whole is None else f"{round_up(budget.patients * whole / most_noise):,.0f}"
    return ConfigError(
        f"{budget.patients:,} patients are too few for ε = {budget.epsilon:g}: the noise would "
        "drown them",
        hint=f"--epsilon {round_up(least):g} could work, and so could {patients} patients",
    )


def round_up(value: float) -> float:
    """Round a positive number up to two digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / unit) * unit, 10)
