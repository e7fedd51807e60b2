"""What growing a rare class does to classifiers, beside what costs nothing.

The rarest level of the target against all others. Classifiers learn from the training records
as they are, by class weights, with copies, with SMOTENC, and with synthetic records of the
class, and are tested on real records as they are.

References
----------
van den Goorbergh et al., 2022, doi:10.1093/jamia/ocac093 (what it does to probabilities)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.calibration import calibration_lines
from synthehr.evaluation.group_results import RebalancingResult
from synthehr.evaluation.metric import Estimate, between, bootstrap_weights
from synthehr.evaluation.results import SMALLEST
from synthehr.evaluation.scores import auroc_of, average_precision_of, for_trees, trees
from synthehr.evaluation.task import Task
from synthehr.evaluation.utility import TARGET_LEVELS
from synthehr.evaluation.views import View
from synthehr.modes.classes import FEWEST, RATIO

RARE = 0.25
"""A class of a larger share is not rare."""
ROWS = 10_000
NEIGHBOURS = 5
TREES: dict[str, Any] = {"max_iter": 100}

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Grown(NamedTuple):
    """Records to learn from: X (n, D - 1), whether in the rare class, and class weights or not."""

    x: Matrix
    y: NDArray[np.bool_]
    weighted: bool = False


def rebalancing_results(task: Task, target: str | None) -> tuple[RebalancingResult, ...]:
    """Compare ways of dealing with the rarest level of the target; empty where none is rare."""
    if target is None or len(task.views.columns) < 2:
        return ()
    j = [column.name for column in task.views.columns].index(target)
    rng = task.rng("rebalancing")
    train, test = task.trained.sample(ROWS, rng), task.unseen.sample(ROWS, rng)
    chosen = _rare_level(task, j, train, test)
    if chosen is None:
        return ()
    if not task.clock.allows(0.6):
        task.clock.too_late("rebalancing")
        return ()
    task.clock.cap("rebalancing", ROWS, task.trained.rows, "training records")
    level, label = chosen
    categorical = np.delete(task.views.categorical, j)
    x, y = _split(train, j, level)
    x_test, y_test = _split(test, j, level)
    draws = bootstrap_weights(_patients(test, j), rng, draws=100)
    ways = _ways(task, j, level, x, y, categorical, rng)
    found = []
    for learner, fit in (("logistic regression", _logistic), ("boosted trees", _boosting)):
        for way, grown in ways.items():
            chance = fit(grown, categorical, x_test)
            seen = 0.5 if grown.weighted else float(grown.y.mean())
            found.append(
                RebalancingResult(
                    learner=learner,
                    way=way,
                    level=label,
                    patients=_held(train, j, level),
                    added=0 if grown.weighted else len(grown.y) - len(y),
                    **_figures(chance, y_test, seen, float(y.mean()), draws),
                )
            )
    return tuple(found)


def _rare_level(task: Task, j: int, train: View, test: View) -> tuple[float, str] | None:
    """Choose the rarest level that enough patients hold; None where that one is not rare."""
    column = train.values[:, j]
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if not 2 <= len(values) <= (TARGET_LEVELS if not task.views.categorical[j] else np.inf):
        return None
    for value, count in sorted(zip(values, counts, strict=True), key=lambda each: each[1]):
        if _held(train, j, value) >= FEWEST and _held(test, j, value) >= SMALLEST:
            levels = task.views.columns[j].levels
            label = levels[int(value)] if levels else f"{value:g}"
            return (float(value), label) if count <= RARE * counts.sum() else None
    return None


def _held(view: View, j: int, level: float) -> int:
    return len(np.unique(view.patients[view.values[:, j] == level]))


def _split(view: View, j: int, level: float) -> tuple[Matrix, NDArray[np.bool_]]:
    known = ~np.isnan(view.values[:, j])
    return np.delete(view.values[known], j, axis=1), view.values[known, j] == level


def _patients(view: View, j: int) -> NDArray[np.int64]:
    return view.patients[~np.isnan(view.values[:, j])]


def _ways(
    task: Task,
    j: int,
    level: float,
    x: Matrix,
    y: NDArray[np.bool_],
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
) -> dict[str, Grown]:
    """Make the tables to learn from."""
    missing = max(0, round(RATIO * int((~y).sum())) - int(y.sum()))
    copies = rng.choice(np.flatnonzero(y), missing)
    x_made, y_made = _split(task.views.synthetic, j, level)
    made = rng.permutation(np.flatnonzero(y_made))[:missing]
    ways = {
        "as they are": Grown(x, y),
        "class weights": Grown(x, y, weighted=True),
        "copies": _grown(x, y, x[copies]),
    }
    if find_spec("imblearn") is None:
        task.clock.give_up("rebalancing by SMOTENC", "imbalanced-learn is not installed")
    else:
        ways["SMOTENC"] = _grown(x, y, _smotenc(x, y, missing, categorical, rng))
    if len(made):
        ways["synthetic records"] = _grown(x, y, x_made[made])
    return ways


def _grown(x: Matrix, y: NDArray[np.bool_], added: Matrix) -> Grown:
    return Grown(np.vstack([x, added]), np.concatenate([y, np.ones(len(added), dtype=bool)]))


def _smotenc(
    x: Matrix,
    y: NDArray[np.bool_],
    missing: int,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Matrix:
    """Make records between neighbours in the class; nulls become medians, or a level."""
    over = import_module("imblearn.over_sampling")
    filled = _filled(x, categorical)
    wanted: Any = {"sampling_strategy": {True: int(y.sum()) + missing}}
    wanted |= {"random_state": int(rng.integers(2**31)), "k_neighbors": NEIGHBOURS}
    if categorical.all():
        sampler = over.SMOTEN(**wanted)
    elif categorical.any():
        sampler = over.SMOTENC(np.flatnonzero(categorical).tolist(), **wanted)
    else:
        sampler = over.SMOTE(**wanted)
    return sampler.fit_resample(filled, y)[0][len(x) :]


def _filled(x: Matrix, categorical: NDArray[np.bool_]) -> Matrix:
    with np.errstate(all="ignore"):
        medians = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0 for c in x.T])
    return np.where(np.isnan(x), np.where(categorical, -1.0, medians), x)


def _logistic(grown: Grown, categorical: NDArray[np.bool_], x_test: Matrix) -> Vector:
    from sklearn.compose import make_column_transformer
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    levels = OneHotEncoder(handle_unknown="ignore", min_frequency=SMALLEST)
    columns = make_column_transformer(
        (make_pipeline(numbers, StandardScaler()), np.flatnonzero(~categorical)),
        (levels, np.flatnonzero(categorical)),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000, class_weight=_weight(grown)))
    with warnings.catch_warnings():
        # the last digits of a fit do not matter
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(grown.x, grown.y)
    return model.predict_proba(x_test)[:, 1]


def _boosting(grown: Grown, categorical: NDArray[np.bool_], x_test: Matrix) -> Vector:
    model = trees("AUROC", categorical, TREES | {"class_weight": _weight(grown)})
    model.fit(for_trees(grown.x, categorical), grown.y)
    return model.predict_proba(for_trees(x_test, categorical))[:, 1]


def _weight(grown: Grown) -> str | None:
    return "balanced" if grown.weighted else None


def _figures(
    chance: Vector, truth: NDArray[np.bool_], seen: float, share: float, draws: Matrix
) -> dict[str, Estimate]:
    """Score chances; calibration once the class shares before growing are put back."""
    odds = np.log(np.clip(chance, 1e-6, 1 - 1e-6) / np.clip(1 - chance, 1e-6, 1))
    restored = odds + np.log(share / (1 - share)) - np.log(seen / (1 - seen))
    inside = 1 / (1 + np.exp(-restored))

    def balanced(weights: Vector) -> float:
        right = (chance >= 0.5) == truth
        return 0.5 * sum(float(np.average(right[c], weights=weights[c])) for c in (truth, ~truth))

    scores: dict[str, Callable[[Vector], float]] = {
        "auroc": auroc_of(truth, chance),
        "auprc": average_precision_of(truth, chance),
        "balanced_accuracy": balanced,
        "brier": lambda w: float(np.average((inside - truth) ** 2, weights=w)),
    }
    draws = draws[(draws[:, truth].sum(1) > 0) & (draws[:, ~truth].sum(1) > 0)]
    every = np.vstack([np.ones(len(truth)), draws])
    found = {name: [score(weights) for weights in every] for name, score in scores.items()}
    found["intercept"], found["slope"] = calibration_lines(restored, truth, every).T.tolist()
    return {name: between(values[0], np.array(values[1:])) for name, values in found.items()}
