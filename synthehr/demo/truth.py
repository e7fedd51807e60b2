"""What the simulated admissions converge to: exact shares, means and rates of missingness."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from synthehr.demo.cohort import (
    AGES,
    AXES,
    LABS,
    LEVELS,
    SEX_SHARES,
    SMOKER_SHARES,
    Floats,
    Parents,
    age_shares,
    death_chance,
    diabetes_chance,
    sepsis_chance,
)

Level = str | int | bool | None
Condition = Mapping[str, Level | tuple[int, int]]


@cache
def joint() -> Floats:
    """Exact joint distribution of the discrete columns, one axis for each of `AXES`."""
    diabetes = np.stack([1 - diabetes_chance(AGES), diabetes_chance(AGES)], axis=1)
    sepsis = np.stack([1 - sepsis_chance(), sepsis_chance()], axis=2)
    death = death_chance(AGES[:, None], np.arange(2))
    died = np.stack([1 - death, death], axis=2)
    return np.einsum(
        "s,a,sk,ad,adp,apx->sakdpx", SEX_SHARES, age_shares(), SMOKER_SHARES, diabetes, sepsis, died
    )


def _holds(level: Level, wanted: Level | tuple[int, int]) -> bool:
    if isinstance(wanted, tuple):
        return isinstance(level, int) and wanted[0] <= level <= wanted[1]
    return level == wanted


def _where(given: Condition | None) -> Floats:
    """Joint distribution of the discrete columns under a condition, summing to 1."""
    held = joint()
    for column, wanted in (given or {}).items():
        axis = AXES.index(column)
        keep = np.array([_holds(level, wanted) for level in LEVELS[column]], dtype=np.float64)
        held = held * keep.reshape([-1 if i == axis else 1 for i in range(len(AXES))])
    return held / held.sum()


def true_shares(column: str, given: Condition | None = None) -> dict[Level, float]:
    """Exact share of each level of a discrete column of `AXES`.

    Parameters
    ----------
    column : str
        One of `AXES`.
    given : mapping, optional
        Only among patients who hold these levels; ``{"age": (60, 80)}`` is a closed range.

    Examples
    --------
    >>> round(true_shares("sepsis")[True], 4)
    0.015
    >>> round(true_shares("smoker", {"sex": "F"})["never"], 4)
    0.58
    """
    axis = AXES.index(column)
    shares = _where(given).sum(axis=tuple(i for i in range(len(AXES)) if i != axis))
    return dict(zip(LEVELS[column], shares.tolist(), strict=True))


def _values(lab: str, given: Condition | None) -> tuple[Floats, Floats]:
    """Values of a lab and the probability that each is both true and recorded."""
    cells = _where(given).sum(axis=(AXES.index("smoker"), AXES.index("died")))[..., None]
    sex, age, diabetes, sepsis, _ = np.ogrid[:2, : len(AGES), :2, :2, :1]
    parents = Parents(sex, AGES[age], diabetes, sepsis)
    z = np.linspace(-6, 6, 2001)
    mass = np.exp(-0.5 * z**2)
    weights = cells * (mass / mass.sum()) * LABS[lab].recorded(parents, z)
    return np.broadcast_to(LABS[lab].value(parents, z), weights.shape), weights


def true_missing(lab: str, given: Condition | None = None) -> float:
    """Exact share of patients for whom a lab of `LABS` is null."""
    return 1.0 - float(_values(lab, given)[1].sum())


def true_mean(lab: str, given: Condition | None = None) -> float:
    """Mean of the recorded values of a lab, in its unit, by integration over 2 001 nodes."""
    values, weights = _values(lab, given)
    return float((values * weights).sum() / weights.sum())


def true_share_below(lab: str, bound: float, given: Condition | None = None) -> float:
    """Share of the recorded values of a lab that are ``<= bound``."""
    values, weights = _values(lab, given)
    return float(weights[values <= bound].sum() / weights.sum())
