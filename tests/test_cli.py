"""The command line: what each command writes, says and refuses."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run
from fitted import cohort

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("--set", "train.steps=20", "--set", "train.batch_size=128")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a cohort, a model fitted on it, and records drawn from the model."""
    from synthehr import Synthesizer

    path = tmp_path_factory.mktemp("cli")
    pq.write_table(cohort(), path / "cohort.parquet")
    settings = {"train": {"steps": 20, "batch_size": 128}}
    synthesizer = Synthesizer(seed=1, settings=settings)
    synthesizer.fit(cohort(), patient="patient_id").save(path / "cohort.synthehr")
    pq.write_table(synthesizer.sample(seed=2), path / "synthetic.parquet")
    return path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.monotonic()\n"
        "from synthehr.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "names = {'torch', 'pandas', 'pyarrow', 'sklearn', 'matplotlib', 'numpy'}\n"
        "heavy = names & set(sys.modules)\n"
        "print(heavy or 'light', file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stderr == "light\n"
    for command in ("schema", "fit", "sample", "report", "inspect", "release", "demo"):
        assert command in done.stdout


def test_importing_synthehr_is_light() -> None:
    code = "import sys, synthehr; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_version(capsys: Capture) -> None:
    done = run(capsys, "--version")
    assert (done.code, done.out) == (0, "synthehr 0.1.0\n")


