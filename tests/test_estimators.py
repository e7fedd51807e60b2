"""The faces that scikit-learn knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthehr import SynthImputer

QUICK = {"train": {"steps": 3}}


def patients(n: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Mixed columns with holes, and who dies: a lab that is often missing decides, mostly."""
    rng = np.random.default_rng(seed)
    dies = rng.random(n) < 0.4
    lab = np.where(dies, 6.0, 2.0) + rng.normal(0, 1, n)
    frame = pd.DataFrame({
        "lab": lab,
        "twin": np.round(lab + rng.normal(0, 0.3, n), 1),
        "unit": pd.Series(rng.choice(["a", "b"], n), dtype="string"),
        "age": pd.Series(rng.integers(20, 90, n), dtype="Int64"),
    })  # fmt: skip
    for name in frame.columns:
        frame.loc[rng.random(n) < 0.2, name] = pd.NA
    return frame, dies.astype(int)


@parametrize_with_checks([SynthImputer(settings=QUICK, random_state=0)])
def test_the_checks_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.slow
def test_a_pipeline_of_mixed_columns() -> None:
    X, y = patients(1_200, 0)
    imputer = SynthImputer(settings={"train": {"steps": 400}}, random_state=1)
    filled = imputer.fit_transform(X)
    assert list(imputer.get_feature_names_out()) == list(X.columns)
    assert not filled.isna().any().any()
    assert filled.dtypes.equals(X.dtypes)
    gone = X["lab"].isna() & X["twin"].notna()
    error = filled["lab"][gone] - X["twin"][gone]
    assert error.std() < 0.7 * X["lab"].std()
    numbers = ["lab", "twin", "age"]
    model = make_pipeline(clone(imputer), HistGradientBoostingClassifier(max_iter=20))
    assert model.fit(X[numbers], y).score(*_numbers(patients(400, 2), numbers)) > 0.9


def _numbers(
    pair: tuple[pd.DataFrame, np.ndarray], names: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    return pair[0][names], pair[1]


def test_a_search_over_its_settings() -> None:
    X, y = patients(300, 3)
    X = X[["lab", "twin"]].astype(float)
    search = GridSearchCV(
        make_pipeline(SynthImputer(settings=QUICK, random_state=0), LogisticRegression()),
        {"synthimputer__sample_posterior": [False, True]},
        cv=2,
    ).fit(X, y)
    assert search.best_score_ > 0.8


@pytest.mark.slow
def test_draws_vary_more_than_means_and_come_back_from_a_seed() -> None:
    X, _ = patients(600, 4)
    steps = {"train": {"steps": 150}}
    drawn, mean = (
        SynthImputer(settings=steps, sample_posterior=sample, random_state=0).fit(X).transform(X)
        for sample in (True, False)
    )
    gone = X["lab"].isna()
    assert drawn["lab"][gone].std() > mean["lab"][gone].std()
    again = SynthImputer(settings=steps, sample_posterior=True, random_state=0).fit_transform(X)
    pd.testing.assert_frame_equal(drawn, again)


def test_arrays_stay_arrays_and_an_index_stays() -> None:
    X, _ = patients(200, 5)
    imputer = SynthImputer(settings=QUICK, random_state=0)
    array = X[["lab", "twin"]].to_numpy(dtype=np.float32)
    filled = imputer.fit_transform(array)
    assert filled.dtype == np.float32
    assert np.array_equal(filled[~np.isnan(array)], array[~np.isnan(array)])
    mixed = X.astype(object).where(X.notna(), None).to_numpy()
    assert imputer.fit_transform(mixed).dtype == object
    X.index = pd.Index(range(1_000, 1_200))
    assert imputer.fit_transform(X).index.equals(X.index)


def test_holes_and_texts_are_welcome_by_its_tags() -> None:
    tags = SynthImputer().__sklearn_tags__()
    assert tags.input_tags.allow_nan
    assert tags.input_tags.string
    with pytest.raises(ValueError, match="minimum of 2"):
        SynthImputer(settings=QUICK).fit([[1.0, 2.0]])
