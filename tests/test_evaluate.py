"""The whole evaluation: every section has figures, ceilings and caps, in time, from a seed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluated import patients, visits, with_column

from synthehr.errors import InputError, SynthehrError
from synthehr.evaluation import measure, prepare
from synthehr.evaluation.evaluate import evaluate
from synthehr.evaluation.views import align
from synthehr.schema.infer import infer

SECTIONS = [
    "fidelity", "detection", "utility", "missingness", "coverage", "privacy", "similarity",
]  # fmt: skip


@pytest.fixture(scope="module")
def report():
    return evaluate(
        patients(900, 1),
        patients(900, 2, shift=4),
        holdout=patients(600, 3),
        target="died",
        seconds=600,
    )


def test_every_section_has_figures_beside_ceilings(report):
    sections = list(dict.fromkeys(metric.section for metric in report.metrics))
    assert [section for section in sections if section != "diagnostic"] == SECTIONS
    names = [metric.name for metric in report.metrics]
    assert len(set(names)) == len(names)
    for metric in report.metrics:
        assert metric.ceiling is not None, metric.name
        assert np.isfinite(metric.value)
        if metric.low is not None and metric.high is not None:
            assert metric.low <= metric.value <= metric.high
        assert metric.detail.endswith(".")
    assert report.results.ceiling_from == "holdout"


def test_a_good_figure_is_at_its_ceiling_and_a_bad_one_is_not(report):
    assert report["detection_auroc"].value > 0.65
    assert abs((report["detection_auroc"].ceiling or 0) - 0.5) < 0.06
    assert report["trend"].value > 0.9
    assert report["target_auroc"].value > 0.75
    assert report["nearer_to_training"].ceiling == 0.5
    assert report["null_share_error"].value < 0.05


def test_columns_say_which_one_gives_the_fake_away(report):
    worst = max(report.columns, key=lambda column: column.importance or 0.0)
    assert worst.name == "sodium"
    assert worst.detection is not None
    assert worst.detection > 0.68
    assert {column.kind for column in report.columns} == {"number", "category", "date"}
    assert all(column.shape_ceiling is not None for column in report.columns)
    assert all(column.utility_real is not None for column in report.columns)


def test_the_report_can_be_written(report, tmp_path):
    report.to_json(tmp_path / "report.json")
    report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_seed_decides_every_figure():
    tables = [patients(120, k).select(["age", "sex", "pressure", "died"]) for k in (1, 2, 3)]
    real, synthetic, holdout = tables
    runs = [
        evaluate(real, synthetic, holdout=holdout, target="died", seed=seed, seconds=600)
        for seed in (5, 5, 6)
    ]
    assert runs[0].metrics == runs[1].metrics
    assert runs[0].metrics != runs[2].metrics


def test_without_held_out_records_halves_give_the_ceilings():
    report = evaluate(patients(500, 1), patients(500, 2), target="died", seconds=600)
    assert report.results.ceiling_from == "halves"
    assert "similarity" not in [metric.section for metric in report.metrics]
    parts = [part.part for part in report.results.not_measurable]
    assert "similarity to the training records" in parts
    assert report["target_auroc"].ceiling is not None
    assert report["shape"].ceiling is not None


def test_the_time_box_is_kept_and_what_is_left_out_is_listed():
    views = align(patients(20_000, 1), patients(20_000, 2), patients(10_000, 3))
    start = time.monotonic()
    results = measure.measure(views, target="died", seconds=1e-3)
    assert time.monotonic() - start < 20
    assert [metric.section for metric in results.metrics if metric.section == "utility"] == []
    left_out = {part.part for part in results.not_measurable}
    assert {"detection", "prediction of the target"} <= left_out
    assert results["shape"].value > 0.98


def test_the_time_box_changes_no_figure_it_leaves_in():
    tables = [patients(150, k).select(["age", "sex", "pressure", "died"]) for k in (1, 2, 3)]
    views = align(*tables)
    short = measure.measure(views, target="died", seconds=1e-3)
    long = {metric.name: metric for metric in measure.measure(views, seconds=600).metrics}
    assert short.metrics
    assert all(long[metric.name] == metric for metric in short.metrics)


def test_paths_frames_and_tables_give_the_same(tmp_path):
    real, synthetic = patients(200, 1), patients(200, 2)
    pq.write_table(real, tmp_path / "real.parquet")
    first = evaluate(tmp_path / "real.parquet", synthetic.to_pandas(), seconds=0.0)
    second = evaluate(real, synthetic, seconds=0.0)
    assert first["shape"] == second["shape"]


def test_ids_and_dropped_columns_may_be_missing_from_the_synthetic_table():
    ids = pa.array([f"id-{k:05d}" for k in range(300)])
    real = patients(300, 1).append_column("record_id", ids)
    report = evaluate(real, patients(300, 2), seconds=0.0)
    assert "record_id" not in [column.name for column in report.columns]


def test_declared_categories_of_numbers_are_compared_as_categories():
    real = patients(300, 1)
    schema = infer(real)
    died = replace(schema["died"], kind="categorical")
    schema = schema.with_columns(died)
    report = evaluate(real, patients(300, 2), schema=schema, seconds=0.0)
    assert [c.kind for c in report.columns if c.name == "died"] == ["category"]


def test_patients_are_found_and_counted():
    report = evaluate(visits(40, 5, 1), visits(40, 5, 2), holdout=visits(40, 5, 3), seconds=0.0)
    assert report.results.patients == (40, 40, 40)
    assert report.results.rows == (200, 200, 200)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"target": "dead"}, "target dead is not among the columns"),
        ({"synthetic": patients(100, 1)}, "same records"),
        ({"holdout": patients(100, 1).slice(0, 60)}, "60 of 60 held-out records"),
        ({"patient": "nobody"}, "no column nobody"),
        ({"holdout": patients(50, 3).drop_columns(["age"])}, "held-out table lacks"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, said):
    given = {"real": patients(100, 1), "synthetic": patients(100, 2), "seconds": 0.0} | changes
    with pytest.raises(SynthehrError) as caught:
        evaluate(**given)
    assert said in caught.value.message
    assert caught.value.hint


def test_errors_hold_no_cell_value():
    secret = with_column(patients(50, 2), "sodium", pa.array(["SECRET-VALUE"] * 50))
    with pytest.raises(InputError) as caught:
        evaluate(patients(50, 1), secret)
    assert "SECRET" not in str(caught.value)


def test_large_tables_are_subsampled_by_patient_and_the_cap_is_said(monkeypatch):
    monkeypatch.setattr(prepare, "MOST_ROWS", 100)
    report = evaluate(visits(40, 5, 1), visits(30, 5, 2), holdout=visits(20, 5, 3), seconds=0.0)
    assert report.results.rows == (100, 100, 100)
    assert report.results.patients == (20, 20, 20)
    said = [(cap.part, cap.used, cap.of) for cap in report.results.caps]
    assert ("the real table", 100, 200) in said


@pytest.mark.parametrize("n", [10, 30])
def test_tiny_tables_are_evaluated_without_a_crash(n):
    report = evaluate(
        patients(n, 1), patients(n, 2), holdout=patients(n, 3), target="died", seconds=60
    )
    assert report["shape"].value > 0.3


def test_a_single_column_is_evaluated():
    names = ["sodium"]
    report = evaluate(
        patients(100, 1).select(names),
        patients(100, 2).select(names),
        holdout=patients(100, 3).select(names),
        seconds=60,
    )
    assert report.results.pairs is None
    assert report["shape"].value > 0.7
