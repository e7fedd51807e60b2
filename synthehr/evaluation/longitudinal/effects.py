"""Whether an analyst of synthetic patients would come to the same effects on an outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.longitudinal.figures import joined
from synthehr.evaluation.longitudinal.histories import Histories
from synthehr.evaluation.longitudinal.intervals import HALF, Fit, overlap
from synthehr.evaluation.longitudinal.patients import Patients
from synthehr.evaluation.longitudinal.resampled import Figures, Resampled, resampled
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.task import generator_of

MOST_EFFECTS = 10
"""Features, those known of most patients, whose effects on the target are looked at."""
LEAST_OF_CLASS = 20
"""Patients of each level of the target without whom there are no effects on it."""
TOLD = ("mean", "slope")
"""What of a changing number is a feature, beside what patients have once."""
STEPS = 12
RIDGE = 1.0
"""Weight of a standard normal prior of each coefficient: separated classes stay finite."""


def effects(patients: Patients, target: str, clock: Clock) -> tuple[Metric, ...]:
    """Compare the log odds ratios of the target, of a logistic model of patients' features."""
    rng = generator_of(patients.seed, "effects")
    lines = (patients.unseen, patients.synthetic, patients.trained)
    told = [patients.told(line) for line in lines]
    place = [column.name for column in told[0].columns].index(target)
    outcomes = [each.values[:, place] for each in told]
    if any(np.bincount(_levels(y), minlength=2)[:2].min() < LEAST_OF_CLASS for y in outcomes):
        clock.give_up("effects on the target", "it lacks two levels of enough patients each")
        return ()
    features = _features(told, place)
    if not features[0].shape[1]:
        clock.give_up("effects on the target", "no other column is told of patients")
        return ()
    sides = [resampled(lines[0], rng), resampled(lines[1], rng), resampled(lines[2])]
    fits = [_logistic(side, x, y) for side, x, y in zip(sides, features, outcomes, strict=True)]
    bare = (fits[0][0][:, :1], fits[0][1][:, :1])
    name = ("effect_overlap", None)
    found: Figures = {name: overlap(fits[0], fits[1]).mean(axis=0)}
    return joined(found, {name: overlap(bare, fits[2]).mean(axis=0)})


def _levels(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the two commonest levels the numbers 0 and 1, and what is neither 2."""
    return np.where(np.isnan(values) | (values > 1), 2, values).astype(np.int64)


def _features(told: list[Histories], place: int) -> list[NDArray[np.float64]]:
    """Give features, centred and scaled as of the first patients; a null is their mean."""
    columns = told[0].columns
    numbers = [
        k
        for k, column in enumerate(columns[: told[0].of_values])
        if k != place
        and (column.kind != "category" or len(column.levels) == 2)
        and ("," not in column.name or column.name.rsplit(", ", 1)[1] in TOLD)
    ]
    real = told[0].values
    known = np.isfinite(real).sum(axis=0)
    spread = [k for k in numbers if known[k] > 1 and np.nanstd(real[:, k]) > 0]
    kept = sorted(sorted(spread, key=lambda k: -known[k])[:MOST_EFFECTS])
    mean, sd = np.nanmean(real[:, kept], axis=0), np.nanstd(real[:, kept], axis=0)
    return [np.nan_to_num((each.values[:, kept] - mean) / sd) for each in told]


def _logistic(side: Resampled, x: NDArray[np.float64], y: NDArray[np.float64]) -> Fit:
    """Fit by Newton's method once a resample; (F, 1 + B) each, without the intercept."""
    levels = _levels(y)
    held = levels < 2
    x = np.column_stack([np.ones(held.sum()), np.clip(x[held], -5, 5)])
    is_one = levels[held].astype(np.float64)
    prior = RIDGE * np.eye(x.shape[1])
    prior[0, 0] = 0.01
    found, halves = [], []
    for weight in side.weights[held].T:
        beta = np.zeros(x.shape[1])
        information = prior
        for _ in range(STEPS):
            chance = 1 / (1 + np.exp(-(x @ beta)))
            information = (x * (weight * chance * (1 - chance))[:, None]).T @ x + prior
            beta = beta + np.linalg.solve(
                information, x.T @ (weight * (is_one - chance)) - prior @ beta
            )
        found.append(beta[1:])
        halves.append(HALF * np.sqrt(np.diag(np.linalg.inv(information))[1:]))
    return np.stack(found, axis=1), np.stack(halves, axis=1)
