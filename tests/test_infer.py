"""What is guessed of a column, why, and what stops a fit until the user has answered."""

from __future__ import annotations

import datetime
import decimal
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from synthehr.errors import SchemaError
from synthehr.io import read
from synthehr.schema.infer import infer, refuse_open, resolve
from synthehr.schema.table import Schema

N = 200
RANDOM = np.random.default_rng(0)


def column_of(cells, name="column"):
    return infer(read(pa.table({name: cells})).table, open_questions="keep")[name]


def codes(n=N, width=8):
    return ["".join(RANDOM.choice(list("ABCDEFGHKLMNP0123456789"), width)) for _ in range(n)]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (RANDOM.normal(size=N), "numeric"),
        (RANDOM.normal(size=N).astype("float32"), "numeric"),
        (RANDOM.integers(0, 90, N), "integer"),
        (RANDOM.integers(0, 2, N), "integer"),
        (RANDOM.integers(0, 10**9, N), "integer"),
        (RANDOM.integers(0, 90, N).astype(float), "integer"),
        (pa.array([1.0, None, 3.0] * 20), "integer"),
        (pa.array([decimal.Decimal("1.50"), decimal.Decimal("2.25")] * 20), "numeric"),
        (pa.array([True, False, None] * 20), "boolean"),
        (["F", "M"] * 50, "categorical"),
        (pd.Categorical(["F", "M"] * 50), "categorical"),
        (pd.Categorical([1, 2] * 50), "categorical"),
        (pd.Categorical(["lo", "hi"] * 50, ["lo", "hi"], ordered=True), "ordinal"),
        ([datetime.datetime(2020, 1, 1 + i % 28) for i in range(N)], "datetime"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(N)], "date"),
        ([datetime.timedelta(minutes=i) for i in range(N)], "duration"),
        ([datetime.time(i % 24) for i in range(N)], "duration"),
        (codes(), "id"),
        ([f"seen on ward {i} with a cough" for i in range(N)], "text"),
        ([f"{i / 7:.3f}" for i in range(N)], "text"),
        ([str(datetime.date(2000, 1, 1) + datetime.timedelta(i)) for i in range(N)], "text"),
        (pa.nulls(N), "constant"),
        (pa.nulls(N, pa.int64()), "constant"),
        (["same"] * N, "constant"),
        (["same", None] * N, "categorical"),
        (np.arange(N), "id"),
        (np.arange(1, N + 1), "id"),
    ],
)
def test_kinds(cells, kind):
    cells = pa.array(cells, from_pandas=True)
    column = column_of(cells)
    assert column.kind == kind
    assert column.reason


@pytest.mark.parametrize("name", ["id", "patientID", "row_id", "encounter.id", "ID", "visit id"])
def test_integers_named_like_ids_are_ids(name):
    assert column_of(RANDOM.permutation(10**6)[:N] + 5, name).kind == "id"


@pytest.mark.parametrize("name", ["admission_type_id", "ward_id"])
def test_few_codes_named_like_ids_are_no_ids(name):
    assert column_of(RANDOM.integers(1, 9, N), name).kind == "integer"


@pytest.mark.parametrize("name", ["glucose", "number_of_visits", "width", "solid", "paid"])
def test_distinct_measurements_are_never_ids(name):
    assert column_of(RANDOM.normal(100, 20, N), name).kind == "numeric"
    assert column_of(RANDOM.permutation(10**6)[:N] + 5, name).kind == "integer"


def test_row_39_very_many_distinct_texts_are_an_id_or_text_and_not_a_category():
    many = pa.array(np.arange(300_000)).cast(pa.string())
    assert column_of(pa.array([f"X{i}" for i in range(20_000)])).kind == "id"
    assert column_of(many, "code").kind in ("id", "text")


def test_icd_codes_are_categories():
    levels = codes(700, 4)
    assert column_of(RANDOM.choice(levels, 5000), "diag_1").kind == "categorical"


def test_row_31_whole_numbers_stored_as_floats_are_integers_of_their_own_type():
    column = column_of(pa.array([1.0, None, 40.0] * 30))
    assert (column.kind, column.arrow_type, column.nullable) == ("integer", "double", True)


def test_row_22_constant_column():
    assert column_of(["ward"] * 50).kind == "constant"


def test_row_21_all_null_column():
    column = column_of(pa.nulls(50))
    assert (column.kind, column.arrow_type, column.nullable) == ("constant", "null", True)


def test_patient_and_time_are_taken_by_name():
    table = pa.table({"who": [1, 1, 2] * 20, "when": list(range(0, 120, 2)), "x": [0.5] * 60})
    schema = infer(table, patient="who", time="when")
    assert (schema.patient, schema.time) == ("who", "when")
    with pytest.raises(SchemaError) as caught:
        infer(table, patient="whom")
    assert "did you mean who?" in caught.value.hint


@pytest.mark.parametrize("name", ["patient_id", "SUBJECT_ID", "patient", "PatientNbr", "person_id"])
def test_patient_is_guessed_by_its_name_and_said(name):
    table = pa.table({name: RANDOM.integers(0, 60, N), "x": RANDOM.normal(size=N)})
    schema = infer(table)
    assert schema.patient == name
    assert "named like a patient's id" in schema[name].reason


def test_patient_is_not_guessed_of_few_levels_or_two_candidates():
    assert infer(pa.table({"patient": [0, 1] * 50})).patient is None
    two = pa.table({"patient_id": np.arange(90) * 3, "subject_id": np.arange(90) * 7})
    assert infer(two).patient is None


