"""The simulated admissions: one row a patient, every distribution known.

Admissions are drawn from the causal picture below::

    sex ──> smoker                    age, diabetes ──> sepsis (1.5 % of admissions)
    age ──> diabetes                  age, sepsis ────> died
    labs depend on sex, age, diabetes and sepsis, and on chance;
    whether a lab was taken may depend on the value itself: missing not at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEPSIS_SHARE = 0.015
AGES = np.arange(18, 96)
SITES = {"north": 0.42, "harbour": 0.27, "campus": 0.18, "hill": 0.1285, "island": 0.0015}
LEVELS: dict[str, tuple[str | int | bool | None, ...]] = {
    "sex": ("F", "M"),
    "age": tuple(int(age) for age in AGES),
    "smoker": ("never", "former", "current", None),
    "diabetes": (False, True),
    "sepsis": (False, True),
    "died": (False, True),
}
AXES = tuple(LEVELS)

SEX_SHARES = np.array([0.53, 0.47])
SMOKER_SHARES = np.array([[0.58, 0.22, 0.12, 0.08], [0.38, 0.34, 0.20, 0.08]])
START = np.datetime64("2023-01-01T00:00:00", "s")
DAYS = 730
STAY_MEAN_DAYS = np.array([3.0, 11.0])


class Parents(NamedTuple):
    """What the labs depend on; arrays that broadcast against each other."""

    sex: NDArray[np.int64]
    age: NDArray[np.int64]
    diabetes: NDArray[np.int64]
    sepsis: NDArray[np.int64]


class Effects(NamedTuple):
    """By how much each parent moves a number: male sex, a decade above 60, the two diagnoses."""

    sex: float = 0.0
    decade: float = 0.0
    diabetes: float = 0.0
    sepsis: float = 0.0

    def of(self, parents: Parents) -> Floats:
        """Sum of the effects for these parents."""
        return (
            self.sex * parents.sex
            + self.decade * (parents.age - 60) / 10
            + self.diabetes * parents.diabetes
            + self.sepsis * parents.sepsis
        )


NO_EFFECTS = Effects()


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One measured quantity and the rule by which it goes missing.

    The value is ``location + effects + scale * z`` with standard normal ``z`` (its exponential
    where ``log``), never below ``floor``, and rounded. It is recorded with probability
    ``sigmoid(taken + taken_effects + taken_by_z * z)``: a slope other than 0 on ``z`` is missing
    not at random.
    """

    location: float
    scale: float
    effects: Effects = NO_EFFECTS
    log: bool = False
    floor: float = -np.inf
    decimals: int = 1
    taken: float = np.inf
    taken_effects: Effects = NO_EFFECTS
    taken_by_z: float = 0.0
    unit: str

    def value(self, parents: Parents, z: Floats) -> Floats:
        """Turn standard normal draws into values, in the lab's unit."""
        raw: Floats = self.location + self.effects.of(parents) + self.scale * z
        floored: Floats = np.maximum(np.exp(raw) if self.log else raw, self.floor)
        return np.round(floored, self.decimals)

    def recorded(self, parents: Parents, z: Floats) -> Floats:
        """Probability in [0, 1] that the value is written down."""
        return _sigmoid(self.taken + self.taken_effects.of(parents) + self.taken_by_z * z)


LABS: dict[str, Lab] = {
    "bmi": Lab(
        location=26.4, scale=4.6, effects=Effects(diabetes=3.2), floor=14, taken=2.4, unit="kg/m²"
    ),
    "systolic": Lab(
        location=128, scale=16, effects=Effects(decade=4, sepsis=-24), decimals=0, unit="mmHg"
    ),
    "creatinine": Lab(
        location=-0.25,
        scale=0.28,
        effects=Effects(sex=0.2, decade=0.05, diabetes=0.15, sepsis=0.6),
        log=True,
        decimals=2,
        taken=1.2,
        taken_effects=Effects(decade=0.4),
        unit="mg/dl",
    ),
    "crp": Lab(
        location=1.9,
        scale=0.9,
        effects=Effects(sepsis=2.5),
        log=True,
        floor=5,
        taken=0.8,
        taken_effects=Effects(sepsis=3),
        taken_by_z=0.3,
        unit="mg/l",
    ),
    "hba1c": Lab(
        location=5.45,
        scale=0.42,
        effects=Effects(decade=0.05, diabetes=1.9),
        floor=3.5,
        taken=-0.6,
        taken_by_z=1.1,
        unit="%",
    ),
    "lactate": Lab(
        location=0.25,
        scale=0.35,
        effects=Effects(sepsis=1.0),
        log=True,
        taken=-1.6,
        taken_effects=Effects(sepsis=3.5),
        taken_by_z=0.9,
        unit="mmol/l",
    ),
}


