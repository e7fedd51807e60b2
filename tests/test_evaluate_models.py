"""Detection and utility: against a restatement of the independent scorer, and planted faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluated import patients, visits, with_column
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from synthehr.evaluation.calibration import calibration_lines
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.detection import detect, detect_by_column
from synthehr.evaluation.scores import auroc_of, average_precision_of, mean_auroc_of, r2_of
from synthehr.evaluation.utility import calibration_error, every_column, target_utility
from synthehr.evaluation.views import Views, align

LONG = 10_000.0


def as_scored(views: Views) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[bool]]:
    names = [c.name for c in views.columns]
    tables = [views.real, views.synthetic, views.holdout]
    a, b, c = (pd.DataFrame(t.values, columns=pd.Index(names)) for t in tables if t is not None)
    return a, b, c, views.categorical.tolist()


def boosted(categorical: list[bool], rounds: int) -> HistGradientBoostingClassifier:
    settings: dict[str, Any] = {"categorical_features": categorical, "max_iter": rounds}
    return HistGradientBoostingClassifier(random_state=0, **settings)


def scorer_detect(a: pd.DataFrame, b: pd.DataFrame, categorical: list[bool]) -> float:
    n = min(len(a), len(b), 10_000)
    x = pd.concat([a.sample(n, random_state=101), b.sample(n, random_state=202)])
    x, y = x.reset_index(drop=True), np.r_[np.zeros(n), np.ones(n)]
    p = np.zeros(2 * n)
    for train, test in StratifiedKFold(5, shuffle=True, random_state=303).split(x, y):
        trees = boosted(categorical, 100)
        p[test] = trees.fit(x.iloc[train], y[train]).predict_proba(x.iloc[test])[:, 1]
    return float(roc_auc_score(y, p))


def scorer_utility(
    train: pd.DataFrame, test: pd.DataFrame, target: str, categorical: list[bool]
) -> float:
    mask = [m for name, m in zip(train.columns, categorical, strict=True) if name != target]
    trees = boosted(mask, 150).fit(train.drop(columns=target), train[target].astype(int))
    p = trees.predict_proba(test.drop(columns=target))[:, 1]
    return float(roc_auc_score(test[target], p))


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_detection_agrees_with_the_scorer(shift):
    views = align(patients(2500, 1), patients(2500, 2, shift=shift), patients(2500, 3))
    assert views.holdout is not None
    _, synthetic, holdout, categorical = as_scored(views)
    found = detect(
        views.holdout,
        views.synthetic,
        views.categorical,
        np.random.default_rng(0),
        Clock(LONG),
        importances=False,
    )
    assert found is not None
    theirs = scorer_detect(holdout, synthetic, categorical)
    assert found.auroc.value == pytest.approx(theirs, abs=0.015)
    assert found.auroc.low < theirs < found.auroc.high
    assert found.folds == 5


def test_utility_agrees_with_the_scorer():
    views = align(patients(2000, 1), patients(2000, 2, shift=2), patients(1500, 3))
    assert views.holdout is not None
    real, synthetic, holdout, categorical = as_scored(views)
    j = [c.name for c in views.columns].index("died")
    found = target_utility(
        j, views.real, views.synthetic, views.holdout, views.categorical, np.random.default_rng(0)
    )
    assert found is not None
    assert found.measure == "AUROC"
    tstr = scorer_utility(synthetic, holdout, "died", categorical)
    trtr = scorer_utility(real, holdout, "died", categorical)
    assert found.synthetic.value == pytest.approx(tstr, abs=1e-9)
    assert found.real.value == pytest.approx(trtr, abs=1e-9)
    assert found.ratio.value == pytest.approx(tstr / trtr)
    assert found.synthetic.low < tstr < found.synthetic.high
    assert [curve.trained_on for curve in found.calibration] == ["real", "synthetic"]
    for curve in found.calibration:
        assert sum(curve.counts) == 1500
        assert min(curve.counts) >= 10
        assert calibration_error(curve) < 0.15


def test_numbers_are_predicted_and_scored_by_r2():
    views = align(patients(1200, 1), patients(1200, 2), patients(1200, 3))
    assert views.holdout is not None
    j = [c.name for c in views.columns].index("pressure")
    found = target_utility(
        j, views.real, views.synthetic, views.holdout, views.categorical, np.random.default_rng(0)
    )
    assert found is not None
    assert found.measure == "R2"
    assert found.synthetic.value > 0.3
    assert found.calibration == ()


def test_detection_names_the_column_that_gives_the_fake_away():
    views = align(patients(1500, 1), patients(1500, 2, shift=3))
    names = [c.name for c in views.columns]
    found = detect(
        views.real, views.synthetic, views.categorical, np.random.default_rng(0), Clock(LONG)
    )
    assert found is not None
    assert found.importance is not None
    assert names[int(found.importance.argmax())] == "sodium"
    assert np.sort(found.importance)[-2] < 0.05 < found.importance.max()
    alone = detect_by_column(
        views.real, views.synthetic, views.categorical, np.random.default_rng(0)
    )
    assert alone[names.index("sodium")] == pytest.approx(0.76, abs=0.04)  # Φ(1 / √2)
    assert np.abs(np.delete(alone, names.index("sodium")) - 0.5).max() < 0.05


def test_a_column_snapped_to_a_grid_is_detected_alone():
    fake = patients(2000, 2)
    snapped = (fake.column("sodium").to_numpy() * 1).round()
    views = align(patients(2000, 1), with_column(fake, "sodium", snapped))
    alone = detect_by_column(
        views.real, views.synthetic, views.categorical, np.random.default_rng(0)
    )
    assert alone[[c.name for c in views.columns].index("sodium")] > 0.9


def test_patients_stay_together_in_the_folds():
    grouped = align(visits(60, 20, 1), visits(60, 20, 2), patient="patient_id")
    single = align(
        visits(60, 20, 1).drop_columns(["patient_id"]),
        visits(60, 20, 2).drop_columns(["patient_id"]),
    )
    areas = []
    for views in (grouped, single):
        found = detect(
            views.real,
            views.synthetic,
            views.categorical,
            np.random.default_rng(0),
            Clock(LONG),
            importances=False,
        )
        assert found is not None
        areas.append(found.auroc.value)
    assert areas[1] > 0.95  # each patient is recognised by the other records
    assert areas[0] < 0.7


def test_every_column_in_turn_shows_what_a_torn_table_lost():
    real, holdout = patients(1200, 1), patients(1200, 3)
    rng = np.random.default_rng(0)
    torn = patients(1200, 2)
    for name in torn.column_names:
        column = torn.column(name).combine_chunks()
        torn = with_column(torn, name, column.take(rng.permutation(1200)))
    views = align(real, torn, holdout)
    assert views.holdout is not None
    turns, synthetic, of_real = every_column(
        views.real, views.synthetic, views.holdout, views.categorical, rng, Clock(LONG)
    )
    assert len(turns) == len(views.columns)
    assert of_real.value > 0.2
    assert synthetic.value < of_real.value / 2
    assert synthetic.high < of_real.low


def test_no_time_means_no_turns_and_a_cap():
    views = align(patients(300, 1), patients(300, 2), patients(300, 3))
    assert views.holdout is not None
    clock = Clock(0.0)
    rng = np.random.default_rng(0)
    turns, _, _ = every_column(
        views.real, views.synthetic, views.holdout, views.categorical, rng, clock
    )
    assert turns == []
    assert clock.caps[0].used == 0


def test_areas_and_r2_with_weights_are_those_of_repeated_records():
    rng = np.random.default_rng(0)
    y, p = rng.random(200) < 0.4, rng.random(200).round(1)
    weights = rng.integers(0, 4, 200)
    again = np.repeat(np.arange(200), weights)
    theirs = roc_auc_score(y[again], p[again])
    assert auroc_of(y, p)(weights.astype(float)) == pytest.approx(theirs)
    theirs = average_precision_score(y[again], p[again])
    assert average_precision_of(y, p)(weights.astype(float)) == pytest.approx(theirs)
    levels, shares = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    theirs = mean_auroc_of(levels[again], shares[again])(None)
    assert mean_auroc_of(levels, shares)(weights.astype(float)) == pytest.approx(theirs)
    x, z = rng.random(200), rng.random(200)
    assert r2_of(x, z)(weights.astype(float)) == pytest.approx(r2_of(x[again], z[again])(None))


@pytest.mark.parametrize(("spread", "intercept", "slope"), [(1, 0, 1), (3, -6, 1.5), (0.01, 0, 30)])
def test_calibration_lines_are_logistic_regressions(spread, intercept, slope):
    rng = np.random.default_rng(0)
    odds = rng.normal(0, spread, 600)
    truth = rng.random(600) < 1 / (1 + np.exp(-intercept - slope * odds))
    weights = np.stack([np.ones(600), rng.integers(0, 4, 600)])
    lines = calibration_lines(odds, truth, weights)
    for line, weight in zip(lines, weights, strict=True):
        theirs = LogisticRegression(C=1e6, tol=1e-9, max_iter=10_000)
        theirs.fit(odds[:, None], truth, sample_weight=weight)
        assert line == pytest.approx([theirs.intercept_[0], theirs.coef_[0, 0]], rel=1e-3)


def test_calibration_lines_of_classes_apart_are_finite():
    odds = np.linspace(-3, 3, 50)
    ((intercept, slope),) = calibration_lines(odds, odds > 0.5, np.ones((1, 50)))
    assert np.isfinite(intercept) and slope > 50
