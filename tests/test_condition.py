"""Conditions: how they are read, and that what is drawn satisfies them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from fitted import cohort, fitted
from hypothesis import given
from hypothesis import strategies as st
from marginals import Marginals

from synthehr import Synthesizer
from synthehr.errors import ConditionError
from synthehr.modes.condition import Condition, Null, Range, Value, from_mapping, parse
from synthehr.modes.given import wished
from synthehr.run.drawing import Tally
from synthehr.run.drawing import draw as draw_records


def text(value: str) -> Value:
    return Value(value, typed=False)


def named(value: object) -> str:
    """A name that two processes give alike: no address of an object in it."""
    return "check" if callable(value) else str(value).split(" object at ")[0]


@pytest.mark.parametrize(
    ("line", "column", "choices"),
    [
        ("sex=F", "sex", (text("F"),)),
        ("  sex =  F ", "sex", (text("F"),)),
        ("age=60:80", "age", (Range("60", "80", "60:80"),)),
        ("age=60:", "age", (Range("60", None, "60:"),)),
        ("age=:80", "age", (Range(None, "80", ":80"),)),
        ("x=-5:-1|null", "x", (Range("-5", "-1", "-5:-1"), Null())),
        ("diagnosis=null", "diagnosis", (Null(),)),
        ('diagnosis="null"', "diagnosis", (text("null"),)),
        ("unit=a|b", "unit", (text("a"), text("b"))),
        ("ward=north wing", "ward", (text("north wing"),)),
        ('"blood pressure"=1:2', "blood pressure", (Range("1", "2", "1:2"),)),
        ("drug='a, b'", "drug", (text("a, b"),)),
        ("drug='it''s'", "drug", (text("it's"),)),
        ("name=O'Brien", "name", (text("O'Brien"),)),
        ('"a=b"="c|d"', "a=b", (text("c|d"),)),
        ("at=2020-01-01 10:00:00", "at", (text("2020-01-01 10:00:00"),)),
        ('at="2020-01-01 10:00":', "at", (Range("2020-01-01 10:00", None, "2020-01-01 10:00:"),)),
    ],
)
def test_a_condition_is_read(line: str, column: str, choices: tuple[Any, ...]) -> None:
    assert parse(line) == (Condition(column, choices),)


def test_several_conditions_are_read() -> None:
    found = parse("sex=F, age=60:80, diagnosis=null")
    assert [condition.column for condition in found] == ["sex", "age", "diagnosis"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "x",
        "x=",
        "=3",
        "x=a,",
        ",x=a",
        "x='a",
        "x='a' b",
        "x=a|",
        "x=:",
        "x=a=b",
        "x=1,x=2",
    ],
)
def test_what_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(ConditionError) as found:
        parse(line)
    assert found.value.hint


@given(st.text())
def test_any_text_is_read_or_refused(line: str) -> None:
    try:
        parse(line)
    except ConditionError:
        return


@given(st.dictionaries(st.text(min_size=1), st.text(), min_size=1, max_size=4))
def test_quoting_carries_any_name_and_value(wanted: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace('"', '""') + '"'

    line = ",".join(f"{quoted(name)}={quoted(value)}" for name, value in wanted.items())
    assert parse(line) == tuple(Condition(name, (text(v),)) for name, v in wanted.items())


def test_mappings_say_the_same() -> None:
    assert from_mapping({"a": None, "b": (1, None), "c": ["x", None], "d": 3}) == (
        Condition("a", (Null(),)),
        Condition("b", (Range(1, None),)),
        Condition("c", (Value("x"), Null())),
        Condition("d", (Value(3),)),
    )
    for wrong in ({"a": (1, 2, 3)}, {"a": []}):
        with pytest.raises(ConditionError):
            from_mapping(wrong)


def draw(wish: Any, n: int | None = 1000, seed: int = 4) -> pa.Table:
    return fitted().sample(n, wish, seed=seed)


@pytest.mark.parametrize(
    ("wish", "column", "holds"),
    [
        ("sex=F", "sex", lambda v: v == "F"),
        ({"sex": "F"}, "sex", lambda v: v == "F"),
        ("age=60:80", "age", lambda v: 60 <= v <= 80),
        ({"age": (60, 80)}, "age", lambda v: 60 <= v <= 80),
        ("age=60:", "age", lambda v: v >= 60),
        ("age=:40", "age", lambda v: v <= 40),
        ("age=63", "age", lambda v: v == 63),
        ("age=20:30|25:40|90:", "age", lambda v: 20 <= v <= 40 or v >= 90),
        ("crp=null", "crp", lambda v: v is None),
        ("crp=null|0:5", "crp", lambda v: v is None or 0 <= v <= 5),
        ("crp=3.25:7.75", "crp", lambda v: 3.25 <= v <= 7.75),
        ("diabetes=true", "diabetes", lambda v: v is True),
        ({"diabetes": False}, "diabetes", lambda v: v is False),
        ("site=north|campus", "site", lambda v: v in ("north", "campus")),
        # A set prints in an order of its process's own, and two processes collect these tests.
        pytest.param(
            {"site": {"north", "campus"}}, "site", ("north", "campus").__contains__, id="set"
        ),
        ("admitted=2023-06-01:2023-06-30", "admitted", lambda v: (v.year, v.month) == (2023, 6)),
        ("admitted=2024-02-02:", "admitted", lambda v: v >= dt.datetime(2024, 2, 2)),
        (
            'admitted="2023-06-01 06:30":"2023-07-01 12:00"',
            "admitted",
            lambda v: dt.datetime(2023, 6, 1, 6, 30) <= v <= dt.datetime(2023, 7, 1, 12),
        ),
        (
            {"admitted": (dt.date(2023, 6, 1), dt.datetime(2023, 7, 1))},
            "admitted",
            lambda v: dt.datetime(2023, 6, 1) <= v <= dt.datetime(2023, 7, 1),
        ),
    ],
    ids=named,
)
def test_every_record_satisfies_the_condition(wish: Any, column: str, holds: Any) -> None:
    cells = draw(wish)[column].to_pylist()
    assert len(cells) == 1000
    assert all(holds(cell) for cell in cells)


def test_conditions_hold_together() -> None:
    drawn = draw("sex=F, age=60:80, diabetes=true, crp=null")
    assert set(drawn["sex"].to_pylist()) == {"F"}
    assert set(drawn["diabetes"].to_pylist()) == {True}
    assert drawn["crp"].null_count == 1000
    assert pc.min(drawn["age"]).as_py() >= 60


def test_the_rest_follows_its_own_distribution() -> None:
    drawn = draw("sex=F", 4096)["smoker"].value_counts().to_pylist()
    free = draw(None, 4096)["smoker"].value_counts().to_pylist()
    shares = [{row["values"]: row["counts"] / 4096 for row in rows} for rows in (drawn, free)]
    assert shares[0].keys() == shares[1].keys()
    assert all(abs(share - shares[1][level]) < 0.04 for level, share in shares[0].items())


def test_a_range_is_uniform_within_a_part_not_piled_at_its_ends() -> None:
    values = np.array(draw("age=33:34", 4000)["age"].to_pylist())
    assert 0.2 < (values == 33).mean() < 0.8


def test_the_acceptance_is_counted() -> None:
    tally = Tally()
    artifact = fitted().artifact
    records = draw_records(artifact, wished(artifact, 500, "sex=F"), 1, tally)
    assert sum(part.num_rows for part in records) == 500
    assert 0.4 < tally.kept / tally.drawn < 0.65


def test_what_hardly_ever_happens_is_given_up_with_its_rate() -> None:
    wish = "age=90:, crp=null, died=true, hba1c=7:, lactate=null, site=hill, stay_days=12:"
    with pytest.raises(ConditionError, match=r"\d+ of \d+ drawn") as found:
        draw(wish)
    assert "autoregressive" in found.value.hint


def test_row_60_a_level_that_was_not_learned() -> None:
    with pytest.raises(ConditionError, match="not learned") as found:
        draw("site=atlantis")
    assert "north" in found.value.hint
    # island is held by fewer than k patients: it must not be told.
    assert "island" not in found.value.hint


@pytest.mark.parametrize(
    "wish",
    [
        "nobody=1",
        "patient_id=P1",
        "sex=null",
        "sex=1:2",
        "age=old",
        "age=80:60",
        "age=400:500",
        "age=nan",
        "admitted=yesterday",
        {"admitted": (1, 2)},
        {"sex": (1, 2)},
        {"age": object()},
    ],
    ids=named,
)
def test_row_60_what_can_never_hold_is_refused(wish: Any) -> None:
    with pytest.raises(ConditionError) as found:
        draw(wish)
    assert found.value.hint


@pytest.mark.parametrize("n", [0, -1, True])
def test_a_number_of_records_below_one_is_refused(n: int) -> None:
    with pytest.raises(ConditionError):
        draw(None, n)


def test_partial_records_are_continued(tmp_path: Path) -> None:
    rows = cohort().select(["patient_id", "sex", "age", "crp"]).slice(0, 200)
    pq.write_table(rows, tmp_path / "partial.parquet")
    drawn = draw(tmp_path / "partial.parquet", None)
    assert drawn.column_names == cohort().column_names
    for name in ("patient_id", "sex", "age"):
        assert drawn[name].to_pylist() == rows[name].to_pylist()
    given_cells, cells = rows["crp"].to_pylist(), drawn["crp"].to_pylist()
    assert all(b == a for a, b in zip(given_cells, cells, strict=True) if a is not None)
    assert {value for value in drawn["smoker"].to_pylist()} - {None}
    assert draw(str(tmp_path / "partial.parquet"), None).equals(drawn)


def test_partial_records_from_a_pandas_table() -> None:
    import pandas as pd

    drawn = draw(pd.DataFrame({"age": [30, 40], "sex": ["F", None]}), None)
    assert drawn["age"].to_pylist() == [30, 40]
    assert drawn["sex"][0].as_py() == "F"
    assert drawn["sex"].null_count == 0


def test_partial_records_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for rows in (
        pa.table({"nobody": [1]}),
        pa.table({"age": ["old"]}),
        pa.table({"sex": ["X"]}),
    ):
        with pytest.raises(ConditionError) as found:
            draw(rows, None)
        assert "old" not in str(found.value)
    with pytest.raises(ConditionError, match="5 records are asked for"):
        draw(pa.table({"age": [30]}), 5)


def test_a_time_zone_is_the_columns_own() -> None:
    moments = [dt.datetime(2024, 3, 1, tzinfo=dt.UTC) + dt.timedelta(hours=h) for h in range(600)]
    table = pa.table(
        {
            "at": pa.array(moments, pa.timestamp("us", tz="Europe/Berlin")),
            "x": [h % 3 for h in range(600)],
        }
    )
    drawn = Synthesizer(Marginals, seed=1).fit(table).sample(300, "at=2024-03-10", seed=1)
    assert {(at.month, at.day) for at in drawn["at"].to_pylist()} == {(3, 10)}
    assert {at.hour for at in drawn["at"].to_pylist()} > {0, 12}


@pytest.mark.parametrize("rest", [0, 400], ids=["atoms", "atoms and bins"])
def test_a_decimal_means_what_it_was_shortened_to(rest: int) -> None:
    rng = np.random.default_rng(0)
    tenths = np.append(rng.integers(10, 50, 2000), rng.integers(100, 2000, rest)) / 10
    mantissa, exponent = np.frexp(tenths)
    cut = np.ldexp(np.trunc(np.ldexp(mantissa, 13)), exponent - 13)
    for stored in (cut, tenths.astype(np.float32).astype(np.float64)):
        table = pa.table({"alb": stored, "x": rng.integers(0, 3, len(stored))})
        synthesizer = Synthesizer(Marginals, seed=1).fit(table)
        for wish, low, high in (
            ("alb=1.8", 1.8, 1.8),
            ("alb=4.8:", 4.8, None),
            ({"alb": (None, 1.8)}, None, 1.8),
        ):
            drawn = np.round(synthesizer.sample(500, wish, seed=1)["alb"].to_numpy(), 1)
            assert low is None or drawn.min() == low
            assert high is None or drawn.max() == high
        for never in ("alb=1.82", "alb=150.02") if rest else ("alb=1.82",):
            with pytest.raises(ConditionError, match=r"never hold|no value"):
                synthesizer.sample(5, never)


def test_a_decimal_column_of_many_digits_takes_conditions() -> None:
    wide = pa.decimal128(38, 12)
    cells = [Decimal(n) / 4 for n in np.random.default_rng(0).integers(0, 4000, 2000).tolist()]
    table = pa.table({"dose": pa.array(cells, wide), "x": [n % 3 for n in range(2000)]})
    synthesizer = Synthesizer(Marginals, seed=1).fit(table)
    drawn = synthesizer.sample(500, "dose=250.25:500", seed=1)["dose"]
    assert drawn.type == wide
    found = drawn.to_pylist()
    assert Decimal("250.25") <= min(found) < 260 and 490 < max(found) <= 500