def _sigmoid(x: Floats | float) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64)))


def age_shares() -> Floats:
    """Share of each age of `AGES`: a young and an old hump."""
    density = np.exp(-0.5 * ((AGES - 67) / 15) ** 2) + 0.35 * np.exp(-0.5 * ((AGES - 34) / 9) ** 2)
    return density / density.sum()


def diabetes_chance(age: NDArray[np.int64]) -> Floats:
    """P(diabetes | age in years)."""
    return 0.27 * _sigmoid((age - 55) / 9)


def death_chance(age: NDArray[np.int64], sepsis: NDArray[np.int64]) -> Floats:
    """P(died | age in years, sepsis)."""
    return _sigmoid(-3.3 + 0.06 * (age - 60) + 2.6 * sepsis)


@cache
def sepsis_chance() -> Floats:
    """P(sepsis | age, diabetes), of shape (ages, 2), scaled to SEPSIS_SHARE over all."""
    risk = np.exp(0.03 * (AGES[:, None] - 60) + np.array([0.0, 0.9]))
    diabetes = np.stack([1 - diabetes_chance(AGES), diabetes_chance(AGES)], axis=1)
    return SEPSIS_SHARE * risk / (risk * diabetes * age_shares()[:, None]).sum()


def simulate(n: int = 4000, seed: int = 0) -> pa.Table:
    """Draw admissions, one per patient.

    Parameters
    ----------
    n : int
        Number of patients.
    seed : int
        Equal seeds give equal tables.

    Returns
    -------
    pyarrow.Table of n rows
        patient_id, sex, age (years), smoker, site, admitted (to the minute), stay_days,
        diabetes, the labs of `LABS` in their units, sepsis, died.
    """
    rng = np.random.default_rng(seed)
    sex = rng.choice(2, n, p=SEX_SHARES)
    age = rng.choice(AGES, n, p=age_shares())
    smoker = (rng.random((n, 1)) > SMOKER_SHARES.cumsum(axis=1)[sex, :-1]).sum(axis=1)
    diabetes = (rng.random(n) < diabetes_chance(age)).astype(np.int64)
    sepsis = (rng.random(n) < sepsis_chance()[age - AGES[0], diabetes]).astype(np.int64)
    died = rng.random(n) < death_chance(age, sepsis)
    minutes = rng.integers(0, DAYS * 24 * 60, n)
    columns: dict[str, pa.Array] = {
        "patient_id": pa.array(np.char.add("P", np.char.zfill(rng.permutation(n).astype(str), 7))),
        "sex": pa.array(np.array(LEVELS["sex"])[sex]),
        "age": pa.array(age, type=pa.int32()),
        "smoker": pa.array(np.array(LEVELS["smoker"], dtype=object)[smoker], type=pa.string()),
        "site": pa.array(rng.choice(list(SITES), n, p=list(SITES.values()))),
        "admitted": pa.array(START + minutes * np.timedelta64(60, "s"), type=pa.timestamp("ms")),
        "stay_days": pa.array(rng.geometric(1 / STAY_MEAN_DAYS[sepsis]), type=pa.int32()),
        "diabetes": pa.array(diabetes.astype(bool)),
    }
    parents = Parents(sex, age, diabetes, sepsis)
    for name, lab in LABS.items():
        z = rng.standard_normal(n)
        missing = rng.random(n) >= lab.recorded(parents, z)
        columns[name] = pa.array(lab.value(parents, z), mask=missing)
    return pa.table(columns | {"sepsis": pa.array(sepsis.astype(bool)), "died": pa.array(died)})
