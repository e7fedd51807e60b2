"""What mechanisms cost together: the smallest ε that is proved for a δ.

Privacy loss distributions, discretised pessimistically and composed by Fourier transform
(Koskela et al. 2020, arXiv:1906.03049; Doroshenko et al. 2022, arXiv:2207.04380), by
`dp-accounting`. Rényi divergences, by Opacus, are another library's looser bound of the same
thing and check the result.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce
from importlib.util import find_spec
from typing import Any

import numpy as np

from synthehr.errors import ConfigError
from synthehr.privacy.mechanisms import Bounded, Gaussian, Mechanism

UNIT = 1e-3
"""A claimed ε is rounded up to a multiple of this."""
_ORDERS = np.concatenate([1 + np.arange(1, 110) / 10, np.arange(12, 64), 2.0 ** np.arange(6, 13)])
_CELLS = 5_000
"""Steps into which the discretised losses cut an ε: it grows by less than .05 % through them."""
_SLACK = 1.01
"""Both accountants round up, so the tight one may exceed the loose one by this much."""
_LARGEST_MULTIPLIER = 1e4
_PRECISION = 1.005
"""A noise multiplier found is at most this much larger than it need be."""


def epsilon(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """Give the ε of all mechanisms together, for add-or-remove-one, rounded up.

    Parameters
    ----------
    mechanisms : sequence of Mechanism
        All that touched the records.
    delta : float
        The δ that it is stated for.

    Returns
    -------
    float
        Infinite where the δ does not suffice.

    Raises
    ------
    ConfigError
        The accountants are not installed, or contradict each other.
    """
    return _epsilon(tuple(mechanisms), delta)


@lru_cache(4096)
def _epsilon(mechanisms: tuple[Mechanism, ...], delta: float) -> float:
    if not mechanisms:
        return 0.0
    loose = renyi_epsilon(mechanisms, delta)
    if not math.isfinite(loose):
        return math.inf
    tight = _tight(mechanisms, delta, loose)
    if tight > _SLACK * loose + UNIT:
        raise ConfigError(
            "the two privacy accountants contradict each other, so nothing is claimed",
            hint="install the versions of dp-accounting and opacus in constraints.txt",
        )
    return round(math.ceil(tight / UNIT) * UNIT, 9)


def renyi_epsilon(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """Bound the same ε by Rényi divergences (Mironov, Talwar and Zhang 2019, arXiv:1908.10530).

    A mechanism of ε without δ has the divergence ``min(ε, order * ε**2 / 2)`` (Bun and
    Steinke 2016, arXiv:1605.02065); the δ of single mechanisms are taken off the whole.
    """
    rdp = _import("opacus.accountants.analysis.rdp")
    total = np.zeros(len(_ORDERS))
    for mechanism in mechanisms:
        if isinstance(mechanism, Gaussian):
            total += rdp.compute_rdp(
                q=mechanism.rate,
                noise_multiplier=mechanism.noise_multiplier,
                steps=mechanism.times,
                orders=_ORDERS.tolist(),
            )
        else:
            one = np.minimum(mechanism.epsilon, _ORDERS * mechanism.epsilon**2 / 2)
            total += mechanism.times * one
            delta -= mechanism.times * mechanism.delta
    if delta <= 0:
        return math.inf
    with warnings.catch_warnings():
        # The orders end somewhere; a bound at the last one is loose, not wrong.
        warnings.simplefilter("ignore")
        return max(0.0, float(rdp.get_privacy_spent(orders=_ORDERS, rdp=total, delta=delta)[0]))


def noise_multiplier(
    allowed: float, delta: float, mechanisms: Callable[[float], Sequence[Mechanism]]
) -> float | None:
    """Find a noise multiplier, hardly larger than it need be, whose mechanisms cost at most that.

    Parameters
    ----------
    allowed : float
        The ε that may be spent.
    delta : float
        The δ that it is stated for.
    mechanisms : callable
        From a noise multiplier to all mechanisms that are charged.

    Returns
    -------
    float or None
        None where no noise suffices.
    """

    def cost(multiplier: float) -> float:
        return epsilon(mechanisms(multiplier), delta)

    # The loose bound is fast, and leads to where the tight one is asked a few times.
    high = _smallest(lambda x: renyi_epsilon(mechanisms(x), delta), allowed, 0.2, 1.0)
    if high is None:
        high = _LARGEST_MULTIPLIER
    return _smallest(cost, allowed, 0.8 * high, high)


def _smallest(
    cost: Callable[[float], float], allowed: float, low: float, high: float
) -> float | None:
    """Find where a falling cost crosses what is allowed, from above; None if it never does."""
    while cost(high) > allowed:
        low, high = high, 2 * high
        if high > _LARGEST_MULTIPLIER:
            return None
    while high / low > _PRECISION:
        middle = math.sqrt(low * high)
        if cost(middle) > allowed:
            low = middle
        else:
            high = middle
    return high


def is_installed() -> bool:
    """Whether the accountants' libraries are there."""
    return all(find_spec(name) is not None for name in ("dp_accounting", "opacus"))


def _tight(mechanisms: Sequence[Mechanism], delta: float, scale: float) -> float:
    library = _import("dp_accounting.pld.privacy_loss_distribution")
    parameters = _import("dp_accounting.pld.common").DifferentialPrivacyParameters
    # Losses add their discretisation up, so it is fine beside the ε of all.
    interval = max(scale, UNIT) / _CELLS

    def distribution(mechanism: Mechanism) -> Any:
        if isinstance(mechanism, Bounded):
            limits = parameters(mechanism.epsilon, mechanism.delta)
            one = library.from_privacy_parameters(limits, value_discretization_interval=interval)
            return one.self_compose(mechanism.times)
        if mechanism.rate == 1.0:
            # Any number of them is one of less noise.
            deviation = mechanism.noise_multiplier / math.sqrt(mechanism.times)
            return library.from_gaussian_mechanism(
                deviation, value_discretization_interval=interval
            )
        one = library.from_gaussian_mechanism(
            mechanism.noise_multiplier,
            value_discretization_interval=interval,
            sampling_prob=mechanism.rate,
        )
        return one.self_compose(mechanism.times)

    composed = reduce(lambda one, two: one.compose(two), map(distribution, mechanisms))
    return float(composed.get_epsilon_for_delta(delta))


def _import(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ConfigError(
            "differential privacy needs libraries that are not installed",
            hint="pip install 'synthehr[privacy]'",
        ) from None
