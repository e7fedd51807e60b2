"""Evaluation of visits: every figure moves the right way when visits are damaged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run
from scipy.stats import ks_2samp
from visits import COLUMNS, renamed, shuffled, truncated, visits

from synthehr.errors import ConfigError, InputError, SynthehrError
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.longitudinal.copies import copied_runs
from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
from synthehr.evaluation.longitudinal.figures import figures
from synthehr.evaluation.longitudinal.patients import Patients, exposure, telling_apart
from synthehr.evaluation.longitudinal.report import VisitEvaluation, write_visit_report
from synthehr.evaluation.longitudinal.timeline import Timelines, timelines

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
SPLITS = ROOT.parent / "splits"
N = 120

REAL, HELD_OUT, GOOD = visits(N, 1), visits(N, 2, prefix="h"), visits(N, 3, prefix="s")


@pytest.fixture(scope="module")
def whole() -> VisitEvaluation:
    return evaluate_visits(
        REAL, GOOD, held_out=HELD_OUT, patient="patient", time="day", target="died", by="sex"
    )


def lines(synthetic: pa.Table, real: pa.Table = REAL, held_out: pa.Table = HELD_OUT) -> Timelines:
    return timelines(real, synthetic, held_out, patient="patient", time="day")


def roles(found: Timelines) -> Patients:
    assert found.held_out is not None
    return Patients(found.columns, found.static, found.real, found.held_out, found.synthetic, 0)


def measured(synthetic: pa.Table, **tables: pa.Table) -> dict[tuple[str, str | None], float]:
    found = figures(roles(lines(synthetic, **tables)))
    return {(metric.name, metric.column): metric.value for metric in found}


BASE = measured(GOOD)


def test_what_never_changes_is_found() -> None:
    found = lines(GOOD)
    names = [column.name for column in found.columns]
    assert [n for n, static in zip(names, found.static, strict=True) if static] == [
        "age", "sex", "died",
    ]  # fmt: skip
    assert found.real.n_patients == N
    assert (found.real.gaps >= 0).all()


def test_good_visits_are_near_their_ceilings(whole: VisitEvaluation) -> None:
    for metric in whole.metrics:
        if metric.section in ("structure", "measurement", "values", "dynamics", "together"):
            assert metric.ceiling is not None
            # A rank correlation over a dozen pairs of levels is not known better.
            room = 0.3 if metric.name == "code_order" else 0.12
            assert abs(metric.value - metric.ceiling) < room, metric.name
            assert metric.low is not None and metric.high is not None
            assert metric.low <= metric.value <= metric.high
    assert whole["detection_all"].value < 0.68
    assert abs(whole["next_ratio"].value - 1) < 0.1
    assert whole["target_auroc"].value > 0.7


def test_shuffled_order_destroys_autocorrelation_and_nothing_marginal() -> None:
    found = measured(shuffled(GOOD, list(COLUMNS[5:])))
    for name, more in (("lag1", 0.1), ("moves", 0.03), ("variogram", 0.03)):
        assert found[(name, None)] > BASE[(name, None)] + more, name
    assert found[("delta", "glucose")] > BASE[("delta", "glucose")] + 0.02
    for name in ("value", "level", "missing", "length", "gap", "cross"):
        assert found[(name, None)] == pytest.approx(BASE[(name, None)], abs=1e-9), name
    assert found[("lag1", "glucose")] > BASE[("lag1", "glucose")] + 0.1
    assert found[("lag1", "age")] == pytest.approx(BASE[("lag1", "age")])


def test_shuffled_order_is_told_by_values() -> None:
    found = telling_apart(roles(lines(shuffled(GOOD, list(COLUMNS[5:])))))
    by = {metric.name: metric.value for metric in found}
    assert by["detection_all"] > by["detection_times"] + 0.1
    assert by["detection_times"] < 0.68


def test_cut_lengths_are_told_by_lengths() -> None:
    found = measured(truncated(GOOD, 4))
    for name in ("length", "length_mean", "span"):
        assert found[(name, None)] > BASE[(name, None)] + 0.2, name
    assert found[("negative", None)] == 0


def test_masks_of_their_own_are_told_by_masks() -> None:
    loose = shuffled(shuffled(GOOD, ["lactate"], 1), ["ph"], 2)
    found = measured(loose)
    assert found[("mask_pairs", None)] > BASE[("mask_pairs", None)] + 0.3
    assert found[("mask_persistence", None)] > BASE[("mask_persistence", None)] + 0.05
    assert found[("missing", None)] == pytest.approx(BASE[("missing", None)])
    cross = ("cross", None)
    assert found[cross] > BASE[cross] + 0.03


def test_rows_in_any_order_change_only_the_share_of_negative_gaps() -> None:
    order = np.random.default_rng(0).permutation(GOOD.num_rows)
    found = measured(GOOD.take(pa.array(order)))
    assert found.pop(("negative", None)) == pytest.approx(0.5, abs=0.05)
    for key, value in found.items():
        assert value == pytest.approx(BASE[key], abs=1e-6), key


def test_constants_that_change_are_counted() -> None:
    assert BASE[("static_changes", None)] == 0
    everyone = GOOD.set_column(3, "sex", GOOD["sex"].take(pa.array(np.arange(GOOD.num_rows)[::-1])))
    assert measured(everyone)[("static_changes", None)] > 0.3


def test_days_and_dates_are_the_same() -> None:
    def dated(table: pa.Table) -> pa.Table:
        start = date(2020, 1, 1)
        days = [start + timedelta(days=day) for day in table["day"].to_pylist()]
        return table.set_column(1, "day", pa.array(days))

    found = measured(dated(GOOD), real=dated(REAL), held_out=dated(HELD_OUT))
    assert found == pytest.approx(BASE, abs=1e-9)


def test_figures_agree_with_their_definitions() -> None:
    real, other = HELD_OUT.to_pandas(), GOOD.to_pandas()
    sizes = [frame.groupby("patient").size() for frame in (real, other)]
    assert BASE[("length", None)] == pytest.approx(ks_2samp(*sizes).statistic)
    gaps = [frame.groupby("patient")["day"].diff().dropna() for frame in (real, other)]
    assert BASE[("gap", None)] == pytest.approx(ks_2samp(*gaps).statistic)
    steps = [frame.groupby("patient")["glucose"].diff().dropna() for frame in (real, other)]
    assert BASE[("delta", "glucose")] == pytest.approx(ks_2samp(*steps).statistic)
    assert BASE[("missing", "lactate")] == pytest.approx(
        abs(real["lactate"].isna().mean() - other["lactate"].isna().mean())
    )

    def lag(frame: pd.DataFrame) -> float:
        before = frame.groupby("patient")["glucose"].shift()
        return float(frame["glucose"].corr(before))

    assert BASE[("lag1", "glucose")] == pytest.approx(abs(lag(real) - lag(other)))


def test_copies_are_found(whole: VisitEvaluation) -> None:
    assert whole["copied_runs"].value == 0
    assert whole["membership_auc"].low is not None and whole["membership_auc"].low < 0.6
    found = lines(renamed(REAL, "c"))
    attacked = exposure(roles(found), found.real, found.held_out, Clock(60), {})
    values = {metric.name: metric.value for metric in attacked.metrics}
    assert values["membership_auc"] > 0.95
    assert values["exact_copies"] == 1
    assert copied_runs(found.synthetic, found.real, found.static).value == 1


def test_a_run_moved_in_time_is_a_copy_and_two_visits_are_none() -> None:
    later = REAL.set_column(1, "day", pa.array([day + 7 for day in REAL["day"].to_pylist()]))
    found = lines(renamed(later, "c"))
    assert copied_runs(found.synthetic, found.real, found.static).value == 1
    pairs = lines(renamed(truncated(REAL, 2), "c"))
    assert not copied_runs(pairs.synthetic, pairs.real, pairs.static).value > 0


def test_groups_have_figures_of_their_own(whole: VisitEvaluation) -> None:
    groups = whole.results.groups
    assert {group.group for group in groups} == {"F", "M"}
    for group in groups:
        assert {metric.name for metric in group.metrics} == {
            "length", "gap", "missing", "value", "level", "lag1",
        }  # fmt: skip


def test_json_holds_every_figure_by_its_name(whole: VisitEvaluation) -> None:
    told = json.loads(whole.to_json())
    assert told["format"] == "synthehr-visit-report"
    for name in (
        "length", "gap", "negative", "span", "value", "level", "missing", "missing_visit",
        "lag1", "cross", "delta", "moves",
    ):  # fmt: skip
        figure = told["metrics"][name]
        assert set(figure) >= {"value", "ceiling", "low", "high", "better", "reading", "section"}
        assert figure["value"] == pytest.approx(whole[name].value, abs=1e-4)
    assert {"name": "lag1", "column": "glucose"}.items() <= next(
        row for row in told["by_column"] if (row["name"], row["column"]) == ("lag1", "glucose")
    ).items()
    assert whole["lag1", "glucose"].value >= 0


def test_the_page_stands_alone_and_names_no_patient(whole: VisitEvaluation, tmp_path: Path) -> None:
    path = tmp_path / "visits.html"
    write_visit_report(whole, path)
    page = path.read_text()
    assert "<script" not in page and "http" not in re.sub(r"http-equiv", "", page)
    for text in ("Visits per patient", "Correlation with the visit before", "Groups of patients"):
        assert text in page
    assert page.count('<svg class="chart" role="img"') >= 6
    assert not re.search(r">[^<]*\b[phs]\d+\b", page[page.index("<main>") :])
    with pytest.raises(SynthehrError, match="exists"):
        write_visit_report(whole, path)


def test_one_visit_each_is_measured() -> None:
    found = measured(truncated(GOOD, 1), real=truncated(REAL, 1), held_out=truncated(HELD_OUT, 1))
    assert found[("length", None)] == 0
    assert ("gap", None) not in found
    assert found[("value", None)] < 0.2


def _without(name: str) -> pa.Table:
    return GOOD.drop_columns([name])


NULL_DAY = GOOD.set_column(1, "day", pa.array([None, *GOOD["day"].to_pylist()[1:]]))
TEXT_DAY = GOOD.set_column(1, "day", pa.array([str(day) for day in GOOD["day"].to_pylist()]))


@pytest.mark.parametrize(
    ("synthetic", "options", "said"),
    [
        (_without("day"), {}, "lacks"),
        (_without("patient"), {}, "lacks"),
        (_without("drug"), {}, "lacks"),
        (NULL_DAY, {}, "null in 1 visits"),
        (TEXT_DAY, {}, "holds string"),
        (GOOD, {"target": "glucose"}, "changes within real patients"),
        (GOOD, {"by": "weight"}, "no column"),
        (GOOD, {"held_out": REAL}, "real table too"),
        (truncated(GOOD, 9).slice(0, 30), {}, "patients; 20 are needed"),
    ],
    ids=["time", "patient", "column", "null", "text", "target", "by", "overlap", "few"],
)
def test_what_cannot_be_compared_is_refused(
    synthetic: pa.Table, options: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        evaluate_visits(REAL, synthetic, patient="patient", time="day", **options)


def test_the_command_says_what_the_call_says_and_splits_real_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    real, made = visits(50, 1), visits(30, 2, prefix="s")
    pq.write_table(real, "real.parquet")
    pq.write_table(made, "made.parquet")
    asked = ("report", "real.parquet", "made.parquet", "--time", "day")
    assert "whose visit" in refused(run(capsys, *asked))
    asked = (*asked, "--patient", "patient")
    assert "no model file" in refused(run(capsys, *asked, "--model", "m"))
    done = run(capsys, *asked, "--json", "r.json", "--fail-under", "length=0.001")
    assert done.code == 3, done.err
    assert "length" in done.err
    assert "Synthetic visits report" in Path("report.html").read_text()
    found = evaluate_visits(real, made, patient="patient", time="day")
    said = json.loads(Path("r.json").read_text())
    assert {**said, "seconds": 0} == {**found.to_dict(), "seconds": 0}
    assert found.results.ceiling_from == "halves"
    assert [part.part for part in found.results.not_measurable] == ["membership inference"]
    assert [(cap.used, cap.of) for cap in found.results.caps] == [(25, 30)]
    with pytest.raises(ConfigError):
        found["membership_auc"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["pbcseq", "aids_cd4"])
def test_figures_agree_with_the_independent_scorer(name: str) -> None:
    folder = SPLITS / name
    if not folder.is_dir():
        pytest.skip("the splits are not here")
    patient, time = (folder / "keys").read_text().split()
    train, test = folder / "train.parquet", folder / "test.parquet"
    done = subprocess.run(
        [
            sys.executable, SHARED / "measure" / "score_seq.py", train, test, train,
            "--patient", patient, "--time", time,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    scored = json.loads(done.stdout)
    found = evaluate_visits(train, train, held_out=test, patient=patient, time=time)
    for key, value in scored.items():
        if key not in ("patients", "rows"):
            assert found[key].value == pytest.approx(value, abs=6e-5), key
            assert found[key].ceiling == pytest.approx(value, abs=6e-5), key
