"""Rebalancing: what is there stays, what is rare gets company, and probabilities come back."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from commands import refused, run
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from synthehr import Synthesizer, SynthResampler
from synthehr.demo import simulate
from synthehr.errors import ConditionError, ConfigError, InputError
from synthehr.modes.constraints import Rules
from synthehr.modes.prior import PriorCorrection
from synthehr.run.rebalancing import Rebalanced, rebalance

QUICK = {"train": {"steps": 250, "batch_size": 256}}


def patients(n: int, seed: int, rare: float = 0.06) -> pd.DataFrame:
    """A lab that tells the rare diagnosis, with holes."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < rare
    frame = pd.DataFrame({
        "diagnosis": pd.Series(np.where(ill, "sepsis", "none"), dtype="string"),
        "sex": pd.Series(rng.choice(["F", "M"], n), dtype="string"),
        "crp": np.round(rng.normal(0, 1, n) + np.where(ill, 3.0, 0.0), 2),
        "age": rng.integers(20, 90, n),
    })  # fmt: skip
    frame.loc[rng.random(n) < 0.1, "crp"] = np.nan
    return frame


@cache
def fitted() -> Synthesizer:
    return Synthesizer(seed=0, settings=QUICK).fit(patients(3_000, 0))


def balanced(to: Any = 0.5, targets: tuple[str, ...] = ("diagnosis",), **more: Any) -> Rebalanced:
    table = pa.Table.from_pandas(patients(3_000, 0), preserve_index=False)
    return rebalance(fitted().artifact, table, targets, to, seed=1, **more)


def test_rare_classes_grow_to_the_ratio_and_real_records_stay() -> None:
    real = pa.Table.from_pandas(patients(3_000, 0), preserve_index=False)
    found = balanced()
    assert found.table.slice(0, 3_000).drop_columns(["synthetic"]).equals(real)
    frame = found.table.to_pandas()
    assert not frame["synthetic"][:3_000].any()
    assert frame["synthetic"][3_000:].all()
    counts = frame["diagnosis"].value_counts()
    assert counts["sepsis"] == pytest.approx(0.5 * counts["none"], abs=1)
    added = frame[frame["synthetic"]]
    assert (added["diagnosis"] == "sepsis").all()
    real_ill = frame[~frame["synthetic"] & (frame["diagnosis"] == "sepsis")]
    healthy = frame["crp"][frame["diagnosis"] == "none"].mean()
    assert added["crp"].mean() > healthy + 0.5 * (real_ill["crp"].mean() - healthy)
    assert added["crp"].isna().any()


def test_added_records_keep_cells_of_real_ones_of_their_class() -> None:
    labs = np.random.default_rng(4).normal(size=(1_000, 8))
    frame = pd.DataFrame(labs, columns=[f"lab {k}" for k in range(8)])
    frame["diagnosis"] = np.where(np.arange(1_000) < 100, "sepsis", "none")
    quick = {"train": {"steps": 60, "batch_size": 128}}
    model = Synthesizer(seed=0, settings=quick).fit(frame)

    def agreeing(keep: float | None) -> float:
        """Most labs that an added record shares with one real patient of the class; mean."""
        found = model.rebalance(frame, "diagnosis", keep=keep, seed=0).table.to_pandas()
        added = found[found["synthetic"]].to_numpy()[:, :8].astype(float)
        return float((np.abs(added[:, None] - labs[:100]) < 0.05).sum(2).max(1).mean())

    alone, around, close = (agreeing(keep) for keep in (0.0, 0.5, 0.75))
    assert alone + 0.5 < around < close - 0.5
    assert agreeing(None) == around
    for wrong in (-0.1, 1.0):
        with pytest.raises(ConfigError, match="--keep"):
            balanced(keep=wrong)


def test_patients_take_turns_as_those_around_whom_records_are_added() -> None:
    """A patient with many records is not what the class looks like."""
    frame = patients(1_500, 3, rare=0.1)
    frame["patient"] = np.arange(len(frame))
    ill = frame.index[frame["diagnosis"] == "sepsis"]
    many = pd.concat([frame.loc[ill[:1]].assign(age=89)] * 400)
    table = pa.Table.from_pandas(pd.concat([frame, many]), preserve_index=False)
    model = Synthesizer(seed=0, settings=QUICK).fit(table, patient="patient")
    grown = rebalance(model.artifact, table, "diagnosis", {"sepsis": 1_500}, seed=0, keep=0.9)
    added = grown.table.to_pandas().query("synthetic")
    assert (added["age"] > 85).mean() < 0.3


