"""Imputation: what is there stays, what is missing is drawn from what the model knows."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import refused, run
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr import Synthesizer
from synthehr.demo import simulate
from synthehr.errors import ConditionError, ConfigError, InputError

N = 3_000


def truth(n: int, seed: int) -> pd.DataFrame:
    """Two groups that differ in everything; a twentieth of the levels are known to be null."""
    rng = np.random.default_rng(seed)
    ill = rng.random(n) < 0.4
    frame = pd.DataFrame({
        "ill": np.where(ill, "yes", "no"),
        "crp": np.round(np.where(ill, rng.normal(90, 10, n), rng.normal(20, 5, n)), 1),
        "visits": np.where(ill, rng.integers(5, 9, n), rng.integers(0, 3, n)),
        "ward": pd.Categorical(np.where(ill, "intensive", rng.choice(["north", "south"], n))),
        "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D"),
        "smoker": rng.random(n) < 0.3,
    })  # fmt: skip
    frame.loc[rng.random(n) < 0.05, "crp"] = np.nan
    return frame


def holed(frame: pd.DataFrame, seed: int, share: float = 0.3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = frame.convert_dtypes()
    for name in frame.columns:
        frame.loc[rng.random(len(frame)) < share, name] = pd.NA
    return frame


@cache
def fitted(model: str = "autoregressive") -> Synthesizer:
    quick = {"train": {"steps": 250, "batch_size": 256}}
    return Synthesizer(model, seed=0, settings=quick).fit(truth(N, 0))


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
@settings(max_examples=8, deadline=None)
def test_what_is_there_stays_and_what_is_missing_is_filled(seed: int, share: float) -> None:
    holes = holed(truth(60, seed), seed, share)
    filled = fitted().impute(holes, seed=seed)
    # A column that is null throughout has no levels left whose order could stay.
    some = [name for name in holes.columns if holes[name].notna().any()]
    pd.testing.assert_series_equal(filled[some].dtypes, holes[some].dtypes)
    assert list(filled.dtypes.astype(str)) == list(holes.dtypes.astype(str))
    assert list(filled.columns) == list(holes.columns)
    for name in some:
        there = holes[name].notna()
        pd.testing.assert_series_equal(filled[name][there], holes[name][there])
    assert not filled.isna().any().any()


def test_missing_cells_follow_the_others() -> None:
    real = truth(1_500, 1)
    holes = holed(real, 2)
    holes["ill"] = real["ill"]
    filled = fitted().impute(holes, seed=3)
    ill = real["ill"] == "yes"
    gone = holes["crp"].isna()
    assert filled["crp"][gone & ill].mean() == pytest.approx(90, abs=4)
    assert filled["crp"][gone & ~ill].mean() == pytest.approx(20, abs=4)
    assert 5 < filled["crp"][gone & ill].std() < 18
    assert (filled["ward"][ill & holes["ward"].isna()] == "intensive").mean() > 0.95
    assert (filled["crp"] * 10 % 1).abs().max() < 1e-6


def test_missing_cells_of_a_record_agree_with_one_another() -> None:
    nothing = pd.DataFrame({"ill": [None] * 2_000, "crp": np.nan, "visits": np.nan})
    filled = fitted().impute(nothing, seed=1)
    ill = filled["ill"] == "yes"
    assert 0.3 < ill.mean() < 0.5
    assert ((filled["crp"] > 50) == ill).mean() > 0.95
    assert ((filled["visits"] > 3) == ill).mean() > 0.95


def test_several_draws_differ_in_what_was_missing_alone() -> None:
    holes = holed(truth(300, 4), 5)
    draws = fitted().impute(holes, draws=3, seed=6)
    assert len(draws) == 3
    one, two = draws[0]["crp"], draws[1]["crp"]
    there = holes["crp"].notna()
    assert (one[there] == two[there]).all()
    assert (one[~there] != two[~there]).mean() > 0.5
    pd.testing.assert_frame_equal(draws[2], fitted().impute(holes, draws=3, seed=6)[2])


def test_point_estimates_are_means_and_likeliest_levels() -> None:
    real = truth(800, 7)
    holes = real[["ill", "crp", "visits", "ward"]].copy()
    holes["crp"] = np.nan
    holes["ward"] = pd.Series([None] * len(holes), dtype=holes["ward"].dtype)
    filled = fitted().impute(holes, draws=0)
    ill = real["ill"] == "yes"
    assert filled["crp"][ill].mean() == pytest.approx(90, abs=3)
    assert filled["crp"][ill].std() < 5
    assert (filled["ward"][ill] == "intensive").all()
    pd.testing.assert_frame_equal(filled, fitted().impute(holes, draws=0))


@pytest.mark.slow
def test_point_estimates_of_a_model_that_can_only_draw() -> None:
    real = truth(300, 8)
    holes = real.assign(crp=np.nan)[["ill", "crp", "visits", "ward"]]
    filled = fitted("vae").impute(holes, draws=0, seed=1)
    ill = real["ill"] == "yes"
    assert filled["crp"][ill].mean() > filled["crp"][~ill].mean() + 30


def test_chosen_columns_are_filled_and_meaningful_nulls_stay() -> None:
    holes = holed(truth(200, 9), 9)
    filled = fitted().impute(holes, columns=["crp", "ward"], keep_null=["ward"], seed=0)
    assert not filled["crp"].isna().any()
    for name in ("ill", "ward", "visits"):
        pd.testing.assert_series_equal(filled[name], holes[name])


def test_tables_of_other_columns_types_and_levels() -> None:
    real = truth(100, 10)
    holes = pd.DataFrame({
        "note": ["a"] * 99 + [None],
        "visits": real["visits"].astype(float).where(real.index % 2 == 0),
        "ward": real["ward"].astype(object).where(real.index > 4, "new ward"),
        "ill": [None] * 100,
    })  # fmt: skip
    filled = fitted().impute(holes, seed=0)
    assert filled["note"].equals(holes["note"])
    assert filled["ward"].equals(holes["ward"])
    assert (filled["visits"] % 1 == 0).all()
    assert not filled["ill"].isna().any()


def test_a_record_is_filled_alike_among_other_records() -> None:
    holes = holed(truth(500, 11), 11)
    first = fitted().impute(holes, seed=2).head(200)
    pd.testing.assert_frame_equal(fitted().impute(holes.head(200), seed=2), first)
    # nor does it hang on which columns others miss
    holes["visits"] = truth(500, 11)["visits"]
    without = holes.head(200)
    holes.loc[300:, "visits"] = pd.NA
    again = fitted().impute(holes, seed=2).head(200)
    assert without["seen"].isna().any()
    assert (fitted().impute(without, seed=2)["seen"] == again["seen"]).all()


def test_what_cannot_be_filled_is_refused() -> None:
    holes = holed(truth(50, 12), 12)
    with pytest.raises(ConditionError, match="no column crpp"):
        fitted().impute(holes, columns=["crpp"])
    with pytest.raises(InputError, match="none of the columns"):
        fitted().impute(pd.DataFrame({"x": [1.0, None]}))
    with pytest.raises(InputError, match="column crp has type string"):
        fitted().impute(holes.assign(crp="high"))
    with pytest.raises(ConfigError, match="draws"):
        fitted().impute(holes, draws=-1)
    with pytest.raises(ConfigError, match="column 'draw'"):
        fitted().impute(holes.assign(draw=1), draws=2)
    quick = {"train": {"steps": 5, "batch_size": 64}}
    gan = Synthesizer("gan", seed=0, settings=quick).fit(truth(300, 0))
    with pytest.raises(ConfigError, match="cannot fill holes"):
        gan.impute(holes)


def test_a_clock_leaves_draws_out() -> None:
    draws = fitted().impute(holed(truth(50, 13), 13), draws=5, max_minutes=1e-9, seed=0)
    assert len(draws) == 1


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holes = holed(truth(120, 14), 14)
    holes["ward"] = holes["ward"].astype("string")
    holes.to_parquet(tmp_path / "holes.parquet")
    fitted().save(tmp_path / "model.synthehr")
    output = tmp_path / "filled.parquet"
    words = ["impute", tmp_path / "model.synthehr", tmp_path / "holes.parquet"]
    said = json.loads(run(capsys, *words, "-o", output, "--draws", 3, "--seed", 4, "--json").out)
    assert said["draws"] == 3
    assert said["records"] == 360
    assert said["cells"]["crp"] == int(holes["crp"].isna().sum())
    filled = pd.read_parquet(output)
    assert list(filled["draw"].value_counts()) == [120] * 3
    second = filled[filled["draw"] == 2].drop(columns="draw").reset_index(drop=True)
    pd.testing.assert_frame_equal(second, fitted().impute(holes, draws=3, seed=4)[1])
    assert "filled.parquet" in refused(run(capsys, *words, "-o", output))
    other = tmp_path / "other.csv"
    assert "warp" in refused(run(capsys, *words, "-o", other, "--columns", "crp,warp"))
    assert not other.exists()


def test_the_cohort_keeps_its_ids_and_its_dates() -> None:
    quick = {"train": {"steps": 30, "batch_size": 128}}
    table = simulate(400, 3)
    synthesizer = Synthesizer(seed=0, settings=quick).fit(table, patient="patient_id")
    filled = synthesizer.impute(table, seed=0)
    assert filled.schema == table.schema
    assert filled["patient_id"].equals(table["patient_id"])
    assert sum(filled[name].null_count for name in synthesizer.artifact.encoder.modelled) == 0
