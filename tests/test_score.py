"""Prediction and scores: a model of all columns predicts each of them, and knows outliers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import refused, run

from synthehr import Synthesizer
from synthehr.errors import ConditionError, ConfigError


def patients(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.3
    return pd.DataFrame({
        "crp": np.round(np.where(ill, rng.normal(8, 1, n), rng.normal(2, 1, n)), 1),
        "ward": pd.Series(np.where(ill, "intensive", "north"), dtype="string"),
        "stage": np.where(ill, 3, rng.integers(0, 3, n)),
        "ill": ill,
    })  # fmt: skip


@cache
def fitted(model: str = "autoregressive") -> Synthesizer:
    quick = {"train": {"steps": 200, "batch_size": 256}}
    return Synthesizer(model, seed=0, settings=quick).fit(patients(2_000, 0))


@pytest.mark.parametrize("model", ["autoregressive", pytest.param("vae", marks=pytest.mark.slow)])
def test_a_column_is_predicted_from_the_others(model: str) -> None:
    other = patients(500, 1)
    chances = fitted(model).predict_proba(other[["crp", "ward"]], "ill")
    assert list(chances.columns) == [False, True] or set(chances.columns) == {False, True}
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-4)
    assert ((chances[True] > 0.5) == other["ill"]).mean() > 0.97


def test_nothing_known_is_the_share_and_the_column_itself_is_not_looked_at() -> None:
    other = patients(50, 2)
    nothing = pd.DataFrame({"crp": np.full(5, np.nan)})
    assert fitted().predict_proba(nothing, "ill")[True].mean() == pytest.approx(0.3, abs=0.06)
    with_it = fitted().predict_proba(other, "ill")
    pd.testing.assert_frame_equal(with_it, fitted().predict_proba(other.drop(columns="ill"), "ill"))


def test_numbers_of_few_values_are_levels() -> None:
    chances = fitted().predict_proba(patients(200, 3), "stage")
    assert list(chances.columns) == [0, 1, 2, 3]
    with pytest.raises(ConditionError, match="crp has no levels"):
        fitted().predict_proba(patients(10, 3), "crp")
    with pytest.raises(ConditionError, match="not modelled"):
        fitted().predict_proba(patients(10, 3), "nothing")


@pytest.mark.parametrize("model", ["autoregressive", pytest.param("vae", marks=pytest.mark.slow)])
def test_records_that_contradict_themselves_are_unlikely(model: str) -> None:
    good = patients(300, 4)
    bad = good.assign(ill=~good["ill"])
    likely, unlikely = fitted(model).log_prob(good), fitted(model).log_prob(bad)
    assert likely.shape == (300,)
    assert (likely > unlikely).mean() > 0.95


def test_a_model_without_a_likelihood_says_so() -> None:
    quick = {"train": {"steps": 5, "batch_size": 64}}
    gan = Synthesizer("gan", seed=0, settings=quick).fit(patients(300, 0))
    with pytest.raises(ConfigError, match="no likelihood"):
        gan.log_prob(patients(10, 5))


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = patients(120, 6)
    other.to_parquet(tmp_path / "records.parquet")
    fitted().save(tmp_path / "model.synthehr")
    output = tmp_path / "scores.parquet"
    words = ["score", tmp_path / "model.synthehr", tmp_path / "records.parquet", "-o", output]
    said = json.loads(run(capsys, *words, "--json").out)
    assert said["records"] == 120
    np.testing.assert_allclose(
        pd.read_parquet(output)["log_prob"], fitted().log_prob(other), atol=1e-4
    )
    assert "scores.parquet" in refused(run(capsys, *words))
    run(capsys, *words, "--force", "--column", "ward")
    assert set(pd.read_parquet(output).columns) == {"ward=intensive", "ward=north"}
    assert "crp" in refused(run(capsys, *words, "--force", "--column", "crp"))
