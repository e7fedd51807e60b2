"""How faithful and how useful the synthetic table is within groups of patients.

A figure of the whole table can hide a group that was learned badly. Groups are the levels of a
column, or the thirds of a number; those of few patients are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.fidelity import shapes
from synthehr.evaluation.group_results import GroupResult
from synthehr.evaluation.metric import Estimate, between, bootstrap_weights
from synthehr.evaluation.scores import Weighted
from synthehr.evaluation.task import Task, mean_of
from synthehr.evaluation.utility import Utility
from synthehr.evaluation.views import View, Views

LEAST_PATIENTS = 50
"""A group of fewer real patients is left out."""
MOST_GROUPS = 12
"""So many groups of a column, the largest, are told."""
USUAL = ("sex", "gender", "race", "ethnicity", "ethnic_group")
"""Columns that are taken for groups where none are named."""
THIRDS = ("lowest third", "middle third", "highest third")


def usual_groups(views: Views) -> list[str]:
    """Name the columns that hold groups by their names."""
    return [column.name for column in views.columns if column.name.lower() in USUAL]


def group_results(
    task: Task, names: Sequence[str], utility: Utility | None
) -> tuple[GroupResult, ...]:
    """Compare real and synthetic records within groups.

    Parameters
    ----------
    task : Task
        The tables.
    names : sequence of str
        Columns whose levels are the groups.
    utility : Utility or None
        How the target is predicted, if it is.
    """
    found: list[GroupResult] = []
    order = [column.name for column in task.views.columns]
    for name in names:
        found += _of_column(task, order.index(name), utility)
    return tuple(found)


def _of_column(task: Task, j: int, utility: Utility | None) -> list[GroupResult]:
    column, real = task.views.columns[j], task.views.real
    views = (real, task.views.synthetic, task.trained, task.unseen)
    if column.kind == "category":
        codes, labels = [view.values[:, j] for view in views], column.levels
    else:
        known = real.values[:, j][~np.isnan(real.values[:, j])]
        if not len(known):
            return []
        cuts = np.quantile(known, [1 / 3, 2 / 3])
        codes, labels = [_thirds(view.values[:, j], cuts) for view in views], THIRDS
    sizes = [_patients(real, codes[0] == code) for code in range(len(labels))]
    largest = sorted(range(len(labels)), key=lambda code: -sizes[code])[:MOST_GROUPS]
    return [
        _one(task, j, labels[code], [each == code for each in codes], utility)
        for code in sorted(largest)
        if sizes[code] >= LEAST_PATIENTS
    ]


def _one(
    task: Task, j: int, label: str, masks: list[NDArray[np.bool_]], utility: Utility | None
) -> GroupResult:
    categorical = task.views.categorical
    views = (task.against, task.views.synthetic, task.trained, task.unseen)
    against = masks[3] if task.views.holdout is not None else masks[0]
    parts = [_rows(view, mask) for view, mask in zip(views, (against, *masks[1:]), strict=True)]
    others = np.arange(len(categorical)) != j
    shape, ceiling = (
        mean_of(shapes(parts[a], parts[b], categorical)[others]) for a, b in ((0, 1), (2, 3))
    )
    of_synthetic = of_real = None
    if utility is not None:
        tested = masks[3][utility.known]
        draws = bootstrap_weights(task.unseen.patients[utility.known], task.rng("target"))
        of_synthetic = _within(utility.figures[0], tested, draws)
        of_real = _within(utility.figures[1], tested, draws)
    return GroupResult(
        column=task.views.columns[j].name,
        group=label,
        records=int(masks[0].sum()),
        share_real=float(masks[0].mean()),
        share_synthetic=float(masks[1].mean()),
        shape=shape,
        shape_ceiling=ceiling,
        utility_measure=None if utility is None else utility.measure,
        utility_synthetic=of_synthetic,
        utility_real=of_real,
    )


def _within(
    figure: Weighted, tested: NDArray[np.bool_], draws: NDArray[np.float64]
) -> Estimate | None:
    """Score a predictor on the records of one group; None where it has no score there."""
    value = figure(tested.astype(np.float64))
    if not np.isfinite(value):
        return None
    return between(value, np.array([figure(weights * tested) for weights in draws]))


def _rows(view: View, mask: NDArray[np.bool_]) -> View:
    return view.take(np.flatnonzero(mask))


def _patients(view: View, mask: NDArray[np.bool_]) -> int:
    return len(np.unique(view.patients[mask]))


def _thirds(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.float64]:
    codes = np.searchsorted(cuts, values).astype(np.float64)
    codes[np.isnan(values)] = np.nan
    return codes
