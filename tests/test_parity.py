"""Parity: a target that does not hang on a group."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from commands import refused, run

from synthehr import Parity, Synthesizer
from synthehr.errors import ConditionError
from synthehr.modes.parity import parity_gap

FAIR = Parity("admitted", "sex")


def unfair(n: int = 1500) -> pa.Table:
    """Women are admitted at a share of .2, men of .6; pain tells admission."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["F", "M"], n)
    admitted = rng.random(n) < np.where(sex == "M", 0.6, 0.2)
    pain = rng.normal(3, 1, n) + 2 * admitted
    return pa.table({"sex": sex, "pain": pain, "admitted": admitted})


@pytest.fixture(scope="module")
def fitted() -> Synthesizer:
    return Synthesizer(seed=1, settings={"train": {"steps": 250}}).fit(unfair())


def test_the_gap_is_closed_and_all_else_stays(fitted: Synthesizer) -> None:
    plain = pa.concat_tables(fitted.sample_batches(4000, seed=2))
    fair = pa.concat_tables(fitted.sample_batches(4000, FAIR, seed=2))
    assert parity_gap(FAIR, plain) > 0.25
    assert parity_gap(FAIR, fair) < 0.05
    tells = []
    for table in (plain, fair):
        assert np.mean(table["admitted"].to_numpy()) == pytest.approx(0.4, abs=0.04)
        admitted = table["admitted"].to_numpy()
        pain = table["pain"].to_numpy()
        tells.append(pain[admitted].mean() - pain[~admitted].mean())
    assert tells[1] == pytest.approx(tells[0], abs=0.6)


def test_the_gap_is_that_between_the_groups_that_differ_most() -> None:
    table = pa.table({"sex": ["a"] * 100 + ["b"] * 100, "admitted": [True] * 130 + [False] * 70})
    assert parity_gap(FAIR, table) == pytest.approx(0.7)


@pytest.mark.parametrize("text", ["died", "died|", "died|sex|age", "sex|sex"])
def test_what_is_not_a_target_and_a_group_is_refused(text: str) -> None:
    with pytest.raises(ConditionError, match="target and a group"):
        Parity.parse(text)


def test_the_command_line_shows_the_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fitted: Synthesizer
) -> None:
    model, drawn = tmp_path / "m.synthehr", tmp_path / "s.parquet"
    fitted.save(model)
    words = ("sample", model, "-n", 2000, "-o", drawn, "--seed", 1, "--parity", "admitted|sex")
    done = run(capsys, *words, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["parity"]
    assert found["gap"] < 0.05 < 0.25 < found["gap_without"]
    assert "without parity" in done.err
    refused(run(capsys, *words, "--force", "--given", "sex=F"))
