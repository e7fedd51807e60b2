"""Schema files: round trips, strict reading, SDV metadata, and tables that do not fit."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pyarrow as pa
import pytest

from synthehr.arrow_types import arrow_type, is_supported
from synthehr.errors import ArtifactError, InputError, SchemaError
from synthehr.schema.checks import check, complete
from synthehr.schema.doubts import doubts
from synthehr.schema.infer import infer
from synthehr.schema.table import Column, Schema, shown

SCHEMA = Schema(
    (
        Column(name="patient", kind="id", role="patient", arrow_type="int64"),
        Column(name="seen", kind="datetime", role="time", arrow_type="timestamp[us]"),
        Column(
            name="stage",
            kind="ordinal",
            arrow_type="string",
            pandas_type="object",
            nullable=True,
            levels=("I", "II", "III"),
        ),
        Column(name="sodium", kind="numeric", arrow_type="double", bounds=(90, 180), unit="mmol/L"),
        Column(name="note", kind="text", role="drop", arrow_type="string", reason="free text"),
        Column(name="mail", kind="categorical", arrow_type="string", identifier="email"),
    )
)


def small_table(n: int = 12) -> pa.Table:
    return pa.table(
        {
            "patient": pa.array(range(n)),
            "seen": pa.array([datetime.datetime(2020, 1, 1 + i) for i in range(n)]),
            "stage": pa.array(["I", "II", None] * (n // 3)),
            "sodium": pa.array([130.0 + i for i in range(n)]),
        }
    )


SMALL = Schema(SCHEMA.columns[:4])


def test_json_round_trip_keeps_every_field():
    assert Schema.from_json(json.loads(json.dumps(SCHEMA.to_json()))) == SCHEMA


def test_json_shows_where_to_answer_a_suspicion():
    (mail,) = (c for c in SCHEMA.to_json()["columns"] if c["name"] == "mail")
    assert mail["pii"] is None


def test_file_round_trip_and_no_overwriting(tmp_path):
    path = tmp_path / "schema.json"
    SCHEMA.write(path)
    assert Schema.read(path) == SCHEMA
    with pytest.raises(ArtifactError, match="exists already"):
        SCHEMA.write(path)
    SMALL.write(path, force=True)
    assert Schema.read(path) == SMALL


def test_roles_are_found_by_property():
    assert SCHEMA.patient == "patient"
    assert SCHEMA.time == "seen"
    assert [c.name for c in SCHEMA.features] == ["seen", "stage", "sodium", "mail"]
    assert "note" not in [c.name for c in SCHEMA.kept]


def test_unknown_column_says_what_was_meant():
    with pytest.raises(SchemaError) as caught:
        SCHEMA["sodum"]
    assert "did you mean sodium?" in caught.value.hint


def test_with_columns_replaces_by_name():
    changed = SCHEMA.with_columns(replace(SCHEMA["sodium"], unit="mEq/L"))
    assert changed["sodium"].unit == "mEq/L"
    assert changed.names == SCHEMA.names
    with pytest.raises(SchemaError):
        SCHEMA.with_columns(Column(name="other", kind="text"))


@pytest.mark.parametrize(
    "columns",
    [
        (Column(name="a", kind="text"), Column(name="a", kind="id")),
        (Column(name="a", kind="id", role="patient"), Column(name="b", kind="id", role="patient")),
        (Column(name="a", kind="date", role="time"), Column(name="b", kind="date", role="time")),
    ],
)
def test_contradictions_between_columns_are_refused(columns):
    with pytest.raises(SchemaError):
        Schema(columns)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"knd": "numeric"}, "did you mean kind?"),
        ({"kind": "number"}, "numeric"),
        ({"role": "target"}, "feature"),
        ({"pii": "yes"}, "surrogate"),
        ({"nullable": "no"}, ""),
        ({"bounds": [2, 1]}, "[low, high]"),
        ({"bounds": "0-1"}, "[low, high]"),
        ({"levels": []}, "in order"),
        ({"levels": ["a", "a"]}, "once"),
        ({"levels": [["a"]]}, ""),
        ({"unit": 3}, ""),
        ({"name": 3}, "name"),
    ],
)
def test_wrong_entries_are_refused_with_a_hint(change, told):
    content = {
        "format": "synthehr schema",
        "version": 1,
        "columns": [{"name": "a", "kind": "numeric", **change}],
    }
    with pytest.raises(SchemaError) as caught:
        Schema.from_json(content)
    assert told in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"format": "synthehr schema", "format": "x"}',
        '{"format": "synthehr schema", "version": NaN}',
        '{"format": "synthehr schema", "version": 2, "columns": []}',
        '{"format": "synthehr schema", "version": 1, "columns": [1]}',
        '{"format": "synthehr schema", "version": 1, "columns": [], "more": 1}',
        "[" * 100_000,
        "\udcff",
    ],
)
def test_files_that_are_no_schema_are_refused(tmp_path, text):
    path = tmp_path / "schema.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SchemaError):
        Schema.read(path)
    with pytest.raises(SchemaError):
        Schema.read(tmp_path / "missing.json")


def test_answer_in_a_file_has_its_consequence():
    content = SCHEMA.to_json()
    content["columns"][-1]["pii"] = "drop"
    assert Schema.from_json(content)["mail"].role == "drop"
    content["columns"][-1]["pii"] = "surrogate"
    assert Schema.from_json(content)["mail"].kind == "id"


def test_sdv_metadata_goes_out_and_comes_in():
    metadata = SCHEMA.to_sdv("visits")
    assert metadata["METADATA_SPEC_VERSION"] == "V2"
    columns = metadata["tables"]["visits"]["columns"]
    assert "note" not in columns
    assert columns["patient"]["sdtype"] == "id"
    assert columns["sodium"] == {
        "sdtype": "numerical",
        "range_min": 90,
        "range_max": 180,
        "range_is_nullable": False,
    }
    assert columns["stage"]["range_values"] == ["I", "II", "III"]
    back = Schema.from_json(metadata)
    assert [c.kind for c in back] == ["id", "datetime", "ordinal", "numeric", "categorical"]
    assert back["stage"].levels == ("I", "II", "III")


def test_sdv_values_and_ranges_of_the_data_are_left_behind():
    metadata = {
        "tables": {
            "t": {
                "primary_key": "key",
                "columns": {
                    "key": {"sdtype": "id"},
                    "race": {"sdtype": "categorical", "range_values": ["only one patient"]},
                    "age": {"sdtype": "numerical", "range_min": 18.0, "range_max": 107.0},
                    "phone": {"sdtype": "phone_number", "pii": True},
                },
            }
        },
        "relationships": [],
        "METADATA_SPEC_VERSION": "V2",
    }
    schema = Schema.from_sdv(metadata)
    assert "only one patient" not in json.dumps(schema.to_json())
    assert schema["age"].bounds is None
    assert schema["phone"].is_suspicious
    assert schema["key"].kind == "id"


@pytest.mark.parametrize(
    "metadata",
    [
        {"METADATA_SPEC_VERSION": "V1", "tables": {}},
        {"METADATA_SPEC_VERSION": "V2", "tables": {}},
        {"METADATA_SPEC_VERSION": "V2", "tables": {"a": {}, "b": {}}},
        {"METADATA_SPEC_VERSION": "V2", "tables": {"a": {"columns": []}}},
    ],
)
def test_other_sdv_metadata_is_refused(metadata):
    with pytest.raises(SchemaError):
        Schema.from_sdv(metadata)


def test_complete_takes_types_from_the_table():
    table = pa.table(
        {
            "n": pa.array([1, 2]),
            "d": pa.array([datetime.date(2020, 1, 1), None]),
            "b": pa.array([True, False]),
        }
    )
    schema = Schema(
        (
            Column(name="n", kind="numeric"),
            Column(name="d", kind="datetime"),
            Column(name="b", kind="categorical"),
        )
    )
    full = complete(schema, table)
    assert [c.kind for c in full] == ["integer", "date", "boolean"]
    assert [c.arrow_type for c in full] == ["int64", "date32[day]", "bool"]
    assert [c.nullable for c in full] == [False, True, False]


def test_check_accepts_the_table_that_the_schema_describes():
    check(SMALL, small_table())


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (replace(SMALL["sodium"], name="potassium"), "no column potassium"),
        (replace(SMALL["sodium"], arrow_type="float"), "double in the table and float"),
        (replace(SMALL["sodium"], bounds=(130, 140)), "1 cells outside"),
        (replace(SMALL["sodium"], kind="date"), "is not date"),
        (replace(SMALL["sodium"], kind="constant"), "not constant"),
        (replace(SMALL["stage"], levels=("I",)), "4 cells that are none"),
        (replace(SMALL["stage"], levels=(1.5, 2.5)), "1.5"),
        (replace(SMALL["stage"], nullable=False), "4 null cells"),
    ],
)
def test_check_names_the_column_and_counts(column, told):
    if told == "1.5":
        told = "8 cells"
    columns = [
        column
        if c.name == column.name or (column.name == "potassium" and c.name == "sodium")
        else c
        for c in SMALL
    ]
    with pytest.raises(SchemaError) as caught:
        check(Schema(tuple(columns)), small_table())
    assert told in caught.value.message


def test_check_refuses_columns_that_the_schema_does_not_know():
    with pytest.raises(SchemaError, match="does not describe 1 columns of the table: extra"):
        check(SMALL, small_table().append_column("extra", pa.array(range(12))))


def test_check_refuses_a_schema_without_features():
    table = small_table().select(["patient"])
    with pytest.raises(SchemaError, match="no column to model"):
        check(Schema((SMALL["patient"],)), table)


def test_row_3_fewer_than_ten_records_are_refused_and_fewer_than_1000_doubted():
    with pytest.raises(InputError, match="9 records"):
        check(SMALL, small_table(9))
    assert any("too few" in text for text in doubts(SMALL, small_table(12)))
    table = pa.table({"x": pa.array([i / 7 for i in range(1000)])})
    assert doubts(infer(table), table) == ()


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (pa.array([*range(11), None]), "null in 1 records"),
        (pa.array([float(i) for i in range(12)]), "floating-point"),
    ],
)
def test_row_54_patient_ids_that_cannot_be_told_apart(ids, told):
    table = small_table().set_column(0, "patient", ids)
    column = replace(SMALL["patient"], arrow_type=str(ids.type), nullable=True)
    with pytest.raises(SchemaError, match=told):
        check(SMALL.with_columns(column), table)


@pytest.mark.parametrize(
    "data_type",
    [
        pa.null(), pa.bool_(), pa.int8(), pa.uint64(), pa.float16(), pa.string(),
        pa.large_string(), pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"),
        pa.timestamp("s"), pa.timestamp("ns", "Europe/Paris"), pa.timestamp("us", "+05:30"),
        pa.duration("ms"), pa.decimal32(5, 2), pa.decimal64(18, 0), pa.decimal128(38, 9),
        pa.decimal256(60, 30), pa.dictionary(pa.int8(), pa.string(), True),
        pa.dictionary(pa.uint32(), pa.timestamp("us", "UTC")),
        pa.dictionary(pa.int64(), pa.decimal128(5, 2)),
    ],
    ids=str,
)  # fmt: skip
def test_arrow_types_come_back_from_their_text(data_type):
    assert arrow_type(str(data_type)) == data_type
    assert is_supported(data_type)


@pytest.mark.parametrize(
    "data_type",
    [pa.binary(), pa.list_(pa.int8()), pa.struct([("a", pa.int8())]), pa.uuid(), pa.bool8(),
     pa.map_(pa.string(), pa.int8()), pa.month_day_nano_interval()],
    ids=str,
)  # fmt: skip
def test_other_arrow_types_are_not_supported(data_type):
    assert not is_supported(data_type)


@pytest.mark.parametrize("text", ["", "decimal128(99, 1)", "int65", "dictionary<values=x>"])
def test_texts_that_name_no_type_are_refused(text):
    with pytest.raises(SchemaError):
        arrow_type(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("age", "age"),
        ("blood pressure", "'blood pressure'"),
        ("", "''"),
        ("a\nb", r"'a\nb'"),
        ("\u202eevil", r"'\u202eevil'"),
    ],
)
def test_names_are_shown_on_one_line(name, text):
    assert shown(name) == text
    assert len(shown(name * 100)) <= 60
