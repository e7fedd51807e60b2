"""A release: all of it or nothing, and no records where a gate fails."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from commands import refused, run
from fitted import cohort
from marginals import Marginals
from report_results import results

from synthehr import Synthesizer
from synthehr.errors import ArtifactError, ConfigError, GateError
from synthehr.evaluation.metric import Estimate
from synthehr.evaluation.report import Report
from synthehr.gates import limits_of, release_failures
from synthehr.io.lock import beside
from synthehr.release.records import release

RECORDS = cohort().select(["patient_id", "sex", "age", "smoker"])
EASY = {"detection_auroc": 1.0, "shape": 0.0, "null_share_error": 1.0}
EASY |= {"exact_copies": 1.0, "near_copies": 1.0, "nearer_to_training": 1.0}
EASY |= {"membership_auc": 1.0, "linkability": 1.0, "attribute_inference_worst": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "out"
    told: list[str] = []
    release(
        RECORDS,
        path,
        Synthesizer(Marginals, seed=1),
        patient="patient_id",
        n=700,
        limits=EASY,
        with_model=True,
        tell=told.append,
    )
    assert any("next:" in line for line in told)
    return path


def test_the_folder_holds_what_is_handed_over(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "data_dictionary.csv",
        "model.synthehr",
        "report.html",
        "report.json",
        "synthetic.parquet",
    ]
    drawn = pq.read_table(folder / "synthetic.parquet")
    assert drawn.num_rows == 700 and drawn.column_names == RECORDS.column_names
    assert not list(folder.parent.glob(".*"))


def test_the_checksums_hold(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_the_dictionary_explains_every_column(folder: Path) -> None:
    rows = list(csv.DictReader((folder / "data_dictionary.csv").read_text().splitlines()))
    assert [row["column"] for row in rows] == RECORDS.column_names
    assert {row["column"]: row["values"] for row in rows}["sex"] in ("F, M", "M, F")
    assert {row["column"]: row["null"] for row in rows}["smoker"] == "yes"


def test_the_report_knows_the_run(folder: Path) -> None:
    told = json.loads((folder / "report.json").read_text())
    assert told["rows"]["holdout"] == 60
    assert told["record"]["seed"] == 1 and told["record"]["sampled_records"] == 700


def test_a_failed_gate_keeps_the_records_back(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for force in (False, True):
        # what a release leaves that is killed while it writes
        draft = beside(out, ".part")
        draft.mkdir()
        (draft / "synthetic.parquet").write_bytes(b"half")
        with pytest.raises(GateError, match="no records were released: shape") as found:
            release(
                RECORDS,
                out,
                Synthesizer(Marginals, seed=1),
                patient="patient_id",
                limits=EASY | {"shape": 1.0},
                with_model=True,
                force=force,
            )
    assert found.value.exit_code == 3
    names = ["SHA256SUMS", "report.html", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_earlier_release_is_replaced_only_by_force(folder: Path, tmp_path: Path) -> None:
    pq.write_table(RECORDS, tmp_path / "t.parquet")
    before = sorted(folder.iterdir())
    synthesizer = Synthesizer(Marginals, seed=2)
    with pytest.raises(ArtifactError, match="exists already"):
        release(RECORDS, folder, synthesizer)
    other = tmp_path / "home"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="other files"):
        release(RECORDS, other, synthesizer, force=True)
    assert sorted(folder.iterdir()) == before
    assert (other / "thesis.txt").read_text() == "years of work"


def test_a_fit_that_fails_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    done = run(capsys, "release", tmp_path / "t.csv", "-o", tmp_path / "out")
    refused(done)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_limits_are_names_and_numbers() -> None:
    assert limits_of(["shape=0.9", " detection_auroc = .8 "]) == {
        "shape": 0.9,
        "detection_auroc": 0.8,
    }


def judged(limits: dict[str, float], **intervals: tuple[float, float]) -> tuple[str, ...]:
    """Judge a report whose privacy figures have these intervals; 1 500 records are held out."""
    found = results(("age", "sex"))
    metrics = [
        metric._replace(low=intervals[metric.name][0], high=intervals[metric.name][1])
        if metric.name in intervals
        else metric
        for metric in found.metrics
    ]
    found = dataclasses.replace(found, metrics=tuple(metrics), rows=(5000, 5000, 1500))
    return release_failures(Report(found), limits)


def test_the_default_gates_let_a_good_table_pass() -> None:
    assert judged({}) == ()


@pytest.mark.parametrize(
    ("name", "interval", "strict"),
    [("exact_copies", (0.02, 0.04), 0.01), ("nearer_to_training", (0.54, 0.57), 0.51)],
)
def test_a_privacy_figure_surely_above_real_records_is_a_gate(
    name: str, interval: tuple[float, float], strict: float
) -> None:
    (sentence,) = judged({}, **{name: interval})
    assert sentence.startswith(f"{name}: its whole interval")
    assert judged({name: 0.9}, **{name: interval}) == ()
    assert judged({name: strict}, **{name: interval}) != ()


def attacked(limits: dict[str, float], auc: Estimate, linked: Estimate) -> tuple[str, ...]:
    """Judge a report whose attacks have these intervals; the null run reaches 0.5241."""
    found = results(("age", "sex"))
    ends = {"linkability": {"low": linked.low, "high": linked.high}}
    metrics = [metric._replace(**ends.get(metric.name, {})) for metric in found.metrics]
    membership = (found.membership[0]._replace(auc=auc), *found.membership[1:])
    changed = dataclasses.replace(found, metrics=tuple(metrics), membership=membership)
    return release_failures(Report(changed), limits)


@pytest.mark.parametrize(
    ("auc", "linked", "said"),
    [
        (Estimate(0.55, 0.52, 0.58), Estimate(0.1, 0.05, 0.15), []),
        (Estimate(0.53, 0.526, 0.534), Estimate(0.1, 0.05, 0.15), []),
        (Estimate(0.58, 0.55, 0.61), Estimate(0.1, 0.05, 0.15), ["membership_auc"]),
        (Estimate(0.55, 0.52, 0.58), Estimate(0.2, 0.1, 0.3), ["linkability"]),
    ],
)
def test_an_attack_that_surely_succeeds_is_a_gate(
    auc: Estimate, linked: Estimate, said: list[str]
) -> None:
    sentences = attacked({}, auc, linked)
    assert [sentence.split(":")[0] for sentence in sentences] == said
    assert all("its whole interval" in sentence for sentence in sentences)
    assert attacked({"membership_auc": 1.0, "linkability": 1.0}, auc, linked) == ()


def test_the_users_limits_go_before_the_defaults() -> None:
    assert judged({"detection_auroc": 0.8})[0].startswith("detection_auroc")
    assert judged({"detection_auroc": 0.82}) == ()
    with pytest.raises(ConfigError):
        judged({"nothing": 1.0})
