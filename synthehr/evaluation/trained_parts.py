"""Parts of an evaluation that train boosted trees, and so take most of the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from synthehr.evaluation.detection import FOLDS, ROWS, detect, detect_by_column
from synthehr.evaluation.groups import group_results
from synthehr.evaluation.task import Found, Task, figure
from synthehr.evaluation.utility import (
    TARGET_CELLS,
    TARGET_LEVELS,
    TARGET_ROWS,
    Utility,
    calibration_error,
    every_column,
    target_utility,
)
from synthehr.evaluation.views import View

IMPORTANCE_COLUMNS = 300


def measure_detection(task: Task) -> Found:
    """Tell synthetic from held-out records, by all columns and by each alone."""
    views, clock = task.views, task.clock
    against, synthetic, categorical = task.against, views.synthetic, views.categorical
    alone = detect_by_column(against, synthetic, categorical, task.rng("detection"))
    base = detect_by_column(task.unseen, task.trained, categorical, task.rng("detection"))
    columns: dict[str, list[Any]] = {"detection": list(alone), "detection_ceiling": list(base)}
    few = len(categorical) <= IMPORTANCE_COLUMNS
    found = detect(
        against, synthetic, categorical, task.rng("detection"), clock, importances=few, until=0.4
    )
    if found is None:
        if min(against.n_patients, synthetic.n_patients) < 2 * FOLDS:
            clock.give_up("detection", "there are fewer than 10 patients in a table")
        else:
            clock.too_late("detection")
        return Found(columns=columns)
    best = detect(
        task.unseen, task.trained, categorical, task.rng("detection"), clock,
        importances=False, until=0.6,
    )  # fmt: skip
    n = min(against.rows, synthetic.rows)
    clock.cap("detection", min(n, ROWS), n, "records of each table")
    clock.cap("detection", found.folds, FOLDS, "folds")
    if found.importance is not None:
        columns["importance"] = list(found.importance)
    which = "held-out" if views.holdout is not None else "real"
    said = f"Boosted trees, 5-fold, {min(n, ROWS)} synthetic against as many {which} records."
    ceiling = None if best is None else best.auroc.value
    return Found(
        figure("detection", "detection_auroc", found.auroc, ceiling, "lower", said), columns
    )


def measure_target(task: Task, target: str | None, groups: Sequence[str]) -> Found:
    """Predict the target after training on synthetic and on real records, in groups, too."""
    found, utility = _measure_target(task, target)
    return replace(found, groups=group_results(task, groups, utility))


def _measure_target(task: Task, target: str | None) -> tuple[Found, Utility | None]:
    views = task.views
    if target is None:
        return Found(), None
    j = [column.name for column in views.columns].index(target)
    models = min(max(1, len(views.columns[j].levels) - 1), TARGET_LEVELS)
    most = max(TARGET_ROWS, TARGET_CELLS // (models + 1))
    rows = min(views.real.rows, most) + min(views.synthetic.rows, most)
    # Training takes half as many rounds again as detection, and as many models as levels.
    if not task.clock.allows(0.9, 1.5 * task.clock.pace * rows * models):
        task.clock.too_late("prediction of the target")
        return Found(), None
    found = target_utility(
        j, task.trained, _as_many(task), task.unseen, views.categorical, task.rng("target"),
        rows=most,
    )  # fmt: skip
    task.clock.cap("prediction of the target", most, task.trained.rows, "training records")
    if found is None:
        task.clock.give_up("prediction of the target", "it does not vary, or too few hold it")
        return Found(), None
    name = f"target_{found.measure.lower()}"
    tested = "held-out" if views.holdout is not None else "other half of the real"
    said = f"Trained on synthetic, tested on {task.unseen.rows} {tested} records."
    metrics = figure("utility", name, found.synthetic, found.real.value, "higher", said)
    metrics += figure("utility", "target_ratio", found.ratio, 1.0, "higher",
                       "Trained on synthetic over trained on real.")  # fmt: skip
    if found.calibration:
        errors = {curve.trained_on: calibration_error(curve) for curve in found.calibration}
        metrics += figure("utility", "calibration_error", errors["synthetic"], errors["real"],
                           "lower", "Mean distance of predicted from observed shares.")  # fmt: skip
    return Found(metrics, calibration=found.calibration), found


def _as_many(task: Task) -> View:
    """Take synthetic records to train on: no more than real ones, where those are a half."""
    if task.views.holdout is not None:
        return task.views.synthetic
    return task.views.synthetic.sample(task.trained.rows, task.rng("target"))


def measure_every_column(task: Task) -> Found:
    """Predict every column in turn after training on synthetic and on real records."""
    views = task.views
    if len(views.columns) < 2:
        return Found()
    turns, synthetic, real = every_column(
        task.trained, _as_many(task), task.unseen, views.categorical, task.rng("turn"), task.clock
    )
    if not turns:
        task.clock.too_late("prediction of every column in turn")
        return Found()
    by_column = {turn.j: turn for turn in turns}
    order = [by_column.get(j) for j in range(len(views.columns))]
    columns: dict[str, list[Any]] = {
        "utility_measure": [None if turn is None else turn.measure for turn in order],
        "utility_real": [None if turn is None else turn.real for turn in order],
        "utility_synthetic": [None if turn is None else turn.synthetic for turn in order],
    }
    said = f"Mean of 2·AUROC − 1, or of R2 of ranks, over {len(turns)} columns in turn."
    return Found(figure("utility", "every_column", synthetic, real.value, "higher", said), columns)
