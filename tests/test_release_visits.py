"""A release of visits: the layout that came in, and no visits where a gate fails."""

from __future__ import annotations

import csv
import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run

from synthehr import SequenceSynthesizer
from synthehr.errors import GateError, InputError
from synthehr.release.visits import release_visits

QUICK = {
    "model": {"hidden": 8, "width": 16, "embedding": 4},
    "train": {"steps": 30, "batch_size": 32},
}
EASY = {name: 1.0 for name in ("missing", "value", "copied_runs")}
EASY |= {name: 1.0 for name in ("exact_copies", "near_copies", "nearer_to_training")}


@cache
def patients(n: int = 240) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table({"id": np.arange(n), "sex": np.array(["F", "M"])[rng.integers(0, 2, n)]})


@cache
def visits(n: int = 240) -> pa.Table:
    rng = np.random.default_rng(1)
    counts = rng.integers(2, 6, n)
    who = np.repeat(np.arange(n), counts)
    days = rng.integers(1, 40, len(who)).cumsum()
    lab = np.round(np.repeat(rng.normal(5, 1, n), counts) + rng.normal(0, 0.5, len(who)), 2)
    return pa.table({"id": who, "day": days, "lab": lab})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("release") / "out"
    done = release_visits(
        (patients(), visits()),
        path,
        SequenceSynthesizer(seed=1, settings=QUICK),
        patient="id",
        time="day",
        n=60,
        limits=EASY | {"level": 1.0},
    )
    assert done["record"]["sampled_patients"] == 60
    return path


def test_two_tables_come_out_of_two_tables(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "SHA256SUMS",
        "data_dictionary.csv",
        "report.html",
        "report.json",
        "synthetic",
    ]
    drawn = pq.read_table(folder / "synthetic" / "patients.parquet")
    assert drawn.schema.names == patients().schema.names and drawn.num_rows == 60
    held = pq.read_table(folder / "synthetic" / "visits.parquet")
    assert set(held["id"].to_pylist()) == set(drawn["id"].to_pylist())


def test_the_checksums_hold_for_every_file(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, name = line.split("  ")
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_columns_are_explained_and_the_report_knows_who_was_held_out(folder: Path) -> None:
    rows = list(csv.DictReader((folder / "data_dictionary.csv").read_text().splitlines()))
    said = {row["column"]: row["values"] for row in rows}
    assert set(said) == {"id", "day", "sex", "lab"}
    assert said["sex"] in ("F, M", "M, F") and said["day"] == "" and said["lab"]
    told = json.loads((folder / "report.json").read_text())
    assert told["patients"]["holdout"] == 24


def test_a_failed_gate_keeps_the_visits_back(tmp_path: Path) -> None:
    synthesizer = SequenceSynthesizer(seed=1, settings=QUICK)
    with pytest.raises(GateError, match="no records were released: value") as found:
        release_visits(
            visits(), tmp_path / "out", synthesizer, patient="id", time="day",
            limits=EASY | {"value": 0.0},
        )  # fmt: skip
    assert found.value.exit_code == 3
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["SHA256SUMS", "report.html", "report.json"]


def test_few_patients_are_refused_before_the_fit(tmp_path: Path) -> None:
    few = visits().slice(0, 150)
    with pytest.raises(InputError, match="patients are held out"):
        release_visits(few, tmp_path / "out", SequenceSynthesizer(seed=1), patient="id", time="day")
    assert not (tmp_path / "out").exists()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(visits(), tmp_path / "v.parquet")
    words = ["release", tmp_path / "v.parquet", "-o", tmp_path / "out", "--time", "day"]
    words += ["--patient", "id", "--seed", 1, "-n", 40, "--with-model", "--json"]
    for group, settings in QUICK.items():
        for key, value in settings.items():
            words += ["--set", f"{group}.{key}={value}"]
    for name, limit in EASY.items():
        words += ["--fail-under", f"{name}={limit}"]
    done = run(capsys, *words)
    assert done.code == 0, done.err
    assert "model.synthehr" in json.loads(done.out)["files"]
    assert pq.read_table(tmp_path / "out" / "synthetic.parquet").schema.names == [
        "id",
        "day",
        "lab",
    ]
    private = [*words, "--force", "--epsilon", 8, "--public-rows", 240]
    assert "--fail-under does not go with --epsilon" in refused(run(capsys, *private))
