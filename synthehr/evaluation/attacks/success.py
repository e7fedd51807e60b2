"""Success of an attack on training patients beyond its success on held-out ones."""

from __future__ import annotations

import numpy as np

from synthehr.evaluation.metric import Estimate
from synthehr.evaluation.results import DisclosureResult


def disclosure(
    attack: str, tries: int, training: Estimate, held_out: Estimate, naive: Estimate
) -> DisclosureResult:
    """Put an attack's three success rates together, with the risk that follows."""
    risk = residual(training, held_out)
    return DisclosureResult(attack, tries, training, held_out, naive, risk)


def residual(training: Estimate, held_out: Estimate) -> Estimate:
    """Estimate (training - held-out) / (1 - held-out): what the table adds.

    The interval of the difference comes from Wilson's of the two rates (Newcombe's method
    10); it is divided by the same number. nan where the held-out rate is 1.

    References
    ----------
    The quotient: Giomi et al., 2023, doi:10.56553/popets-2023-0055. The interval: Newcombe,
    1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    room = 1 - held_out.value
    if not room > 0:
        return Estimate(float("nan"), float("nan"), float("nan"))
    difference = training.value - held_out.value
    below = np.hypot(training.value - training.low, held_out.high - held_out.value)
    above = np.hypot(training.high - training.value, held_out.value - held_out.low)
    ends = (difference / room, (difference - below) / room, (difference + above) / room)
    return Estimate(*(float(np.clip(end, -1.0, 1.0)) for end in ends))
