"""All figures of a table, in the order of the report, inside a time box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synthehr.evaluation.attacks.parts import measure_disclosure, measure_membership
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.groups import usual_groups
from synthehr.evaluation.histograms import histograms
from synthehr.evaluation.parts import (
    measure_coverage,
    measure_fidelity,
    measure_missingness,
    measure_outliers,
    measure_sdmetrics,
    measure_similarity,
)
from synthehr.evaluation.rebalancing import rebalancing_results
from synthehr.evaluation.results import ColumnResult, Results
from synthehr.evaluation.task import Found, Informed, Task, generator_of
from synthehr.evaluation.trained_parts import (
    measure_detection,
    measure_every_column,
    measure_target,
)
from synthehr.evaluation.views import Views

ORDER = ("fidelity", "detection", "utility", "missingness", "coverage", "privacy", "similarity")
"""Sections in the order of the report."""


def measure(
    views: Views,
    *,
    target: str | None = None,
    seed: int = 0,
    seconds: float = 60.0,
    informed: Mapping[str, Informed] | None = None,
    groups: Sequence[str] | None = None,
) -> Results:
    """Measure everything about aligned tables.

    Parameters
    ----------
    views : Views
        Real, synthetic and, possibly, held-out records.
    target : str or None
        The column whose prediction is scored; None leaves that out.
    seed : int
        Seed of every subsample and resample.
    seconds : float
        The time box: parts that do not fit are left out and listed, none is changed by it.
    informed : mapping of str to callable, optional
        Membership attacks that know more than the synthetic table.
    groups : sequence of str, optional
        Columns whose levels are groups of patients; by default those that are called so.
    """
    clock = Clock(seconds)
    holdout = views.holdout
    halves = views.real.halves(generator_of(seed, "halves")) if holdout is None else None
    trained, unseen = halves or (views.real, holdout or views.real)
    task = Task(views, trained, unseen, seed, clock, informed or {})
    found = [
        measure_fidelity(task),
        measure_missingness(task),
        measure_coverage(task),
        measure_outliers(task),
        measure_detection(task),
    ]
    found += [
        measure_similarity(task),
        measure_membership(task),
        measure_disclosure(task),
        measure_target(task, target, usual_groups(views) if groups is None else groups),
        Found(rebalancing=rebalancing_results(task, target)),
        measure_every_column(task),
        measure_sdmetrics(task),
    ]
    metrics = [metric for part in found for metric in part.metrics]
    metrics.sort(key=lambda m: ORDER.index(m.section) if m.section in ORDER else len(ORDER))
    tables = (views.real, views.synthetic, holdout)
    return Results(
        metrics=tuple(metrics),
        columns=_columns(views, found),
        pairs=found[0].pairs,
        histograms=histograms(views),
        calibration=tuple(curve for part in found for curve in part.calibration),
        rare_levels=tuple(band for part in found for band in part.rare_levels),
        caps=tuple(clock.caps),
        not_measurable=tuple(clock.not_measurable),
        rows=_counts([0 if table is None else table.rows for table in tables]),
        patients=_counts([0 if table is None else table.n_patients for table in tables]),
        ceiling_from="halves" if holdout is None else "holdout",
        target=target,
        seed=seed,
        seconds=clock.spent,
        membership=tuple(result for part in found for result in part.membership),
        disclosure=tuple(result for part in found for result in part.disclosure),
        groups=tuple(result for part in found for result in part.groups),
        rebalancing=tuple(result for part in found for result in part.rebalancing),
    )


def _counts(numbers: list[int]) -> tuple[int, int, int]:
    return numbers[0], numbers[1], numbers[2]


def _columns(views: Views, found: list[Found]) -> tuple[ColumnResult, ...]:
    columns = [ColumnResult(name=column.name, kind=column.kind) for column in views.columns]
    for part in found:
        for attribute, values in (part.columns or {}).items():
            columns = [
                replace(column, **{attribute: _finite(value)})
                for column, value in zip(columns, values, strict=True)
            ]
    return tuple(columns)


def _finite(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
