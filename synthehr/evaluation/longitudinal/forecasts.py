"""Predicting the next visit from those before, after training on synthetic or on real visits.

Numbers are predicted as quantiles of the real ones, so that a long tail does not decide.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.histories import pooled
from synthehr.evaluation.longitudinal.resampled import Draws, Figures, Resampled
from synthehr.evaluation.longitudinal.timeline import Timeline
from synthehr.evaluation.scores import SHALLOW, for_trees, trees
from synthehr.evaluation.views import Compared

MOST_NUMBERS = 4
MOST_LEVELS = 2
MOST_FEATURES = 24
MOST_VISITS = 5_000
FEWEST = 100
"""Visits that hold a value, without which it is not predicted."""
CLASSES = 6
"""Levels beyond the commonest are one."""


class _Problem(NamedTuple):
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rows: NDArray[np.int64]


def forecast(
    train: Timeline,
    test: Resampled,
    real: Timeline,
    columns: tuple[Compared, ...],
    static: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Figures:
    """Predict the columns that are measured most often, and give their errors.

    Parameters
    ----------
    train : Timeline
        What the predictors learn from.
    test : Resampled
        Real visits of other patients.
    real : Timeline
        Whose quantiles numbers are told in, and whose nulls choose the columns.
    columns, static
        The D columns, and which of them never change.
    rng : Generator
        Draws at most `MOST_VISITS` visits of either table.
    """
    chosen = _chosen(real, columns, static)
    features = _features(real, static, chosen)
    is_category = np.array([columns[j].kind == "category" for j in features] + [False] * 3)
    before = [_known_before(line, columns, features) for line in (train, test.line)]
    found: Figures = {}
    for j in chosen:
        name = "next_level" if columns[j].kind == "category" else "next_value"
        sides = [
            _problem(line, carried, j, rng)
            for line, carried in zip((train, test.line), before, strict=True)
        ]
        if min(len(side.y) for side in sides) >= FEWEST:
            found[(name, columns[j].name)] = _error(sides, test, j, real, is_category, name)
    return found


def _chosen(real: Timeline, columns: tuple[Compared, ...], static: NDArray[np.bool_]) -> list[int]:
    nulls = np.isnan(real.values).mean(axis=0)
    changing = sorted(np.flatnonzero(~static).tolist(), key=lambda j: nulls[j])
    numbers = [j for j in changing if columns[j].kind != "category"][:MOST_NUMBERS]
    return numbers + [j for j in changing if columns[j].kind == "category"][:MOST_LEVELS]


def _features(real: Timeline, static: NDArray[np.bool_], chosen: list[int]) -> list[int]:
    """Take what is predicted, then what is static, then what is measured most often."""
    nulls = np.isnan(real.values).mean(axis=0)
    rest = sorted(range(len(static)), key=lambda j: (j not in chosen, not static[j], nulls[j]))
    return rest[:MOST_FEATURES]


def _known_before(
    line: Timeline, columns: tuple[Compared, ...], features: list[int]
) -> NDArray[np.float64]:
    """Tell each of `later` the last values, visits and time so far, and time to this visit."""
    known = []
    for j in features:
        last = np.where(np.isnan(line.values[:, j]), -1, np.arange(line.rows))
        last = np.maximum.accumulate(last)[line.later - 1]
        own = last >= line.offsets[line.patients[line.later]]
        values = np.where(own, line.values[np.maximum(last, 0), j], np.nan)
        known.append(pooled(values, columns[j]))
    start = line.times[line.offsets[line.patients[line.later]]]
    known += [line.visit[line.later], line.times[line.later - 1] - start, line.gaps]
    return np.stack(known, axis=1)


def _problem(
    line: Timeline, before: NDArray[np.float64], j: int, rng: np.random.Generator
) -> _Problem:
    truth = line.values[line.later, j]
    held = np.flatnonzero(~np.isnan(truth))
    held = np.sort(rng.permutation(held)[:MOST_VISITS])
    return _Problem(before[held], truth[held], line.later[held])


def _error(
    sides: list[_Problem],
    test: Resampled,
    j: int,
    real: Timeline,
    is_category: NDArray[np.bool_],
    name: str,
) -> Draws:
    """Mean error on the tested visits, as it is and with their patients resampled."""
    learned, tested = sides
    x, x_test = (for_trees(side.x, is_category) for side in sides)
    if name == "next_level":
        y, truth = (np.minimum(side.y, CLASSES - 1).astype(np.int64) for side in sides)
        if len(np.unique(y)) < 2:
            errors = truth != y[0]
        else:
            stop = (
                {} if np.unique(y, return_counts=True)[1].min() > 1 else {"early_stopping": False}
            )
            model = trees("AUROC", is_category, {**SHALLOW, **stop}).fit(x, y)
            errors = model.predict(x_test) != truth
    else:
        reference = np.sort(real.values[~np.isnan(real.values[:, j]), j])
        y, truth = (_quantiles(side.y, reference) for side in (learned, tested))
        model = trees("R2", is_category, SHALLOW).fit(x, y)
        errors = np.abs(model.predict(x_test) - truth)
    who = test.line.patients[tested.rows]
    sums = test.totals(who, np.stack([errors, np.ones(len(errors))], axis=1).astype(np.float64))
    return sums[0] / np.maximum(sums[1], 1)


def _quantiles(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    left = np.searchsorted(reference, values, side="left")
    right = np.searchsorted(reference, values, side="right")
    return (left + right) / (2 * len(reference))
