"""What is found out with noise when it is not declared, and what is never found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from statistics import mode
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy import stats
from ward import CODES, PATIENTS, SETTINGS, declared, ward

from synthehr import Privacy, Schema, Synthesizer
from synthehr.errors import ConfigError
from synthehr.privacy.discovery import Discovered, discover
from synthehr.privacy.mechanisms import Bounded
from synthehr.schema.column import Column, Kind

SURELY = 1e-9
"""Chance that a test fails by bad luck: nothing here is seeded."""


def found(
    table: pa.Table, *columns: Column, epsilon: float = 50.0, delta: float = 1e-12
) -> Discovered:
    return discover(table, columns, None, epsilon=epsilon, delta=delta)


def bounds_of(values: Sequence[object] | NDArray[Any], kind: Kind = "numeric") -> tuple[float, ...]:
    """What most of nine runs find: one alone is wider by noise once in a thousand times."""
    table = pa.table({"x": pa.array(values)})
    runs = [found(table, Column(name="x", kind=kind)).columns[0].bounds for _ in range(9)]
    return tuple(float(bound) for bound in mode(runs) or ())


def test_bounds_enclose_what_many_hold_by_powers_of_two() -> None:
    rng = np.random.default_rng(0)
    assert bounds_of(rng.uniform(20, 90, 5_000)) == (16.0, 128.0)
    assert bounds_of(rng.integers(-70, 100, 50_000)) == (-128.0, 128.0)
    assert bounds_of(np.zeros(5_000)) == (0.0, 0.0)
    assert bounds_of(np.append(rng.uniform(1, 2, 5_000), 1e9)) == (1.0, 2.0)


def test_bounds_of_dates_are_dates() -> None:
    days = [date(2000, 1, 1) + timedelta(i % 3_000) for i in range(5_000)]
    low, high = bounds_of(days, "date")
    assert low <= (date(2000, 1, 1) - date(1970, 1, 1)).days
    assert high >= (date(2008, 3, 18) - date(1970, 1, 1)).days


def test_levels_that_many_hold_are_found() -> None:
    table = pa.table({"x": ["a"] * 3_000 + ["b"] * 2_000 + [None] * 500 + ["alone"]})
    (column,) = found(table, Column(name="x", kind="categorical")).columns
    assert column.levels == ("a", "b")


def test_a_level_of_one_patient_survives_with_no_more_chance_than_is_charged() -> None:
    table = pa.table({"x": ["a"] * 200 + ["alone"]})
    column = Column(name="x", kind="categorical")
    runs, delta, survived = 1_500, 0.5, 0
    for _ in range(runs):
        answer = found(table, column, epsilon=20.0, delta=delta)
        survived += "alone" in (answer.columns[0].levels or ())
        charged = answer.entries[1].mechanism
        assert charged == Bounded(epsilon=0.0, delta=0.05 * delta)
    assert survived <= stats.binom.isf(SURELY, runs, 0.05 * delta)


def test_the_number_of_patients_is_found_and_hardly_ever_more() -> None:
    table = pa.table({"x": np.zeros(12_345)})
    answer = found(table, epsilon=20.0)
    assert answer.patients == 12_000
    assert 12_345 <= answer.most_patients <= 12_700


def test_a_patient_counts_once() -> None:
    table = pa.table({"x": ["a"] * 9_000 + ["b"] * 1_000})
    patients = np.concatenate([np.zeros(9_000, np.int64), np.arange(1, 1_001)])
    column = Column(name="x", kind="categorical")
    answer = discover(table, [column], patients, epsilon=20.0, delta=1e-12)
    assert answer.columns[0].levels == ("b",)
    assert answer.patients == pytest.approx(1_000, rel=0.05)


def test_a_column_of_which_nothing_can_be_told_is_named() -> None:
    table = pa.table({"x": [f"t{i}" for i in range(500)]})
    with pytest.raises(ConfigError, match="no value of column x is held by enough patients"):
        found(table, Column(name="x", kind="categorical"))


def test_a_fit_without_anything_declared() -> None:
    bare = Schema(tuple(replace(c, bounds=None, levels=None) for c in declared()))
    synthesizer = Synthesizer(seed=1, settings=SETTINGS).fit(
        ward(), bare, privacy=Privacy(epsilon=60.0, delta=1e-9, discover=True)
    )
    ledger = synthesizer.record["privacy"]
    assert ledger["entries"][0]["what"] == "number of patients, bounds and levels of 4 columns"
    assert [entry["steers"] for entry in ledger["entries"]] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    assert 50 < ledger["epsilon"] <= 60
    assert ledger["public_patients"] == pytest.approx(PATIENTS, rel=0.1)
    assert set(synthesizer.schema["code"].levels or ()) <= set(CODES)
    assert synthesizer.sample(50, seed=1).num_rows == 50


def test_only_the_number_of_patients_is_measured_where_all_else_is_declared() -> None:
    synthesizer = Synthesizer(seed=1, settings=SETTINGS).fit(
        ward(), declared(), privacy=Privacy(epsilon=20.0, delta=1e-9)
    )
    first = synthesizer.record["privacy"]["entries"][0]
    assert (first["what"], first["steers"]) == ("number of patients", True)
    assert first["epsilon_alone"] < 0.03 * 20
