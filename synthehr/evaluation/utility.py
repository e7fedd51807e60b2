"""Whether a predictor trained on synthetic records does as well as one trained on real ones.

TSTR (train on synthetic, test on real) beside TRTR (train on real, test on real), for the
target and for every column in turn, always tested on real records that trained neither.

References
----------
Esteban et al., 2017, arXiv:1706.02633
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.metric import Estimate, between, bootstrap_weights
from synthehr.evaluation.results import SMALLEST, Calibration
from synthehr.evaluation.scores import Measure, Weighted, for_trees, mean_auroc_of, r2_of, trees
from synthehr.evaluation.views import View

TARGET_CELLS = 200_000
TARGET_ROWS = 20_000
TARGET_LEVELS = 20
TURN_ROWS = 3_000
TURN_LEVELS = 6
TARGET_TREES: dict[str, Any] = {"max_iter": 150}
TURN_TREES: dict[str, Any] = {"max_iter": 20, "max_leaf_nodes": 15, "learning_rate": 0.2}


class Target(NamedTuple):
    """The column `j` to predict: how it is scored, its classes (0 for a regression), the trees."""

    j: int
    measure: Measure
    classes: int
    trees: Mapping[str, Any]


class Prediction(NamedTuple):
    """A trained predictor's answers on the test records.

    Attributes
    ----------
    figure : callable
        AUROC or R2 as a function of weights of the test records that have a target.
    shares : ndarray of shape (n, classes) or None
        Predicted probabilities of a classification.
    """

    figure: Weighted
    shares: NDArray[np.float64] | None


class Utility(NamedTuple):
    """TSTR and TRTR of one column, their ratio, and how well calibrated both are.

    `figures` are both scores as functions of weights of the test records that have a target,
    which `known`, of shape (n,), bool, says.
    """

    measure: Measure
    synthetic: Estimate
    real: Estimate
    ratio: Estimate
    calibration: tuple[Calibration, ...]
    figures: tuple[Weighted, Weighted]
    known: NDArray[np.bool_]


class Turn(NamedTuple):
    """TSTR and TRTR of one column when every column is predicted in turn."""

    j: int
    measure: Measure
    synthetic: float
    real: float


def target_utility(
    j: int,
    real: View,
    synthetic: View,
    test: View,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rows: int = TARGET_ROWS,
    settings: Mapping[str, Any] = TARGET_TREES,
) -> Utility | None:
    """Predict one column from all the others after training on either table.

    Parameters
    ----------
    j : int
        Index of the target.
    real, synthetic : View
        What the two predictors are trained on.
    test : View
        Real records of other patients.
    categorical : ndarray of shape (D,), bool
        Which columns hold codes.
    rng : Generator
        Draws subsamples and resamples.
    rows : int
        Most records of either to train on.
    settings : mapping
        What the trees are made with.

    Returns
    -------
    Utility or None
        None when the target does not vary among the test records. Intervals are over the
        test patients; the luck of the training is not in them.
    """
    real, synthetic = real.sample(rows, rng), synthetic.sample(rows, rng)
    views = [real, synthetic, test]
    target, columns = _target(j, views, categorical, TARGET_LEVELS, settings, ranks=False)
    known = ~np.isnan(columns[2])
    if len(np.unique(columns[2][known])) < 2:
        return None
    of_real = _predict(target, real, columns[0], test, columns[2], categorical)
    of_synthetic = _predict(target, synthetic, columns[1], test, columns[2], categorical)
    if of_real is None or of_synthetic is None:
        return None
    weights = bootstrap_weights(test.patients[known], rng)
    a = np.array([of_synthetic.figure(w) for w in weights])
    b = np.array([of_real.figure(w) for w in weights])
    tstr, trtr = of_synthetic.figure(None), of_real.figure(None)
    curves = ()
    if target.classes == 2 and of_real.shares is not None and of_synthetic.shares is not None:
        truth = columns[2][known] == 1
        curves = (
            _calibration("real", truth, of_real.shares[:, 1]),
            _calibration("synthetic", truth, of_synthetic.shares[:, 1]),
        )
    return Utility(
        target.measure,
        between(tstr, a),
        between(trtr, b),
        between(tstr / trtr, a / b),
        curves,
        (of_synthetic.figure, of_real.figure),
        known,
    )


def every_column(
    real: View,
    synthetic: View,
    test: View,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
    clock: Clock,
    *,
    until: float = 0.9,
) -> tuple[list[Turn], Estimate, Estimate]:
    """Predict every column in turn from all the others, in a seeded order, while there is time.

    Returns
    -------
    turns : list of Turn
        Columns that could be predicted; R2 is of ranks, so that a long tail does not decide.
    synthetic, real : Estimate
        Mean skill after training on either: 2 AUROC - 1 or R2, not below 0.
    """
    real, synthetic, test = (v.sample(TURN_ROWS, rng) for v in (real, synthetic, test))
    weights = bootstrap_weights(test.patients, rng, draws=50)
    turns: list[Turn] = []
    draws: list[NDArray[np.float64]] = []
    longest, tried = 0.0, 0
    for j in rng.permutation(len(categorical)):
        if not clock.allows(until, longest):
            break
        before = clock.spent
        tried += 1
        views = [real, synthetic, test]
        target, columns = _target(j, views, categorical, TURN_LEVELS, TURN_TREES, ranks=True)
        known = ~np.isnan(columns[2])
        both = [
            _predict(target, view, column, test, columns[2], categorical)
            for view, column in ((synthetic, columns[1]), (real, columns[0]))
        ]
        if both[0] is not None and both[1] is not None:
            figures = [prediction.figure for prediction in both if prediction is not None]
            turn = Turn(int(j), target.measure, figures[0](None), figures[1](None))
            if np.isfinite([turn.synthetic, turn.real]).all():
                turns.append(turn)
                resampled = [[figure(w[known]) for w in weights] for figure in figures]
                draws.append(_skill(np.array(resampled), target.measure))
        longest = max(longest, clock.spent - before)
    clock.cap("every column in turn", tried, len(categorical), "columns")
    if not turns:
        nothing = Estimate(float("nan"), float("nan"), float("nan"))
        return [], nothing, nothing
    spread = np.nanmean(draws, axis=0)
    means = [
        float(np.mean([_skill(np.array(turn[which]), turn.measure) for turn in turns]))
        for which in (2, 3)
    ]
    return turns, between(means[0], spread[0]), between(means[1], spread[1])


def _skill(figure: NDArray[np.float64], measure: Measure) -> NDArray[np.float64]:
    return np.maximum(2 * figure - 1 if measure == "AUROC" else figure, 0.0)


def _target(
    j: int,
    views: list[View],
    categorical: NDArray[np.bool_],
    most_levels: int,
    trees: Mapping[str, Any],
    *,
    ranks: bool,
) -> tuple[Target, list[NDArray[np.float64]]]:
    """Decide how to predict column j, and bring it to codes or numbers; the last view tests."""
    columns = [view.values[:, j] for view in views]
    if categorical[j]:
        codes = [np.minimum(column, most_levels - 1) for column in columns]
        classes = int(max(np.nanmax(c, initial=0) for c in codes)) + 1
        return Target(j, "AUROC", max(classes, 2), trees), codes
    tested = np.unique(columns[-1][~np.isnan(columns[-1])])
    if len(tested) <= most_levels:
        distinct = np.unique(np.concatenate(columns))
        distinct = distinct[~np.isnan(distinct)]
        if len(distinct) > most_levels:
            nearest = (tested[1:] + tested[:-1]) / 2
            codes = [np.searchsorted(nearest, c).astype(np.float64) for c in columns]
            distinct = tested
        else:
            codes = [np.searchsorted(distinct, c).astype(np.float64) for c in columns]
        for code, column in zip(codes, columns, strict=True):
            code[np.isnan(column)] = np.nan
        return Target(j, "AUROC", max(len(distinct), 2), trees), codes
    if ranks:
        reference = np.sort(columns[0][~np.isnan(columns[0])])
        if len(reference):
            columns = [_ranks(column, reference) for column in columns]
    return Target(j, "R2", 0, trees), columns


def _ranks(values: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    left = np.searchsorted(reference, values, side="left")
    right = np.searchsorted(reference, values, side="right")
    return np.where(np.isnan(values), np.nan, (left + right) / (2 * len(reference)))


def _predict(
    target: Target,
    train: View,
    column: NDArray[np.float64],
    test: View,
    truth: NDArray[np.float64],
    categorical: NDArray[np.bool_],
) -> Prediction | None:
    """Train on the records that have a target and answer for the test records that have one."""
    others = np.arange(len(categorical)) != target.j
    mask = categorical[others]
    has, tested = ~np.isnan(column), ~np.isnan(truth)
    if not others.any() or has.sum() < 2 * SMALLEST or tested.sum() < 2 * SMALLEST:
        return None
    x = for_trees(train.values[np.ix_(has, others)], mask)
    x_test = for_trees(test.values[np.ix_(tested, others)], mask)
    y, y_test = column[has], truth[tested]
    if target.measure == "R2":
        answers = trees("R2", mask, target.trees).fit(x, y).predict(x_test)
        return Prediction(r2_of(y_test, answers), None)
    shares = np.zeros((len(x_test), target.classes))
    present, counts = np.unique(y.astype(np.int64), return_counts=True)
    if len(present) < 2:
        shares[:, present] = 1.0
    else:
        # Early stopping splits by class, which a class of one record does not survive.
        stop: dict[str, Any] = {} if counts.min() > 1 else {"early_stopping": False}
        classifier = trees("AUROC", mask, {**target.trees, **stop})
        shares[:, present] = classifier.fit(x, y.astype(np.int64)).predict_proba(x_test)
    return Prediction(mean_auroc_of(y_test.astype(np.int64), shares), shares)


def _calibration(
    trained_on: Literal["real", "synthetic"],
    truth: NDArray[np.bool_],
    predicted: NDArray[np.float64],
) -> Calibration:
    """Sort by prediction and cut into tenths, or fewer parts that hold enough records."""
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, max(1, min(10, len(order) // (2 * SMALLEST))))
    return Calibration(
        trained_on,
        tuple(float(predicted[part].mean()) for part in parts),
        tuple(float(truth[part].mean()) for part in parts),
        tuple(len(part) for part in parts),
    )


def calibration_error(curve: Calibration) -> float:
    """Mean distance between predicted and observed share, weighted by the records in each bin."""
    gaps = np.abs(np.array(curve.predicted) - np.array(curve.observed))
    return float(np.average(gaps, weights=curve.counts))
