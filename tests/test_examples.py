"""Every example runs to its end in a fresh process."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from synthehr.demo import simulate

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


LONG = ("01_fit_sample", "02_conditions", "04_recovery")
"""What they show is run in short by the tests of the README, and by the last one here."""


@pytest.mark.parametrize(
    "example",
    [pytest.param(path, marks=[pytest.mark.slow] * (path.stem in LONG)) for path in EXAMPLES],
    ids=lambda path: path.stem,
)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error::FutureWarning"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_recovery_works_where_rows_are_kept_and_finds_none_in_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    attack = import_module("04_recovery")
    table = simulate(600, 0).to_pandas()[[*attack.COLUMNS, "age"]].dropna().head(400)
    table = table.reset_index(drop=True)
    kept = [list(table.groupby(name, observed=True).indices.values()) for name in attack.COLUMNS]
    assert attack.recovered({"rows_by_category": kept}, table) == 400
    assert attack.recovered(attack.ours(table), table) == 0
