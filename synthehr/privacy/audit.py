"""An audit in one run: canaries show how much a mechanism gives away at the least.

Many canaries are each put in with a chance of one half, the mechanism runs once, and whoever
sees its answer guesses of some canaries whether they were in. Under (ε, δ)-differential
privacy too many right guesses are unlikely, so they refute an ε that is too small (Steinke,
Nasr and Jagielski 2023, arXiv:2305.08846).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

DOUBT = 0.05
"""Chance that a sound mechanism is refuted."""
_LARGEST = 30.0


class Guesses(NamedTuple):
    """How well somebody guessed which canaries were in.

    Attributes
    ----------
    right, made : int
        Guesses that were right, and all that were made; of other canaries nothing was said.
    canaries : int
        How many there were, in or not.
    """

    right: int
    made: int
    canaries: int


def guess(scores: NDArray[np.float64], included: NDArray[np.bool_], share: float) -> Guesses:
    """Guess that the canaries of the highest scores were in, and those of the lowest were not.

    Parameters
    ----------
    scores : ndarray of shape (m,)
        What an attacker makes of the answer; higher for canaries that look included.
    included : ndarray of shape (m,)
        Which were, each with a chance of one half.
    share : float
        Share of all canaries that is guessed to be in, and as many to be out.
    """
    each = max(1, round(share * len(scores)))
    order = np.argsort(scores, kind="stable")
    right = int(included[order[-each:]].sum() + (~included[order[:each]]).sum())
    return Guesses(right, 2 * each, len(scores))


def chance_of(guesses: Guesses, epsilon: float, delta: float) -> float:
    """Bound the chance of so many right guesses under (ε, δ)-differential privacy.

    The paper's bound for approximate privacy: what pure ε allows, and what δ adds to it.
    """
    right, made, canaries = guesses
    each = 1 / (1 + math.exp(-epsilon))
    fewer = np.arange(1, right + 1)
    added = np.cumsum(binom.pmf(right - fewer, made, each)) / fewer if right else np.zeros(1)
    pure = float(binom.sf(right - 1, made, each))
    return min(1.0, pure + 2 * canaries * delta * float(added.max()))


def least_epsilon(guesses: Guesses, delta: float, doubt: float = DOUBT) -> float:
    """Give the largest ε that the guesses refute; 0 where they refute none.

    Parameters
    ----------
    guesses : Guesses
        Of one run.
    delta : float
        The δ beside it.
    doubt : float
        Chance that an ε is refuted that holds.
    """
    if chance_of(guesses, 0.0, delta) >= doubt:
        return 0.0
    low, high = 0.0, _LARGEST
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if chance_of(guesses, middle, delta) < doubt else (low, middle)
    return low
