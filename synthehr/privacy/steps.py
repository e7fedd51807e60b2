"""Whether a budget allows enough steps of a network that needs many."""

from __future__ import annotations

import math
from collections.abc import Callable

from synthehr.errors import ConfigError
from synthehr.privacy.accountant import renyi_epsilon
from synthehr.privacy.mechanisms import Gaussian
from synthehr.privacy.plan import Budget, round_up

LEAST_STEPS = 300
"""Fewer steps teach a convolutional network nothing."""
MOST_NOISE_OF_A_STEP = 1 / 128
"""Standard deviation of the noise of a mean gradient, in clips, at most."""
CLOSE, MOST_NAMED = 1.05, 1 << 24
"""How closely a number of patients is named, and up to which."""


def refuse_few_steps(budget: Budget, batch_size: Callable[[int], int], share: float) -> None:
    """Refuse a budget that allows fewer than `LEAST_STEPS` steps of little enough noise.

    Parameters
    ----------
    budget : Budget
        What may be spent.
    batch_size : callable
        From a number of patients to the expected number of those in a batch.
    share : float
        Share of the budget that training has, above 0.

    Raises
    ------
    ConfigError
        Naming the smallest ε, and the smallest number of patients, that could work.
    """

    def cost(patients: int) -> float:
        batch = batch_size(patients)
        # What has a share of the budget has the noise of all of it over the root of the share.
        noise = MOST_NOISE_OF_A_STEP * batch * math.sqrt(share)
        rate = min(1.0, batch / patients)
        mechanism = Gaussian(noise_multiplier=noise, rate=rate, times=LEAST_STEPS)
        return renyi_epsilon([mechanism], budget.delta)

    least = cost(budget.patients)
    if least <= budget.epsilon:
        return
    low = high = budget.patients
    while cost(high) > budget.epsilon and high < MOST_NAMED:
        low, high = high, 2 * high
    while high / low > CLOSE:
        middle = round(math.sqrt(low * high))
        low, high = (middle, high) if cost(middle) > budget.epsilon else (low, middle)
    named = f" and so could {round_up(high):,.0f} patients" if high < MOST_NAMED else ""
    raise ConfigError(
        f"{budget.patients:,} patients at ε = {budget.epsilon:g} allow fewer than {LEAST_STEPS} "
        "steps whose noise does not drown them",
        hint=f"--epsilon {round_up(least):g} could work,{named or ' and more patients'}; a model "
        "that looks at records once needs fewer",
    )
