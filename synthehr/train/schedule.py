"""The course of the learning rate over a run."""

from __future__ import annotations

import math

from synthehr.config import TrainConfig

STEP_DECAYS = ((0.9, 0.01), (0.7, 0.1))
"""For the schedule "step": from this fraction of the run on, this factor."""


def fraction_done(step: int, steps: int, seconds: float, limit: float | None) -> float:
    """Fraction of a run that is over, by steps or by the clock, whichever is further."""
    by_steps = step / steps
    return by_steps if limit is None else max(by_steps, seconds / limit)


def rate_factor(config: TrainConfig, step: int, fraction: float) -> float:
    """Factor of the peak learning rate at a step, when a fraction of the run is over.

    Cosine decay ends at zero (Loshchilov and Hutter 2017, arXiv:1608.03983); "linear" is constant
    for half of the run and then falls to zero; "step" falls tenfold at 70 % and again at 90 %.
    """
    warm = min(1.0, (step + 1) / (config.warmup + 1))
    if config.schedule == "cosine":
        return warm * 0.5 * (1.0 + math.cos(math.pi * min(fraction, 1.0)))
    if config.schedule == "linear":
        return warm * min(1.0, 2.0 * (1.0 - min(fraction, 1.0)))
    if config.schedule == "step":
        return warm * next((f for start, f in STEP_DECAYS if fraction >= start), 1.0)
    return warm
