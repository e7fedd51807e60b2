"""The suite of visits: what is run, how synthetic visits are judged, and what is said of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import longitudinal
import longitudinal_score as score
import longitudinal_tasks as tasks
from bars import judge
from longitudinal_child import settings_of
from longitudinal_sets import SETS, simulated, split, write
from longitudinal_table import compared, page, rows_table
from longitudinal_visits import Keys, alike, numbers_of, ordered, static_of
from quality import Places
from records import key
from synthehr.demo import simulate_visits, visit_truth

KEYS = Keys("patient_id", "day")
COLUMNS = ["patient_id", "day", "sex", "age", "state", "weight", "egfr", "died"]


def visits(patients: int, seed: int) -> pd.DataFrame:
    return ordered(simulate_visits(patients, seed, columns=COLUMNS).to_pandas(), KEYS)


def straight(patients: int = 40, length: int = 14) -> pd.DataFrame:
    """Numbers on a line in time, at irregular times."""
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(patients), length)
    day = rng.integers(1, 9, (patients, length)).cumsum(axis=1).ravel()
    return pd.DataFrame({"patient_id": who, "day": day, "x": who + 0.5 * day, "y": 3.0 * day})


def record(data: str, who: str, **figures: float) -> dict:
    named = {"suite": "longitudinal", "data": data, "who": who, "seed": 0, "options": ""}
    machine = {"cores": 2, "cpu": "a chip", "torch": "2.13.0", "commit": "abc"}
    when = {"when": "2026-11-21T00:00:00+00:00", "machine": machine}
    return named | {"rival": who not in ("lstm", "real")} | when | figures


def test_everybody_is_run_once_and_the_private_under_every_epsilon() -> None:
    jobs = longitudinal.plan(
        ["pbcseq", "speed"], ["lstm"], ["mostly", "mostly-dp"], 1, "--set a.b=1", [8.0]
    )
    assert [(job.data, job.who, job.epsilon, job.options) for job in jobs[:5]] == [
        ("pbcseq", "real", None, ""),
        ("pbcseq", "lstm", None, "--set a.b=1"),
        ("pbcseq", "mostly", None, ""),
        ("pbcseq", "lstm", 8.0, "--set a.b=1"),
        ("pbcseq", "mostly-dp", 8.0, ""),
    ]
    assert [job.who for job in jobs[5:]] == ["lstm", "mostly", "lstm", "mostly-dp"]
    assert len({key(job.record()) for job in jobs}) == len(jobs)


def test_splits_are_by_patient_and_can_be_read(tmp_path) -> None:
    made = split(visits(60, 0), *KEYS)
    assert not set(made.train.patient_id) & set(made.test.patient_id)
    assert made.test.patient_id.nunique() == 18
    write(made, tmp_path)
    assert Keys.of(tmp_path) == KEYS
    places = Places(measure=tmp_path, out=tmp_path)
    ready = tmp_path / "splits" / "simulated"
    write(simulated(30, 20)(tmp_path), ready)
    assert longitudinal.ensure_visits("simulated", places, tmp_path) == ready
    job = longitudinal.plan(["simulated"], [], ["mostly"], 1)[1]
    failed = longitudinal.run_visits(job, places, 60, tmp_path)
    assert "PEERS" in failed["failed"]


def test_columns_are_told_apart() -> None:
    frame = visits(80, 0)
    assert static_of(frame, KEYS) == ["sex", "age", "died"]
    assert numbers_of(frame, KEYS) == ["age", "weight", "egfr"]
    dated = frame.assign(day=pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.day, unit="D"))
    gaps = ordered(dated, KEYS).groupby("patient_id").day.diff()
    pd.testing.assert_series_equal(gaps, frame.groupby("patient_id").day.diff())


def test_levels_are_spelled_as_in_the_training_visits() -> None:
    train = pd.DataFrame({"n": pd.array([1, None, 2], "Int8"), "b": [True, False, True]})
    train = train.assign(x=[0.0, 0.5, 1.0], s=["1", "2", "x"])
    made = pd.DataFrame({"n": [1.0, np.nan, 2.0], "b": ["True", "false", "True"]})
    found = alike(made.assign(x=[0, 1, 1], s=train.s), train)
    for name in train:
        assert set(found[name].astype("string").dropna()) <= set(train[name].astype("string"))
    assert alike(made.assign(n=[1.5, 2.0, 3.0]), train).n.tolist() == [1.5, 2.0, 3.0]


def test_the_next_visit_is_learned_from_real_visits_only() -> None:
    train, test, other = visits(60, 0), visits(50, 1), visits(60, 2)
    mixed = other.assign(weight=np.random.default_rng(0).permutation(other.weight))
    assert score.next_visit(train, test, train, KEYS, trees=5)["next_visit"] == 1.0
    found = score.next_visit(train, test, mixed, KEYS, trees=10)["next_visit_by"]
    assert found["weight"] > 1.5
    assert found["egfr"] == pytest.approx(1, abs=0.3)


def test_an_outcome_is_learned_where_it_hangs_on_the_visits() -> None:
    frames = [visits(80, seed) for seed in range(3)]
    for frame in frames:
        means = frame.groupby("patient_id").weight.transform("mean")
        frame["died"] = (means > 85).map({True: "yes", False: "no"})
    found = score.outcome(*frames, KEYS, "died", trees=10, draws=60)
    assert found["trtr"] > 0.95
    low, high = found["tstr_drop_interval"]
    assert low <= found["tstr_drop"] <= high < 0.1
    known = frames[2].groupby("patient_id").died.first()
    turned = known.map({"yes": "no", "no": "yes"})
    frames[2]["died"] = frames[2].patient_id.map(turned)
    found = score.outcome(*frames, KEYS, "died", trees=10, draws=60)
    assert found["tstr"] < 0.2
    assert found["tstr_drop_interval"][0] > 0.5


def test_summaries_are_those_of_each_patient() -> None:
    frame = straight()
    frame.loc[frame.index % 2 == 0, "y"] = np.nan
    rows = score.summaries(frame, KEYS, ["x", "y"])
    assert rows["x slope"].to_numpy() == pytest.approx(0.5)
    assert rows["y missing"].eq(0.5).all()
    assert rows["visits"].eq(14).all()


def test_known_truth_is_looked_for_in_simulated_visits_only(tmp_path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        pq.write_table(simulate_visits(400, seed), tmp_path / name)
    found = score.known_truth(tmp_path / "one", [tmp_path / "one"])
    assert found["slope_overlap"] == 1.0
    other = score.known_truth(tmp_path / "one", [tmp_path / "two"])
    assert 0 < other["slope_worst"] < other["slope_overlap"] < 1
    assert other["rule_error"] < 0.3
    pq.write_table(simulate_visits(40, 0, columns=COLUMNS), tmp_path / "few")
    assert score.known_truth(tmp_path / "few", [tmp_path / "few"]) == {}


def test_several_samples_say_more_than_one() -> None:
    one, two = (visit_truth(simulate_visits(200, seed))["egfr: difference"] for seed in (0, 1))
    both = score.pooled([one, two])
    assert both.value == pytest.approx((one.value + two.value) / 2)
    width = np.hypot(one.high - one.low, two.high - two.low) / np.sqrt(2)
    assert both.high - both.low == pytest.approx(width * np.sqrt(1.5))
    assert score.pooled([one]) is one


def test_forecasts_are_held_against_what_came(tmp_path) -> None:
    frame = straight()
    tasks.make(frame, tmp_path, KEYS, ["x", "y"])
    history, future = (pd.read_parquet(tmp_path / f"{n}.parquet") for n in ("history", "future"))
    assert history.groupby("patient_id").size().eq(7).all()
    assert future.groupby("patient_id").size().eq(tasks.STEPS).all()
    right = future.assign(step=future.groupby("patient_id").cumcount() + 1)
    for end in ("low", "high"):
        right[[f"x_{end}_95", f"y_{end}_95"]] = future[["x", "y"]]
    right.to_parquet(tmp_path / "forecast.parquet")
    found = tasks.score(frame, tmp_path, KEYS, ["x", "y"])
    assert found["forecast_mae"] == 0
    assert found["linear_mae"] < 0.02 < found["last_mae"]
    assert found["forecast_covered"] == 1
    off = dict.fromkeys(("x", "x_low_95", "x_high_95"), right.x + 100)
    wrong = right.assign(**off, y=np.nan, y_low_95=np.nan, y_high_95=np.nan)
    wrong.to_parquet(tmp_path / "forecast.parquet")
    found = tasks.score(frame, tmp_path, KEYS, ["x", "y"])
    assert found["forecast_covered"] == 0
    assert found["forecast_missing"] == 0.5
    assert found["forecast_mae"] > 1


def test_imputation_is_judged_on_what_was_taken_away(tmp_path) -> None:
    frame = straight()
    frame.loc[:4, "y"] = np.nan
    tasks.make(frame, tmp_path, KEYS, ["x", "y"])
    holes = pd.read_parquet(tmp_path / "holes.parquet")
    assert holes.x.isna().mean() == pytest.approx(tasks.HIDDEN, abs=0.04)
    frame.to_parquet(tmp_path / "filled.parquet")
    found = tasks.score(frame, tmp_path, KEYS, ["x", "y"])
    assert found["impute_mae"] == 0
    assert found["impute_linear_mae"] < found["impute_locf_mae"] < found["impute_median_mae"]
    assert found["impute_unfilled"] == 0
    holes.to_parquet(tmp_path / "filled.parquet")
    found = tasks.score(frame, tmp_path, KEYS, ["x", "y"])
    assert found["impute_unfilled"] == 1
    assert found["impute_mae"] == found["impute_median_mae"]


def test_settings_are_read_as_the_command_line_has_them() -> None:
    words = "--set model.cell=gru --set train.steps=50 --set train.rate=1e-3"
    assert settings_of(words) == {"model": {"cell": "gru"}, "train": {"steps": 50, "rate": 0.001}}


def test_rows_are_counted_against_each_rival() -> None:
    measured = [
        record("pbcseq", "real", gap=0.02),
        record("pbcseq", "lstm", gap=0.05, value=0.08, lag1=0.3, negative=0.0),
        record("pbcseq", "mostly", gap=0.2, value=0.1, lag1=0.2, negative=0.0, cross=0.1),
        record("aids_cd4", "lstm", gap=0.05),
        record("aids_cd4", "mostly", gap=0.06),
    ]
    found = compared(measured)
    assert [tuple(one) for one in found] == [
        ("pbcseq", "mostly", 2, 1, 1),
        ("aids_cd4", "mostly", 1, 0, 0),
    ]
    lines = rows_table(found).splitlines()
    assert lines[-1] == "| mostly | **all** | 3 | 1 | 1 | 0.75 **FAIL** |"
    verdicts = {one.bar.figure: one.passed for one in judge(measured, longitudinal.BARS[:7])}
    assert verdicts["gap"] is True
    assert verdicts["lag1"] is False
    assert verdicts["length"] is None
    text = page(measured)
    assert text.index("*real patients*") < text.index("| mostly |")


def test_every_bar_names_something_that_is_measured() -> None:
    assert (*longitudinal.SHARED_SPLITS, *SETS) == longitudinal.DATA
    made = {*longitudinal.ROWS, *longitudinal.FURTHER, "fit_s", "sample_s"}
    made |= {"forecast_to_last", "forecast_to_linear"}
    for bar in longitudinal.BARS:
        assert bar.data in longitudinal.DATA, bar
        assert bar.figure in made, bar
