"""Lists of codes in a cell: a column each to learn, and lists again in what comes out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr import Privacy, Schema, SequenceSynthesizer
from synthehr.errors import ArtifactError, ConfigError, InputError
from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
from synthehr.io import write_table
from synthehr.io.visits import read_visits, write_visits

QUICK = {
    "model": {"hidden": 16, "width": 32, "embedding": 8},
    "train": {"steps": 100, "batch_size": 32},
}
CODES = ("E11", "I10", "N18")


@cache
def visits(n: int = 100) -> pa.Table:
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(n), 4)
    diabetic = np.repeat(rng.random(n) < 0.4, 4)
    held = np.stack([diabetic, rng.random(len(who)) < 0.5, rng.random(len(who)) < 0.1], 1)
    lists = [[code for code, has in zip(CODES, row, strict=True) if has] for row in held]
    return pa.table({
        "id": who,
        "day": np.tile(np.arange(4) * 7, n),
        "codes": pa.array(lists, pa.list_(pa.string())),
        "lab": np.where(diabetic, 9.0, 5.0) + rng.normal(size=len(who)).round(1),
    })  # fmt: skip


@cache
def fitted() -> SequenceSynthesizer:
    return SequenceSynthesizer(seed=0, settings=QUICK).fit(visits(), patient="id", time="day")


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.none() | st.lists(st.sampled_from([11, 22, 33]), unique=True).map(sorted),
        min_size=1,
        max_size=8,
    )
)
def test_lists_go_in_and_come_out(tmp_path_factory: pytest.TempPathFactory, lists: list) -> None:
    if not any(lists):
        lists = [*lists, [11]]
    cells = pa.array(lists, pa.list_(pa.int64()))
    table = pa.table({"id": np.arange(len(lists)), "day": np.zeros(len(lists), int), "dx": cells})
    read = read_visits(table, patient="id", time="day", rare_patients=1)
    assert all(pa.types.is_boolean(f.type) for f in read.table.schema if f.name.startswith("dx"))
    out = tmp_path_factory.mktemp("lists") / "v.parquet"
    write_visits(read, out)
    assert pq.read_table(out)["dx"].to_pylist() == lists


def test_drawn_visits_hold_lists_as_often_as_real_ones() -> None:
    drawn = fitted().sample(300, seed=1)
    assert drawn.schema.field("codes").type == pa.list_(pa.string())
    for code in CODES:
        share = [
            np.mean([code in (cell or ()) for cell in table["codes"].to_pylist()])
            for table in (visits(), drawn)
        ]
        assert share[1] == pytest.approx(share[0], abs=0.12)
    sick = np.array(["E11" in cell for cell in drawn["codes"].to_pylist()])
    lab = drawn["lab"].to_numpy()
    assert lab[sick].mean() > lab[~sick].mean() + 1


def test_codes_of_few_patients_are_left_out_and_counted(tmp_path: Path) -> None:
    lists = visits()["codes"].to_pylist()
    lists[0] = [*lists[0], "SECRET"]
    rare = visits().set_column(2, "codes", pa.array(lists, pa.list_(pa.string())))
    read = read_visits(rare, patient="id", time="day")
    assert [name for name in read.table.column_names if "codes" in name] == [
        f"codes: {code}" for code in CODES
    ]
    assert any(warning.startswith("1 codes of") for warning in read.warnings)
    assert not any("SECRET" in warning for warning in read.warnings)
    with pytest.raises(ArtifactError, match="cannot hold the lists of column codes"):
        write_table([visits()], tmp_path / "v.csv")
    with pytest.raises(InputError, match="no code of") as error:
        read_visits(visits().slice(0, 8), patient="id", time="day")
    assert "E11" not in str(error.value)


def test_few_given_patients_keep_the_fitted_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = visits().slice(0, 8)
    holes = few.set_column(3, "lab", pa.array([None, *few["lab"].to_pylist()[1:]]))
    filled = fitted().impute(holes, seed=0)
    assert filled["codes"].to_pylist() == few["codes"].to_pylist()
    # a list that was not fitted is no reason to refuse the others
    other = holes.append_column("notes", holes["codes"])
    assert fitted().impute(other, seed=0)["lab"].equals(filled["lab"])
    assert filled["lab"].null_count == 0
    fitted().save(tmp_path / "m.synthehr")
    pq.write_table(visits(), tmp_path / "v.parquet")
    out = tmp_path / "drawn.parquet"
    assert run(capsys, "sample", tmp_path / "m.synthehr", "-n", 50, "-o", out).code == 0
    assert pq.read_table(out).schema.field("codes").type.value_type == pa.string()
    report = evaluate_visits(visits(), out, patient="id", time="day", seed=0)
    assert {"prevalence", "co_occurrence"} <= {metric.name for metric in report.metrics}


def test_under_differential_privacy_lists_are_refused() -> None:
    columns = [
        {"name": "id", "kind": "id", "role": "patient"},
        {"name": "day", "kind": "integer", "role": "time", "bounds": [0, 50]},
        *({"name": f"codes: {code}", "kind": "boolean"} for code in CODES),
        {"name": "lab", "kind": "numeric", "bounds": [0, 20]},
    ]
    schema = Schema.from_json({"format": "synthehr schema", "version": 1, "columns": columns})
    with pytest.raises(ConfigError, match="lists of codes"):
        SequenceSynthesizer(seed=0).fit(
            visits(), schema, patient="id", time="day", static=[], privacy=Privacy(epsilon=8.0)
        )
