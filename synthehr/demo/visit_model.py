"""What the simulated visits are drawn from: every chance, slope and rule by name.

A patient moves between states by a Markov chain; the state sets the time to the next visit, the
hazard of death, the levels of vitals and labs, and whether a lab is taken. Two quantities, those
of `SLOPES`, do not hang on the state, so that their slopes can be estimated from visits alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ARMS = ("control", "treated")
STATES = ("home", "ward", "icu", "dead")
STATE_START = np.array([0.72, 0.23, 0.05])
STATE_MOVES = np.array([[0.90, 0.09, 0.01], [0.45, 0.45, 0.10], [0.10, 0.50, 0.40]])
"""Moves of the living from one visit to the next; death comes on top, between visits."""
MEDICATIONS = ("none", "oral", "insulin")
MEDICATION_START = np.array([0.7, 0.25, 0.05])
MEDICATION_MOVES = np.array([[0.93, 0.06, 0.01], [0.05, 0.88, 0.07], [0.01, 0.04, 0.95]])
DAILY_DOSE_G = np.array([0.0, 1.5, 0.8])

GAP_MEAN_DAYS = np.array([45.0, 12.0, 3.0])
GAP_SHAPE = 2.0
DEATHS_A_YEAR = np.array([0.04, 0.5, 4.0])
DEATHS_BY_DECADE = 0.35
LOST_CHANCE = 0.03
FOLLOW_UP_DAYS = (60, 1095)
MOST_VISITS = 40
YEAR_DAYS = 365.25
FIRST_TAKEN = 0.9

INFECTION = (-2.6, 1.2, 1.5)
OEDEMA = (-2.2, 0.6, 2.5)
"""Logit of a code: intercept, by each step of the state, and where it was there before."""


@dataclass(frozen=True, kw_only=True)
class Vital:
    """One quantity measured at every visit of the living.

    The value is ``location + between * u + male, decade and state effects + (slope +
    treated * arm + slope_between * v) * years + within * e`` with standard normal ``u`` and ``v``
    of the patient and ``e`` a first-order autoregression over visits with correlation ``lag``.
    """

    location: float
    between: float
    within: float
    lag: float
    slope: float = 0.0
    slope_between: float = 0.0
    treated: float = 0.0
    male: float = 0.0
    decade: float = 0.0
    by_state: tuple[float, float, float] = (0.0, 0.0, 0.0)
    decimals: int = 0
    unit: str


VITALS: dict[str, Vital] = {
    "systolic": Vital(
        location=132,
        between=12,
        within=9,
        lag=0.5,
        slope=1,
        slope_between=2,
        decade=3,
        by_state=(0, -4, -18),
        unit="mmHg",
    ),
    "pulse_pressure": Vital(
        location=52, between=6, within=5, lag=0.4, decade=2, by_state=(0, -2, -8), unit="mmHg"
    ),
    "heart_rate": Vital(
        location=74, between=8, within=6, lag=0.4, by_state=(0, 8, 24), unit="1/min"
    ),
    "weight": Vital(
        location=74,
        between=11,
        within=1.2,
        lag=0.8,
        slope=-0.8,
        slope_between=1.5,
        treated=1.6,
        male=10,
        decimals=1,
        unit="kg",
    ),
    "egfr": Vital(
        location=74,
        between=11,
        within=4,
        lag=0.6,
        slope=-5,
        slope_between=3,
        treated=3,
        decade=-5,
        decimals=1,
        unit="ml/min/1.73 m²",
    ),
}
SLOPES = ("egfr", "weight")


class MeasurementRule(NamedTuple):
    """Logit of the chance that a lab is taken.

    `previous` is the weight of its value at the visit before, taken or not, in units of `scale`
    above `location`; `severity` that of each step from home to ward to intensive care.
    """

    intercept: float
    previous: float
    severity: float


@dataclass(frozen=True, kw_only=True)
class TimedLab:
    """One quantity that is taken at some visits only, by its rule.

    The value is ``location + scale * (state effect + e)``, its exponential where ``log``, with
    ``e`` a standard normal autoregression over visits. Where a value was not taken, its being
    missing at the next visit depends on what nobody saw: missing not at random.
    """

    location: float
    scale: float
    lag: float
    by_state: tuple[float, float, float]
    rule: MeasurementRule
    log: bool = False
    decimals: int = 0
    unit: str


TIMED_LABS: dict[str, TimedLab] = {
    "glucose": TimedLab(
        location=112,
        scale=20,
        lag=0.6,
        by_state=(0, 0.6, 1.2),
        rule=MeasurementRule(-0.6, 0.6, 0.6),
        unit="mg/dl",
    ),
    "crp": TimedLab(
        location=1.8,
        scale=0.9,
        lag=0.7,
        by_state=(0, 0.8, 1.6),
        rule=MeasurementRule(-0.9, 0.7, 0.9),
        log=True,
        decimals=1,
        unit="mg/l",
    ),
    "lactate": TimedLab(
        location=0.3,
        scale=0.4,
        lag=0.5,
        by_state=(0, 0.6, 1.6),
        rule=MeasurementRule(-1.4, 0.8, 1.2),
        log=True,
        decimals=1,
        unit="mmol/l",
    ),
}

STATIC = ("age", "sex", "arm", "site", "died")