def test_text_is_refused_or_dropped():
    table = pa.table({"note": [f"came in with {i} words" for i in range(50)], "x": [1.5, 2.5] * 25})
    with pytest.raises(SchemaError) as caught:
        infer(table)
    assert "note" in caught.value.message
    assert "--on-text drop" in caught.value.hint
    assert infer(table, on_text="drop")["note"].role == "drop"


def mails() -> pa.Table:
    return pa.table({"contact": [f"p{i}@hospital.org" for i in range(50)], "x": [1.5, 2.5] * 25})


def test_suspicious_columns_stop_until_the_user_answers():
    with pytest.raises(SchemaError) as caught:
        infer(mails())
    assert "contact (email)" in caught.value.message
    for answer in ("drop", "keep", "surrogate"):
        assert f"--pii {answer}" in caught.value.hint


def test_answers_have_their_consequence():
    assert infer(mails(), pii="drop")["contact"].role == "drop"
    surrogate = infer(mails(), pii="surrogate")["contact"]
    assert (surrogate.role, surrogate.kind) == ("feature", "id")
    assert infer(mails(), pii="keep")["contact"].pii == "keep"


def test_answer_in_the_schema_is_enough():
    schema = infer(mails(), open_questions="keep")
    assert schema["contact"].is_suspicious
    with pytest.raises(SchemaError):
        refuse_open(schema)
    refuse_open(schema.with_columns(schema["contact"].answered("drop")))
    refuse_open(resolve(schema, pii="surrogate"))


def test_patient_ids_need_no_answer():
    table = pa.table({"mrn": [f"{i:08d}" for i in range(60)], "x": RANDOM.normal(size=60)})
    with pytest.raises(SchemaError, match="medical record number"):
        infer(table)
    assert infer(table, patient="mrn").patient == "mrn"


def test_row_34_nested_columns_are_refused_or_left_out_by_the_schema():
    table = pa.table({"visits": [[1, 2], [3]] * 10, "x": [1.5, 2.5] * 10})
    with pytest.raises(SchemaError) as caught:
        infer(table)
    assert "visits" in caught.value.message
    assert "nested type list" in caught.value.message
    assert "role drop" in caught.value.hint
    assert infer(table, open_questions="keep")["visits"].role == "drop"


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([{"a": 1}] * 10),
        pa.array([[("k", 1)]] * 10, pa.map_(pa.string(), pa.int8())),
        pa.array([None] * 10, pa.month_day_nano_interval()),
    ],
    ids=["struct", "map", "interval"],
)
def test_row_34_other_types_that_cannot_be_modelled(cells):
    with pytest.raises(SchemaError, match="cannot be modelled"):
        infer(pa.table({"x": cells}))


def test_row_35_binary_columns_are_refused():
    with pytest.raises(SchemaError) as caught:
        infer(pa.table({"scan": [b"\x89PNG"] * 10}))
    assert "binary" in caught.value.message
    assert "Images" in caught.value.hint


def test_row_11_extension_types_are_refused_by_name():
    cells = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * 10, pa.binary(16)))
    with pytest.raises(SchemaError, match=r"extension type arrow\.uuid"):
        infer(pa.table({"key": cells}))


CANARIES = ("Zaphod", "4929-1234", "31337.5", "2020-02-29")


def test_row_40_no_cell_value_enters_schema_or_message():
    n = 40
    table = pa.table(
        {
            "rare": ["common"] * (n - 1) + [CANARIES[0]],
            "note": [f"{CANARIES[0]} had {CANARIES[1]} on day {i}" for i in range(n)],
            "lab": [1.5] * (n - 1) + [float(CANARIES[2])],
            "born": [datetime.date(2020, 1, 1)] * (n - 1) + [datetime.date(2020, 2, 29)],
            "mail": [f"{CANARIES[0]}{i}@x.org" for i in range(n)],
        }
    )
    text = json.dumps(infer(table, open_questions="keep").to_json())
    with pytest.raises(SchemaError) as first:
        infer(table)
    with pytest.raises(SchemaError) as second:
        infer(table, pii="keep")
    for said in (text, str(first.value), str(second.value)):
        assert not any(canary in said for canary in CANARIES)


def test_row_37_unused_levels_do_not_survive_reading():
    frame = pd.DataFrame({"who": pd.Categorical(["a", "b"] * 5, ["a", "JOHN SMITH", "b"])})
    source = read(frame)
    assert source.table.column("who").chunk(0).dictionary.to_pylist() == ["a", "b"]
    assert "JOHN" not in json.dumps(infer(source.table).to_json())


def test_row_38_order_of_categories_is_kept():
    frame = pd.DataFrame(
        {"risk": pd.Categorical(["hi", "lo"] * 6, ["none", "lo", "hi"], ordered=True)}
    )
    source = read(frame)
    assert source.table.column("risk").chunk(0).dictionary.to_pylist() == ["lo", "hi"]
    assert source.table.column("risk").type.ordered
    assert infer(source.table)["risk"].kind == "ordinal"


def test_inferred_schema_survives_its_file(tmp_path):
    table = pa.table({"x": RANDOM.normal(size=50), "sex": ["F", "M"] * 25})
    schema = infer(table, pandas_types={"sex": "category"})
    schema.write(tmp_path / "schema.json")
    assert Schema.read(tmp_path / "schema.json") == schema
    assert schema["sex"].pandas_type == "category"


@pytest.mark.parametrize("name", ["adult/adult", "support2/support2", "stroke/stroke"])
@pytest.mark.data
def test_public_tables_need_no_answer(name, request):
    path = request.config.rootpath.parent / "shared" / "data" / f"{name}.parquet"
    if not path.exists():
        pytest.skip("the public data sets are not beside the repository")
    schema = infer(read(path).table)
    assert all(column.kind != "text" for column in schema)