def test_fit_sample_report_inspect(tmp_path: Path, capsys: Capture) -> None:
    pq.write_table(cohort(), tmp_path / "cohort.parquet")
    done = run(capsys, "fit", "cohort.parquet", "--patient", "patient_id", "--seed", 1, *QUICK)
    assert done.code == 0, done.err
    assert done.out == ""
    assert "named by the user" in done.err
    assert "nats a record" in done.err
    assert "next: synthehr sample cohort.synthehr" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cohort.parquet", "cohort.synthehr"]

    done = run(capsys, "sample", "cohort.synthehr", "--seed", 2)
    assert done.code == 0, done.err
    assert "600 records, seed 2" in done.err
    assert pq.read_table("synthetic.parquet").schema.equals(cohort().schema.remove_metadata())

    done = run(
        capsys, "report", "cohort.parquet", "synthetic.parquet", "--model", "cohort.synthehr",
        "--target", "died", "--json", "report.json", "--fail-under", "shape=0.1",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert json.loads(Path("report.json").read_text())["rows"]["holdout"] == 60
    assert Path("report.html").read_text().lstrip().lower().startswith("<!doctype html>")

    done = run(capsys, "inspect", "cohort.synthehr")
    assert done.code == 0, done.err
    assert "north" in done.out and "island" not in done.out
    done = run(capsys, "inspect", "cohort.synthehr", "--against", "cohort.parquet")
    assert done.code == 0, done.out


def test_schema_shows_why_and_writes(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    done = run(capsys, "schema", folder / "cohort.parquet", "-o", tmp_path / "schema.json")
    assert done.code == 0
    assert "distinct" in done.out
    written = json.loads((tmp_path / "schema.json").read_text())
    assert [column["name"] for column in written["columns"]] == cohort().column_names
    done = run(capsys, "schema", folder / "cohort.parquet", "--json")
    assert json.loads(done.out) == written
    assert "exists already" in refused(
        run(capsys, "schema", folder / "cohort.parquet", "-o", tmp_path / "schema.json")
    )


def test_dry_run_writes_nothing(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    done = run(capsys, "fit", folder / "cohort.parquet", "--dry-run", "--seed", 1)
    assert done.code == 0
    assert "plan: autoregressive" in done.err and "weights" in done.err
    assert list(tmp_path.iterdir()) == []
    done = run(capsys, "fit", folder / "cohort.parquet", "--dry-run", "--json", "-q")
    assert json.loads(done.out)["fitted_records"] == 540
    assert done.err == ""


def test_fit_tells_scripts_what_it_did(folder: Path, capsys: Capture) -> None:
    done = run(capsys, "fit", folder / "cohort.parquet", "-o", "m.synthehr", *QUICK, "--json", "-q")
    assert done.code == 0
    told = json.loads(done.out)
    assert told["output"] == "m.synthehr" and told["records"] == 600 and told["seed"] >= 0


def test_settings_come_from_a_file_and_the_line_wins(folder: Path, capsys: Capture) -> None:
    Path("run.toml").write_text("[train]\nsteps = 11\nbatch_size = 64\n")
    done = run(
        capsys, "fit", folder / "cohort.parquet", "--config", "run.toml", "--set", "train.steps=7",
        "--dry-run", "--json", "-q",
    )  # fmt: skip
    assert (json.loads(done.out)["steps"], json.loads(done.out)["batch_size"]) == (7, 64)


def test_a_fit_is_the_same_bytes_with_the_same_seed(folder: Path, capsys: Capture) -> None:
    for name in ("a", "b"):
        done = run(
            capsys, "fit", folder / "cohort.parquet", "-o", f"{name}.synthehr", "--seed", 5, *QUICK
        )
        assert done.code == 0, done.err
        assert run(capsys, "sample", f"{name}.synthehr", "-n", 50, "--seed", 6, "-o",
                   f"{name}.csv").code == 0  # fmt: skip
    assert Path("a.synthehr").read_bytes() == Path("b.synthehr").read_bytes()
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()


def test_sample_writes_what_it_is_asked_for(folder: Path, capsys: Capture) -> None:
    model = folder / "cohort.synthehr"
    done = run(capsys, "sample", model, "-n", 20, "-o", "-", "--seed", 1)
    rows = list(csv.DictReader(done.out.splitlines()))
    assert len(rows) == 20 and list(rows[0]) == cohort().column_names
    done = run(
        capsys, "sample", model, "-n", 30, "-o", "f.parquet", "--given",
        "sex=F, age=60:80, site=north|campus, crp=null", "--json", "-q",
    )  # fmt: skip
    assert json.loads(done.out)["records"] == 30 and done.err == ""
    drawn = pq.read_table("f.parquet")
    assert set(drawn["sex"].to_pylist()) == {"F"}
    assert drawn["crp"].null_count == 30
    assert all(60 <= age <= 80 for age in drawn["age"].to_pylist())
    pq.write_table(cohort().select(["sex", "age"]).slice(0, 5), "partial.parquet")
    done = run(capsys, "sample", model, "--given", "partial.parquet", "-o", "g.parquet")
    assert done.code == 0, done.err
    assert pq.read_table("g.parquet")["age"].to_pylist() == cohort()["age"][:5].to_pylist()


def test_pandas_reads_the_dtypes_of_the_real_table_and_nothing_of_its_index(
    capsys: Capture,
) -> None:
    import pandas as pd

    frame = cohort().to_pandas().set_index("patient_id")
    nullable = {"age": "Int8", "sex": "category", "site": "string", "diabetes": "boolean"}
    frame = frame.astype(nullable)
    frame["admitted"] = frame["admitted"].dt.tz_localize("Europe/Berlin", ambiguous=True)
    frame.to_parquet("real.parquet")
    assert run(capsys, "fit", "real.parquet", *QUICK, "-o", "m.synthehr").code == 0
    assert run(capsys, "sample", "m.synthehr", "-n", "70").code == 0
    drawn = pd.read_parquet("synthetic.parquet")
    pd.testing.assert_series_equal(drawn.dtypes, pd.read_parquet("real.parquet").dtypes)
    assert drawn.index.equals(pd.RangeIndex(70))
    assert b"patient_id" not in pq.read_schema("synthetic.parquet").metadata[b"pandas"]


def test_a_model_without_conditions_of_its_own_says_its_rate(folder: Path, capsys: Capture) -> None:
    model = "vae.synthehr"
    done = run(
        capsys, "fit", folder / "cohort.parquet", "--model", "vae", "-o", model, "--seed", 1, *QUICK
    )
    assert done.code == 0, done.err
    done = run(capsys, "sample", model, "-n", 30, "--given", "sex=F")
    assert "satisfied the conditions (" in done.err


def test_a_gate_that_fails_leaves_report_and_code_3(folder: Path, capsys: Capture) -> None:
    done = run(
        capsys, "report", folder / "cohort.parquet", folder / "synthetic.parquet",
        "--fail-under", "shape=0.999", "--fail-under", "trend=0.1", "-o", "r.html", "--json", "-",
    )  # fmt: skip
    assert done.code == 3
    assert "error: shape" in done.err and "hint: " in done.err and "trend:" not in done.err
    assert Path("r.html").exists()
    assert "shape" in json.loads(done.out)["metrics"]


def test_limits_are_read_before_the_work(folder: Path, capsys: Capture) -> None:
    tables = (folder / "cohort.parquet", folder / "synthetic.parquet")
    assert "name=value" in refused(run(capsys, "report", *tables, "--fail-under", "shape"))
    assert not Path("report.html").exists()


def test_report_takes_one_word_on_what_was_held_out(folder: Path, capsys: Capture) -> None:
    tables = (folder / "cohort.parquet", folder / "synthetic.parquet")
    extra = ("--model", folder / "cohort.synthehr", "--holdout", folder / "cohort.parquet")
    assert "both say" in refused(run(capsys, "report", *tables, *extra))


def test_inspect_a_table(folder: Path, capsys: Capture) -> None:
    done = run(capsys, "inspect", folder / "cohort.parquet")
    assert done.code == 0
    assert "600 records, 16 columns" in done.out
    done = run(capsys, "inspect", folder / "cohort.parquet", "--json")
    assert json.loads(done.out)["null_cells"]["crp"] == cohort()["crp"].null_count


def test_inspect_lists_texts_and_tensors(folder: Path, capsys: Capture) -> None:
    done = run(capsys, "inspect", folder / "cohort.synthehr", "--json")
    told = json.loads(done.out)
    assert "north" in {row["text"] for row in told["texts"]}
    assert any(name.startswith("model.") for name in told["tensors"])
    assert {row["column"] for row in told["columns"]} == set(cohort().column_names)


def test_inspect_against_asks_whether_few_hold_a_text_in_its_own_column(tmp_path: Path) -> None:
    from synthehr import Synthesizer
    from synthehr.inspection import search

    doses = ["Up"] * 50 + ["No"] * 50
    table = pa.table({"insulin": doses, "acarbose": ["No"] * 98 + ["Up"] * 2})
    settings = {"train": {"steps": 2}}
    Synthesizer(seed=0, settings=settings).fit(table, holdout=0).save(tmp_path / "m.synthehr")
    assert search(tmp_path / "m.synthehr", table) == []
    swapped = pa.table({"insulin": table["acarbose"], "acarbose": table["acarbose"]})
    assert [hit.column for hit in search(tmp_path / "m.synthehr", swapped)] == [
        "insulin",
        "acarbose",
    ]


def test_inspect_against_finds_what_few_patients_hold(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    from synthehr import Synthesizer
    from synthehr.schema.infer import infer
    from synthehr.schema.table import Schema

    settings = {"train": {"steps": 5}, "encode": {"rare_patients": 1}}
    leaky = Synthesizer(seed=1, settings=settings)
    schema = infer(cohort(), patient="patient_id")
    assert isinstance(schema, Schema)
    leaky.fit(cohort(), schema).save(tmp_path / "leaky.synthehr")
    # The table that is searched for has other counts: half of it makes common levels rare.
    some = cohort().slice(0, 8)
    pq.write_table(some, tmp_path / "some.parquet")
    done = run(
        capsys, "inspect", folder / "cohort.synthehr", "--against", tmp_path / "some.parquet"
    )
    assert done.code == 1
    assert "site" in done.out
    assert not any(site in done.out for site in ("north", "campus", "harbour"))
    foreign = pa.table({"nothing": [1] * 20})
    pq.write_table(foreign, tmp_path / "foreign.parquet")
    assert "none of the columns" in refused(
        run(
            capsys, "inspect", folder / "cohort.synthehr", "--against", tmp_path / "foreign.parquet"
        )
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit",),
        ("fti", "x"),
        ("fit", "nowhere.parquet"),
        ("fit", "nowhere.parquet", "--nothing"),
        ("sample", "nowhere.synthehr"),
        ("inspect", "nowhere.synthehr"),
        ("inspect", "nowhere.parquet"),
        ("schema", "nowhere.csv"),
        ("report", "nowhere.parquet", "nowhere.parquet"),
        ("release", "nowhere.parquet", "-o", "out"),
        ("fit", "t.parquet", "--model", "autoregresive"),
        ("fit", "t.parquet", "--set", "steps=3"),
        ("fit", "t.parquet", "--set", "train.stepps=3"),
        ("fit", "t.parquet", "--holdout", "0.9"),
        ("fit", "t.parquet", "--seed", "-1"),
        ("fit", "t.parquet", "--seed", str(2**64)),
        ("fit", "t.parquet", "--max-minutes", "0"),
        ("fit", "t.parquet", "--patient", "nobody"),
        ("fit", "t.parquet", "--schema", "nowhere.json"),
        ("fit", "t.parquet", "--config", "nowhere.toml"),
    ],
    ids=" ".join,
)
def test_every_refusal_has_one_form(arguments: tuple[str, ...], capsys: Capture) -> None:
    pq.write_table(cohort(), "t.parquet")
    refused(run(capsys, *arguments))
    assert [path.name for path in Path().iterdir()] == ["t.parquet"]


def test_a_misspelt_setting_gets_the_nearest(capsys: Capture) -> None:
    pq.write_table(cohort(), "t.parquet")
    done = run(capsys, "fit", "t.parquet", "--set", "train.stepps=3")
    assert "did you mean train.steps?" in done.err


def test_the_demo_is_registered(capsys: Capture) -> None:
    done = run(capsys, "demo", "--help")
    assert done.code == 0


def test_python_m_synthehr_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synthehr", "--version"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "synthehr 0.1.0\n"
