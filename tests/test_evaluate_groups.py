"""Groups of patients, rules and outliers in the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from commands import run
from evaluated import patients, with_column

from synthehr import Synthesizer, evaluate
from synthehr.evaluation.report import Report
from synthehr.gates import assess
from synthehr.io import write_table
from synthehr.modes.constraints import Rules

RULE = {"name": "no smokers", "then": "smokes=false"}


def women_are_noise(n: int, seed: int) -> pa.Table:
    """Patients of whom the women's sodium and deaths are drawn at random."""
    table, rng = patients(n, seed), np.random.default_rng(seed)
    women = np.asarray(table["sex"]) == "F"
    sodium = np.where(women, rng.normal(160, 20, n).round(1), table["sodium"].to_numpy())
    died = np.where(women, rng.integers(0, 2, n), table["died"].to_numpy()).astype(np.int8)
    return with_column(with_column(table, "sodium", sodium), "died", died)


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate(
        patients(1500, 1),
        women_are_noise(1500, 2),
        holdout=patients(1500, 3),
        target="died",
        groups=["sex", "age"],
        rules=Rules.from_json({"rule": [RULE, {"then": "age=15:"}]}),
        record={"drawn_without_rules": {"records": 100, "broken": {"no smokers": 40}}},
    )


def test_a_group_that_was_learned_badly_shows(report: Report) -> None:
    women, men = (next(each for each in report.results.groups if each.group == sex) for sex in "FM")
    assert men.shape > women.shape + 0.05
    assert abs(men.shape_ceiling - women.shape_ceiling) < 0.02
    assert women.utility_synthetic is not None and women.utility_real is not None
    assert men.utility_synthetic is not None
    assert women.utility_synthetic.high < women.utility_real.value
    assert men.utility_synthetic.value > women.utility_synthetic.value
    assert women.share_real + men.share_real == pytest.approx(1.0)


def test_numbers_are_groups_by_thirds(report: Report) -> None:
    thirds = [each for each in report.results.groups if each.column == "age"]
    assert [each.group for each in thirds] == ["lowest third", "middle third", "highest third"]
    assert all(0.25 < each.share_real < 0.42 for each in thirds)


def test_small_groups_are_left_out() -> None:
    table = patients(2000, 1)
    found = evaluate(table, patients(2000, 2), groups=["diagnosis"], seconds=1).results.groups
    assert [each.group for each in found] == ["none"]


def test_groups_are_found_by_their_names() -> None:
    found = evaluate(patients(300, 1), patients(300, 2), seconds=1).results.groups
    assert {each.column for each in found} == {"sex"}


def test_broken_rules_are_counted_and_few_real_ones_not_told(report: Report) -> None:
    smokers, order = report.results.rules
    assert smokers.broken_real == sum(patients(1500, 1)["smokes"].to_pylist())
    assert smokers.broken_synthetic == sum(women_are_noise(1500, 2)["smokes"].to_pylist())
    assert smokers.share_unruled == 0.4
    young = int((patients(1500, 1)["age"].to_numpy() < 15).sum())
    assert 0 < young < 10 and order.broken_real is None
    assert "fewer than 10" in report.to_html()
    assert report.to_dict()["rules"][1]["broken_real"] is None


@pytest.mark.slow
def test_outliers_are_counted_by_the_model_that_knows_them(tmp_path: Path) -> None:
    table = patients(1200, 1)
    quick = {"train": {"steps": 120}, "model": {"width": 64, "blocks": 1}}
    model = Synthesizer(seed=1, settings=quick).fit(table)
    model.save(tmp_path / "m.synthehr")
    drawn = pa.concat_tables(model.sample_batches(800, seed=2))
    odd = with_column(drawn, "diagnosis", pa.array(["porphyria"] * 800))
    odd = with_column(odd, "sodium", np.full(800, 131.0))
    plain, rare = (assess(table, each, model=tmp_path / "m.synthehr") for each in (drawn, odd))
    low = plain["outliers"]
    assert low.value < 0.04 and low.ceiling is not None and low.ceiling < 0.05
    assert rare["outliers"].value > 0.2


def test_the_command_line_takes_groups_and_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("real", 1), ("synthetic", 2)):
        write_table([patients(400, seed)], tmp_path / f"{name}.parquet")
    (tmp_path / "r.toml").write_text('[[rule]]\nthen = "smokes=false"\n')
    done = run(
        capsys, "report", tmp_path / "real.parquet", tmp_path / "synthetic.parquet",
        "--by", "ward", "--rules", tmp_path / "r.toml", "--json", "-",
        "-o", tmp_path / "report.html",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert {each["column"] for each in found["groups"]} == {"ward"}
    assert found["rules"][0]["rule"] == "smokes=false"