def test_added_records_keep_rules_that_some_real_ones_break() -> None:
    rng = np.random.default_rng(5)
    low = rng.normal(70, 10, 600).round(1)
    frame = pd.DataFrame({"low": low, "high": (low + rng.gamma(4, 10, 600)).round(1) + 0.1})
    frame["ill"] = np.where(np.arange(600) < 60, "yes", "no")
    frame.loc[:20, ["low", "high"]] = frame.loc[:20, ["high", "low"]].to_numpy()
    rules = Rules.from_json({"rule": [{"order": ["low", "high"], "strict": True}]})
    quick = {"train": {"steps": 40, "batch_size": 128}}
    model = Synthesizer(seed=0, settings=quick).fit(frame, rules=rules)
    added = model.rebalance(frame, "ill", seed=0).table.to_pandas().query("synthetic")
    assert len(added) == 210 and (added["low"] < added["high"]).all()


def test_weights_and_the_prior_say_what_was_there() -> None:
    found = balanced()
    ill = found.table["diagnosis"].to_numpy() == "sepsis"
    share = found.weights[ill].sum() / found.weights.sum()
    levels = [row["diagnosis"] for row in found.levels.to_pylist()]
    before = dict(zip(levels, found.prior.before, strict=True))
    assert share == pytest.approx(before["sepsis"])
    assert dict(zip(levels, found.prior.after, strict=True))["sepsis"] == pytest.approx(ill.mean())


