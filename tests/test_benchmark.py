"""The benchmark's own judgement: what is run, what is kept, what passes, what is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dp
import dp_step
import public
import quality
import records
import run
import speed
import step_cost
import table
from bars import BARS, Bar, judge
from child import Child, run_child
from plot import plot
from synthehr.privacy.measure import domains_of
from synthehr.schema.infer import infer
from synthehr.schema.table import Schema

MACHINE = {"cores": 2, "cpu": "a chip", "torch": "2.13.0", "commit": "abc"}


def record(data: str, who: str, **figures: float) -> records.Record:
    return {
        "suite": "quality",
        "data": data,
        "who": who,
        "seed": 0,
        "rival": who in ("mostly", "ctgan:100"),
        "options": "",
        "when": "2026-11-21T00:00:00+00:00",
        "machine": MACHINE,
    } | figures


def test_a_child_tells_its_peak_its_output_and_its_code() -> None:
    # asked in a process of its own: a peak is never below the size of the process that asks
    code = """
import json, sys
from child import Child, run_child
block = run_child([sys.executable, "-c", "x = bytearray(400_000_000); print('held')"])
small = run_child([sys.executable, "-c", "import sys; print('no', file=sys.stderr); sys.exit(3)"])
print(json.dumps([block, small]))
"""
    where = os.environ | {"PYTHONPATH": str(run.ROOT / "benchmarks")}
    told = subprocess.run([sys.executable, "-c", code], env=where, capture_output=True, check=True)
    block, small = (Child(*fields) for fields in json.loads(told.stdout))
    assert (block.code, block.out, small.code, small.err) == (0, "held\n", 3, "no\n")
    assert 381 < block.peak_mib < 450
    assert small.peak_mib < 100


def test_a_child_is_stopped_at_its_limit() -> None:
    child = run_child([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.5)
    assert child.code == -9
    assert child.seconds < 30


def test_plan_measures_the_real_rows_first_then_ours_then_rivals() -> None:
    jobs = quality.plan(["stroke"], ["vae"], ["mostly", "ctgan:100"], seeds=2, options="--set a=1")
    assert [(job.who, job.seed, job.rival) for job in jobs] == [
        ("real", 0, False),
        ("vae", 0, False),
        ("mostly", 0, True),
        ("ctgan:100", 0, True),
        ("vae", 1, False),
        ("mostly", 1, True),
        ("ctgan:100", 1, True),
    ]
    assert {job.options for job in jobs if job.rival} == {""}


def test_records_resume_after_a_torn_line_and_retry_failures(tmp_path) -> None:
    path = tmp_path / "quality.jsonl"
    records.append(path, record("stroke", "vae", detect=0.9))
    records.append(path, record("stroke", "gan") | {"failed": "exit code 2: no"})
    with path.open("a") as file:
        file.write('{"suite": "quality", "data"')
    records.append(path, record("stroke", "vae", detect=0.8))
    kept = records.latest(records.read(path))
    assert [entry["who"] for entry in kept.values()] == ["vae"]
    assert next(iter(kept.values()))["detect"] == 0.8
    assert next(iter(kept.values()))["machine"]["cores"] >= 1


def test_bars_pass_fail_and_stay_open() -> None:
    bars = (
        Bar("adult", "vae", "detect", high=0.8),
        Bar("adult", "vae", "closer", low=0.48, high=0.52),
        Bar("adult", "vae", "fit_s", high=0.4, rival="mostly"),
        Bar("adult", "vae", "fit_s", high=0.5, rival="ctgan"),
        Bar("adult", "gan", "detect", high=0.8),
    )
    runs = [
        record("adult", "vae", detect=0.81, closer=0.5, fit_s=30.0),
        record("adult", "mostly", detect=0.58, fit_s=100.0),
        record("adult", "ctgan:100", fit_s=10.0),
    ]
    verdicts = judge(runs, bars)
    assert [verdict.passed for verdict in verdicts] == [False, True, True, False, None]
    assert verdicts[2].value == pytest.approx(0.3)
    assert verdicts[3].value == pytest.approx(1.0)
    assert "scaled from 100 to 300" in verdicts[3].note
    assert verdicts[0].rival_value == 0.58


def test_bars_ignore_runs_with_options_of_their_own() -> None:
    tuned = record("adult", "vae", detect=0.5) | {"options": "--set train.steps=1"}
    assert judge([tuned], (Bar("adult", "vae", "detect", high=0.8),))[0].value is None


def test_plan_of_privacy_goes_through_the_epsilons() -> None:
    jobs = dp.plan(["stroke"], ["vae"], ["dpmm-mst"], [1.0, 3.0], 1, options="--set a=1")
    assert [(job.who, job.epsilon, job.rival, job.options) for job in jobs] == [
        ("real", None, False, ""),
        ("vae", 1.0, False, "--set a=1"),
        ("dpmm-mst", 1.0, True, ""),
        ("vae", 3.0, False, "--set a=1"),
        ("dpmm-mst", 3.0, True, ""),
    ]
    assert len({records.key(job.record()) for job in jobs}) == 5
    places = quality.Places(measure=run.ROOT, out=run.ROOT)
    assert len({places.work(job) for job in jobs}) == 5


def test_bars_of_privacy_look_at_their_own_epsilon() -> None:
    runs = [
        record("adult", "vae", tstr=0.9),
        record("adult", "vae", tstr=0.8) | {"epsilon": 1.0},
        record("adult", "vae", tstr=0.88) | {"epsilon": 3.0},
        record("adult", "dpmm-mst", tstr=0.84) | {"epsilon": 3.0},
    ]
    bars = [Bar("adult", "vae", "tstr", low=0.85, epsilon=e) for e in (None, 1.0, 3.0, 10.0)]
    verdicts = judge(runs, bars)
    assert [verdict.passed for verdict in verdicts] == [True, False, True, None]
    assert [verdict.rival_value for verdict in verdicts] == [None, None, 0.84, None]
    lines = table.quality_table(runs).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "adult",
        "adult, ε = 1",
        "adult, ε = 3",
        "",
    ]
    assert "| adult, ε = 1 | vae | tstr |" in table.bars_table(verdicts)


def test_public_bounds_and_levels_are_those_of_all_tables() -> None:
    days = pa.array([0, 10], pa.date32())
    one = pa.table({"n": [1, 5], "x": [0.5, None], "s": ["b", None], "b": [True, False], "d": days})
    two = pa.table({"n": [-2, 3], "x": [9.5, 1.0], "s": ["a", "b"], "b": [True, True], "d": days})
    kinds = {"n": "integer", "x": "numeric", "s": "categorical", "b": "boolean", "d": "date"}
    inferred = infer(pa.concat_tables([one] * 50)).to_json()
    for column in inferred["columns"]:
        column["kind"] = kinds[column["name"]]
    schema = Schema.from_json(public.declared(inferred, [one, two]))
    assert schema["n"].bounds == (-2.0, 5.0)
    assert schema["x"].bounds == (0.5, 9.5)
    assert schema["d"].bounds == (0.0, 10.0)
    assert schema["s"].levels == ("a", "b")
    assert schema["b"].levels is None
    without_dates = schema.with_columns(replace(schema["d"], role="drop"))
    assert set(domains_of(without_dates, one.schema)) == set(kinds) - {"d"}


def small_table(path) -> None:
    rng = np.random.default_rng(0)
    rows = {"n": rng.normal(size=600).round(2), "s": rng.choice(["a", "b", "c"], 600)}
    pq.write_table(pa.table(rows), path)


@pytest.mark.parametrize("network", dp_step.NETWORKS)
def test_a_step_is_timed_in_the_training_loop(tmp_path, network: str) -> None:
    small_table(tmp_path / "train.parquet")
    told = [
        step_cost.measure(tmp_path / "train.parquet", network, engine, 64, steps=5, warmup=2)
        for engine in ("plain", "ours")
    ]
    assert [figures["steps"] for figures in told] == [4, 4]
    assert told[0]["weights"] == told[1]["weights"]
    assert told[0]["slots"] == 64 < told[1]["slots"]
    assert all(figures["ms"] > 0 for figures in told)


@pytest.mark.slow
def test_steps_are_compared_with_opacus(tmp_path) -> None:
    split = tmp_path / "splits" / "adult"
    split.mkdir(parents=True)
    (split / "target").write_text("")
    small_table(split / "train.parquet")
    places = quality.Places(measure=tmp_path, out=tmp_path)
    default, stand_in = (
        dp_step.run_network(network, places, threads=1, limit=600.0, batch=32)
        for network in dp_step.NETWORKS
    )
    assert default["opacus_ghost"] == "cannot train it"
    assert default["opacus_hooks_ratio"] > default["ours_ratio"]
    assert stand_in["opacus_ghost_ratio"] > 0
    assert stand_in["plain_ratio"] == 1.0


def test_every_bar_names_something_that_is_measured() -> None:
    parts = {*speed.NAMES.values(), *((name, dp_step.MODEL) for name in dp_step.NETWORKS.values())}
    for bar in BARS:
        data = quality.DATA if bar.epsilon is None else dp.DATA
        assert bar.data in data or (bar.data, bar.who) in parts, bar
        assert bar.epsilon in (None, *dp.EPSILONS), bar
        assert bar.low is not None or bar.high is not None


def test_tables_show_means_ranges_and_the_real_rows_first() -> None:
    runs = [
        record("adult", "mostly", detect=0.5, fit_s=9.0),
        record("adult", "vae", detect=0.7),
        record("adult", "vae", detect=0.9) | {"seed": 1},
        record("adult", "real", detect=0.51, shapes=0.993),
    ]
    lines = table.quality_table(runs).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == ["*real rows*", "mostly", "vae"]
    assert "0.800 (0.700–0.900)" in lines[-1]
    bars = table.bars_table(judge(runs, (Bar("adult", "vae", "detect", high=0.75),)))
    assert "**FAIL**" in bars
    assert "2 cores, a chip" in table.machine_line(runs)


def test_readme_is_filled_between_its_marks_only(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.START}\nold\n{table.END}\nafter\n")
    table.update_readme(readme, "new")
    assert readme.read_text() == f"before\n{table.START}\nnew\n{table.END}\nafter\n"
    readme.write_text("no marks")
    with pytest.raises(ValueError, match="once each"):
        table.update_readme(readme, "new")


def test_table_command_writes_table_plot_and_readme(tmp_path, capsys) -> None:
    assert run.main(["table", "--out", str(tmp_path)]) == 2
    path = tmp_path / "quality.jsonl"
    for entry in (
        record("adult", "autoregressive", detect=0.52, fit_s=40.0, shapes=0.991),
        record("adult", "mostly", detect=0.58, fit_s=120.0),
        record("stroke", "vae", detect=0.7, fit_s=3.0),
    ):
        records.append(path, entry)
    readme = tmp_path / "README.md"
    readme.write_text(f"{table.START}\n{table.END}\n")
    arguments = ["table", "--out", str(tmp_path), "--update-readme", "--readme", str(readme)]
    assert run.main(arguments) == 0
    assert "| adult | autoregressive |" in readme.read_text()
    assert (tmp_path / "quality.svg").stat().st_size > 1000
    assert (tmp_path / "quality.png").exists()
    assert "not run" in capsys.readouterr().out


def test_plot_of_equal_records_is_equal(tmp_path) -> None:
    runs = [record("adult", "vae", detect=0.7, fit_s=3.0)]
    plot(runs, [tmp_path / "a.svg"])
    plot(runs, [tmp_path / "b.svg"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_large_table_has_the_asked_shape_and_holds_together() -> None:
    made = speed.large_table(2000, 8, seed=0)
    assert (made.num_rows, made.num_columns) == (2000, 8)
    numbers = made.select(["number_0", "number_4", "number_6"]).to_pandas()
    assert numbers.corr().abs().to_numpy()[0, 1] > 0.1
    assert numbers.number_6.isna().mean() == pytest.approx(0.1, abs=0.03)


def test_a_failing_fit_is_recorded_and_not_raised(tmp_path) -> None:
    split = tmp_path / "splits" / "tiny"
    split.mkdir(parents=True)
    (split / "target").write_text("")
    (split / "train.parquet").write_bytes(b"no table")
    places = quality.Places(measure=tmp_path, out=tmp_path)
    ours = quality.run_job(quality.Job(data="tiny", who="vae"), places, limit=60)
    assert ours["failed"].startswith("exit code")
    rival = quality.run_job(quality.Job(data="tiny", who="mostly", rival=True), places, limit=60)
    assert "PEERS" in rival["failed"]
    private, peer = dp.plan(["tiny"], ["vae"], ["dpmm-mst"], [1.0], seeds=1)[1:]
    failed = dp.run_private(private, places, limit=60)
    assert failed["failed"].startswith("exit code")
    assert failed["epsilon"] == 1.0
    assert "PEERS" in dp.run_private(peer, places, limit=60)["failed"]


@pytest.mark.data
@pytest.mark.slow
def test_quality_suite_measures_a_small_model_end_to_end(tmp_path) -> None:
    if not (run.ROOT.parent / "shared" / "measure").exists():
        pytest.skip("the scorer is not beside the repository")
    arguments = ["quality", "--data", "heart_disease", "--models", "vae", "--out", str(tmp_path)]
    assert run.main([*arguments, "--options", "--set train.steps=20"]) == 0
    measured = [json.loads(line) for line in (tmp_path / "quality.jsonl").read_text().splitlines()]
    assert [entry["who"] for entry in measured] == ["real", "vae"]
    assert 0.5 < measured[0]["trtr"] < 1
    assert measured[1]["fit_s"] < measured[1]["fit_process_s"]
    assert run.main([*arguments, "--options", "--set train.steps=20"]) == 0
    assert len((tmp_path / "quality.jsonl").read_text().splitlines()) == 2
