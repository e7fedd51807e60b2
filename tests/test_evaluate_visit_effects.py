"""Effects, orders of levels, rules and the map of patients in the evaluation of visits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run
from visits import visits

from synthehr import SequenceSynthesizer
from synthehr.errors import ConfigError
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.longitudinal.effects import effects
from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
from synthehr.evaluation.longitudinal.figures import figures
from synthehr.evaluation.longitudinal.intervals import overlap
from synthehr.evaluation.longitudinal.patients import Patients
from synthehr.evaluation.longitudinal.report import VisitEvaluation
from synthehr.evaluation.longitudinal.resampled import resampled
from synthehr.evaluation.longitudinal.timeline import timelines
from synthehr.evaluation.longitudinal.trends import trend
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import SMALLEST
from synthehr.modes.constraints import Rules

N = 150
REAL, HELD_OUT, GOOD = visits(N, 1), visits(N, 2, prefix="h"), visits(N, 3, prefix="s")
KEYS: dict[str, Any] = {"patient": "patient", "time": "day"}
NEVER_LOW = Rules.from_json({"rule": [{"order": ["age", "day"], "name": "old before"}]})


def changed(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values).cast(table.schema.field(name).type))


def with_trend(table: pa.Table, slope: float) -> pa.Table:
    """Let glucose move with the day."""
    day, glucose = (table[name].to_numpy() for name in ("day", "glucose"))
    return changed(table, "glucose", glucose + slope * day)


def staged(table: pa.Table, *, turned: bool = False) -> pa.Table:
    """Add four stages that patients go through in order, or in the order turned round."""
    who = np.asarray(table["patient"].to_pylist())
    begins = np.flatnonzero(np.r_[True, who[1:] != who[:-1]])
    place = np.arange(len(who)) - np.repeat(begins, np.diff(np.r_[begins, len(who)]))
    stage = np.minimum(place // 2, 3)
    names = np.array(["one", "two", "three", "four"])
    return table.append_column("stage", pa.array(names[3 - stage if turned else stage]))


def roles(synthetic: pa.Table, real: pa.Table = REAL, held_out: pa.Table = HELD_OUT) -> Patients:
    found = timelines(real, synthetic, held_out, **KEYS)
    assert found.held_out is not None
    return Patients(found.columns, found.static, found.real, found.held_out, found.synthetic, 0)


def measured(synthetic: pa.Table, **tables: pa.Table) -> dict[tuple[str, str | None], Metric]:
    return {(each.name, each.column): each for each in figures(roles(synthetic, **tables))}


@pytest.fixture(scope="module")
def whole() -> VisitEvaluation:
    return evaluate_visits(REAL, GOOD, held_out=HELD_OUT, target="died", **KEYS, rules=NEVER_LOW)


def test_intervals_overlap_by_what_they_have_in_common() -> None:
    one, half = np.array([1.0]), np.array([0.5])
    assert overlap((one, half), (one, half)) == pytest.approx(1)
    assert overlap((one, half), (one + 0.5, half)) == pytest.approx(0.5)
    assert overlap((one, half), (one + 2, half)) == 0
    assert overlap((one, half), (one, 2 * half)) == pytest.approx(0.75)


def test_a_trend_is_that_of_least_squares_with_an_intercept_of_each_patient() -> None:
    table = with_trend(REAL, 0.02)
    found = timelines(table, table, HELD_OUT, **KEYS)
    j = [column.name for column in found.columns].index("glucose")
    fit = trend(resampled(found.real), j)
    assert fit is not None
    line = found.real
    dummies = np.equal.outer(line.patients, np.arange(line.n_patients)).astype(np.float64)
    design = np.column_stack([line.times, dummies])
    by_hand = np.linalg.lstsq(design, line.values[:, j], rcond=None)[0][0]
    assert fit[0] == pytest.approx(by_hand, rel=1e-6)
    assert fit[0] - fit[1] < 0.02 < fit[0] + fit[1]


def test_a_trend_of_few_patients_is_none() -> None:
    few = visits(15, 5)
    found = timelines(few, few, HELD_OUT, **KEYS)
    j = [column.name for column in found.columns].index("glucose")
    assert trend(resampled(found.real), j) is None


def test_effects_of_good_visits_are_those_of_real_ones(whole: VisitEvaluation) -> None:
    for name in ("trend_overlap", "effect_overlap"):
        metric = whole[name]
        assert metric.better == "higher"
        assert metric.ceiling is not None
        assert metric.low is not None and metric.high is not None
        assert metric.low <= metric.value <= metric.high
        assert metric.value > 0.5


def test_another_trend_and_a_target_of_chance_are_told(whole: VisitEvaluation) -> None:
    assert measured(with_trend(GOOD, 0.1))["trend_overlap", "glucose"].value == 0
    assert whole["trend_overlap", "glucose"].value > 0.2
    turned = roles(changed(GOOD, "age", 120 - GOOD["age"].to_numpy()))
    (found,) = effects(turned, "died", Clock(np.inf))
    assert found.value < whole["effect_overlap"].value - 0.05
    assert found.ceiling == whole["effect_overlap"].ceiling


def test_effects_need_a_target_of_two_levels() -> None:
    clock = Clock(np.inf)
    assert effects(roles(GOOD), "age", clock) == ()
    assert [each.part for each in clock.not_measurable] == ["effects on the target"]


def test_which_level_comes_first_is_compared() -> None:
    real = {"real": staged(REAL), "held_out": staged(HELD_OUT)}
    good, wrong = (
        measured(staged(GOOD, turned=turned), **real)["code_order", None]
        for turned in (False, True)
    )
    assert good.ceiling is not None and good.ceiling > 0.8
    assert good.value > 0.8
    assert wrong.value < 0.5


def test_who_breaks_a_rule_is_counted_by_patients(whole: VisitEvaluation) -> None:
    (rule,) = whole.results.rules
    who, age, day = (GOOD[name].to_numpy() for name in ("patient", "age", "day"))
    breaking = len(np.unique(who[age > day])) / N
    assert rule.synthetic.value == pytest.approx(breaking)
    assert rule.synthetic.low < breaking < rule.synthetic.high
    assert rule.real is not None and rule.held_out is not None
    assert whole.to_dict()["rules"][0]["synthetic"]["value"] == pytest.approx(breaking, abs=1e-4)
    assert "old before" in whole.to_html()


def test_a_rule_that_few_real_patients_break_tells_no_number() -> None:
    age = REAL["age"].to_numpy().copy()
    age[:3] = 1_000
    real = changed(REAL, "age", age)
    adult = Rules.from_json({"rule": [{"name": "young", "then": "age=0:900"}]})
    (rule,) = evaluate_visits(real, GOOD, held_out=HELD_OUT, rules=adult, **KEYS).results.rules
    assert rule.real is None
    assert rule.held_out is not None and rule.held_out.value == 0


def test_a_rule_on_a_column_that_is_not_there_is_refused() -> None:
    rules = Rules.from_json({"rule": [{"order": ["weight", "day"]}]})
    with pytest.raises(ConfigError, match="lacks"):
        evaluate_visits(REAL, GOOD, rules=rules, **KEYS)


def test_the_map_shows_no_cell_of_few_real_patients(whole: VisitEvaluation) -> None:
    found = whole.results.patient_map
    assert found is not None
    shares = np.asarray(found.real)
    held = shares[np.isfinite(shares) & (shares > 0)]
    assert len(held)
    assert (held * 2 * N >= SMALLEST - 1e-9).all()
    assert 0 < found.explained[1] <= found.explained[0] < 1
    assert "two axes" in whole.to_html()


def test_a_model_file_says_who_was_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    real = visits(120, 1)
    quick = {"model": {"hidden": 8, "width": 16, "blocks": 1}, "train": {"steps": 3}}
    model = SequenceSynthesizer("lstm", seed=0, settings=quick)
    model.fit(real, patient="patient", time="day", holdout=0.25)
    model.save("visits.synthehr")
    pq.write_table(real, "real.parquet")
    pq.write_table(visits(60, 2, prefix="s"), "made.parquet")
    asked = ("report", "real.parquet", "made.parquet", "--time", "day", "--patient", "patient")
    done = run(capsys, *asked, "--model", "visits.synthehr", "--json", "r.json")
    assert done.code == 0, done.err
    said = json.loads(Path("r.json").read_text())
    assert (said["patients"]["real"], said["patients"]["holdout"]) == (90, 30)
    assert said["ceiling_from"] == "holdout"
    pq.write_table(real.slice(5), "real.parquet")
    again = (*asked, "--model", "visits.synthehr", "--force")
    assert "was fitted on 120" in refused(run(capsys, *again))