def test_the_prior_restores_probabilities() -> None:
    prior = PriorCorrection(np.array([0.9, 0.1]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(prior.restore([[0.5, 0.5]]), [[0.9, 0.1]])
    np.testing.assert_allclose(prior.restore([[0.1, 0.9]]), [[0.5, 0.5]])
    with pytest.raises(ConfigError, match="2 classes"):
        prior.restore([[0.2, 0.3, 0.5]])


def test_sizes_of_single_classes_and_of_several_targets() -> None:
    one = balanced({"sepsis": 0.2}).table.to_pandas()["diagnosis"].value_counts()
    assert one["sepsis"] == pytest.approx(0.2 * one["none"], abs=1)
    number = balanced({"sepsis": 500}).table.to_pandas()["diagnosis"].value_counts()
    assert number["sepsis"] == 500
    both = balanced(0.5, ("diagnosis", "sex")).table.to_pandas()
    counts = both[["diagnosis", "sex"]].value_counts()
    assert len(counts) == 4
    assert counts.min() >= counts.max() // 2
    assert not balanced(0.001).added.any()


def test_whole_patients_are_added_with_identifiers_of_their_own() -> None:
    table = simulate(900, 2)
    quick = {"train": {"steps": 60, "batch_size": 128}}
    model = Synthesizer(seed=0, settings=quick).fit(table, patient="patient_id")
    found = rebalance(model.artifact, table, ["died"], 0.5, seed=3, allow_few=True).table
    mark = np.array(found["synthetic"])
    ids = found["patient_id"].to_pandas()
    assert not set(ids[mark]) & set(ids[~mark])
    assert found.schema.names == [*table.schema.names, "synthetic"]


def test_what_cannot_be_balanced_is_refused() -> None:
    few = patients(3_000, 0).head(200)
    table = pa.Table.from_pandas(few, preserve_index=False)
    assert 0 < (few["diagnosis"] == "sepsis").sum() < 20
    with pytest.raises(InputError, match="fewer than 20 patients"):
        rebalance(fitted().artifact, table, ["diagnosis"], seed=0)
    rebalance(fitted().artifact, table, ["diagnosis"], seed=0, allow_few=True)
    with pytest.raises(ConfigError, match="class of --to") as error:
        balanced({"sepsys": 0.2})
    assert "sepsis" not in str(error.value)
    with pytest.raises(ConditionError):
        balanced(targets=("diagnoses",))
    words = patients(3_000, 0).assign(crp="secret")
    with pytest.raises(InputError, match="column crp has type") as error:
        rebalance(fitted().artifact, pa.Table.from_pandas(words), ["diagnosis"], seed=0)
    assert "secret" not in str(error.value)
    with pytest.raises(InputError, match="too few"):
        one = table.filter(pa.compute.equal(table["diagnosis"], "none"))
        rebalance(fitted().artifact, one, ["diagnosis"], seed=0)


def test_copies_of_real_records_are_drawn_anew() -> None:
    """An overfitted model of few records draws many of them over again."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        "y": np.where(np.arange(120) < 40, "a", "b"),
        "x": rng.normal(0, 1, 120).round(3),
        "z": rng.normal(0, 1, 120).round(3),
    })  # fmt: skip
    settings = {
        "train": {"steps": 800, "patience": 0, "weight_decay": 0.0},
        "model": {"dropout": 0.0},
        "encode": {"rare_patients": 2},
    }
    model = Synthesizer(seed=0, settings=settings).fit(frame, holdout=0.0)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    found = rebalance(model.artifact, table, ["y"], 1.0, seed=1)
    assert found.redrawn > 0
    codes = model.artifact.encoder.encode(found.table.drop_columns(["synthetic"])).reshape(-1, 6)
    real = {tuple(row) for row in codes[:120].tolist()}
    assert not any(tuple(row) in real for row in codes[120:].tolist())
    assert len(codes) + found.left_out == 160


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patients(3_000, 0).to_parquet(tmp_path / "records.parquet")
    fitted().save(tmp_path / "model.synthehr")
    words = ["rebalance", tmp_path / "model.synthehr", tmp_path / "records.parquet"]
    words += ["--target", "diagnosis", "-o", tmp_path / "balanced.parquet", "--seed", 1]
    said = json.loads(run(capsys, *words, "--to", "sepsis=0.25", "--json").out)
    assert {row["level"]["diagnosis"] for row in said["classes"]} == {"none", "sepsis"}
    written = pd.read_parquet(tmp_path / "balanced.parquet")
    assert len(written) == said["records"] == 3_000 + said["added"]
    assert "number" in refused(run(capsys, *words, "--force", "--to", "many"))
    assert "balanced.parquet" in refused(run(capsys, *words))


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        (0.5, {0: 1_600, 1: 800, 2: 800}),
        ("auto", {0: 1_600, 1: 1_600, 2: 1_600}),
        ("minority", {0: 1_600, 1: 300, 2: 1_600}),
        ("not minority", {0: 1_600, 1: 1_600, 2: 100}),
        ({2: 400}, {0: 1_600, 1: 300, 2: 400}),
        (lambda y: {2: 2 * int((y == 2).sum())}, {0: 1_600, 1: 300, 2: 200}),
    ],
)
def test_strategies_are_those_of_imbalanced_learn(strategy: Any, wanted: dict[int, int]) -> None:
    y = np.repeat([0, 1, 2], [1_600, 300, 100])
    X = np.random.default_rng(0).normal(y[:, None], 1.0, (2_000, 2))
    quick = {"train": {"steps": 5, "batch_size": 256}}
    sampler = SynthResampler(sampling_strategy=strategy, settings=quick, random_state=0)
    found, classes = sampler.fit_resample(X, y)
    assert dict(zip(*np.unique(classes, return_counts=True), strict=True)) == wanted
    np.testing.assert_array_equal(found[:2_000], X)
    assert len(sampler.weights_) == len(classes)


def test_a_sampler_keeps_frames_and_restores_probabilities() -> None:
    frame = patients(3_000, 5)
    y = frame.pop("diagnosis") == "sepsis"
    sampler = clone(SynthResampler(sampling_strategy=1.0, settings=QUICK, random_state=0))
    X, classes = sampler.fit_resample(frame, y)
    assert X.dtypes.equals(frame.dtypes)
    assert classes.mean() == pytest.approx(0.5, abs=0.01)
    model = LogisticRegression().fit(X[["crp"]].fillna(0), classes)
    other = patients(3_000, 6)
    given = model.predict_proba(other[["crp"]].fillna(0))
    restored = sampler.prior_.restore(given)[:, 1]
    real = (other["diagnosis"] == "sepsis").mean()
    assert restored.mean() == pytest.approx(real, abs=0.02)
    assert given[:, 1].mean() > 2 * real


def test_it_works_in_a_pipeline_and_a_search_of_imbalanced_learn() -> None:
    pipeline = pytest.importorskip("imblearn.pipeline")
    frame = patients(1_000, 5, rare=0.1)[["crp", "age", "diagnosis"]].dropna()
    y = (frame.pop("diagnosis") == "sepsis").astype(int)
    quick = {"train": {"steps": 60}}
    learn = pipeline.make_pipeline(
        SynthResampler(settings=quick, random_state=0), LogisticRegression(C=np.inf)
    )
    grid = {"synthresampler__sampling_strategy": [0.3, 1.0]}
    search = GridSearchCV(learn, grid, cv=2, scoring="recall").fit(frame, y)
    # What is added is added where the learner learns, and never where it is tested.
    recalls = search.cv_results_["mean_test_score"]
    assert recalls[1] > recalls[0]
    assert search.best_estimator_.predict(frame).shape == (len(frame),)


@pytest.mark.parametrize("strategy", ["most", 1.5, {"x": 3}])
def test_strategies_that_say_nothing_are_refused(strategy: Any) -> None:
    with pytest.raises(ConfigError):
        SynthResampler(sampling_strategy=strategy).fit_resample(
            np.zeros((60, 2)), [0] * 30 + [1] * 30
        )
