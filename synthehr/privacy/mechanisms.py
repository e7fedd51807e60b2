"""What touched the records: one frozen value a mechanism."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class Gaussian:
    """Sums of bounded contributions with normal noise, of all records or of a random share.

    Attributes
    ----------
    noise_multiplier : float
        Standard deviation of the noise, in units of the largest contribution of one
        patient (L2).
    rate : float
        Probability that a patient takes part in one of the times (Poisson sampling).
    times : int
        How often the mechanism ran.
    """

    noise_multiplier: float
    rate: float = 1.0
    times: int = 1


@final
@dataclass(frozen=True, kw_only=True)
class Bounded:
    """Any mechanism that is known by its (ε, δ) alone, such as a noisy threshold.

    Attributes
    ----------
    epsilon, delta : float
        What one run costs.
    times : int
        How often the mechanism ran.
    """

    epsilon: float
    delta: float = 0.0
    times: int = 1


Mechanism = Gaussian | Bounded

_NAMES: Mapping[str, type[Gaussian] | type[Bounded]] = {"gaussian": Gaussian, "bounded": Bounded}


KEYS = ("mechanism", "noise_multiplier", "rate", "epsilon", "delta", "times")
"""What `to_json` may give."""


def to_json(mechanism: Mechanism) -> dict[str, Any]:
    """Give a mechanism as JSON values."""
    name = next(name for name, cls in _NAMES.items() if isinstance(mechanism, cls))
    return {"mechanism": name, **asdict(mechanism)}


def from_json(values: Mapping[str, Any]) -> Mechanism:
    """Read what `to_json` gave."""
    rest = {name: value for name, value in values.items() if name != "mechanism"}
    return _NAMES[values["mechanism"]](**rest)
