"""Visits in and out: sorted, static columns found, and each layout comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr.errors import ArtifactError, InputError
from synthehr.io.visits import VisitTable, read_visits, write_visits

LONG = pa.table(
    {
        "patient_id": ["b", "a", "b", "a", "c", "b"],
        "sex": ["f", "m", "f", "m", None, "f"],
        "day": pa.array([30, 0, 0, 7, 4, 30], pa.int16()),
        "hr": [80.0, 70.5, None, 71.0, 66.0, 81.0],
        "stage": pa.array([1, 1, 1, 2, 3, 1], pa.int8()),
    }
)
PERSONS = pa.table({"id": [3, 1, 2], "sex": ["f", None, "m"], "age": [40, 50, 60]})
VISITS = pa.table({"id": [2, 1, 2], "day": [1.5, 0.0, 0.0], "hr": [70, None, 72]})


def _pylist(visits: VisitTable) -> list[dict]:
    return visits.table.to_pylist()


def test_rows_are_sorted_and_ties_keep_the_order_of_the_file():
    visits = read_visits(LONG, patient="patient_id", time="day")
    assert visits.table["patient_id"].to_pylist() == ["a", "a", "b", "b", "b", "c"]
    assert visits.table["hr"].to_pylist() == [70.5, 71.0, None, 80.0, 81.0, 66.0]
    assert visits.offsets().tolist() == [0, 2, 5, 6]
    assert visits.layout == "long"


def test_static_columns_are_those_that_change_within_no_patient():
    visits = read_visits(LONG, patient="patient_id", time="day")
    assert visits.static == ("sex",)
    assert visits.varying == ("hr", "stage")
    assert visits.patients().to_pylist() == [
        {"patient_id": "a", "sex": "m"},
        {"patient_id": "b", "sex": "f"},
        {"patient_id": "c", "sex": None},
    ]
    assert read_visits(LONG, patient="patient_id", time="day", static=()).static == ()
    with pytest.raises(InputError, match="stage is declared static and changes within 1 patient"):
        read_visits(LONG, patient="patient_id", time="day", static=["sex", "stage"])


def test_a_null_is_a_value_of_its_own_for_static_columns():
    table = pa.table({"patient": [1, 1], "day": [0, 1], "smoker": [None, True]})
    assert read_visits(table, patient="patient", time="day").static == ()


def test_patient_and_time_are_found_by_name_and_type():
    visits = read_visits(LONG)
    assert (visits.patient, visits.time) == ("patient_id", "day")
    with pytest.raises(InputError, match="no columns look like the times"):
        read_visits(LONG.drop_columns("day"))
    with pytest.raises(InputError, match="no columns are named as ids"):
        read_visits(LONG.drop_columns("patient_id"))


def test_without_a_second_visit_all_columns_vary_and_a_warning_says_so():
    visits = read_visits(LONG.slice(4, 1), patient="patient_id", time="day")
    assert visits.static == ()
    assert "no patient has a second visit" in visits.warnings[-1]


TIMES = {
    "int": pa.array([5, 3, 4], pa.uint64()),
    "float": pa.array([5.5, -3.0, 4.0], pa.float32()),
    "date": pa.array([50, 30, 40], pa.date32()),
    "date64": pa.array([50, 30, 40], pa.int32()).cast(pa.date32()).cast(pa.date64()),
    "moment": pa.array([50, 30, 40], pa.timestamp("ns", "Europe/Paris")),
    "span": pa.array([50, 30, 40], pa.duration("ms")),
}


@pytest.mark.parametrize("kind", TIMES)
def test_irregular_times_of_every_kind_are_sorted_and_come_back(kind, tmp_path):
    table = pa.table({"id": [1, 1, 1], "t": TIMES[kind], "x": [2, 0, 1]})
    visits = read_visits(table, patient="id", time="t")
    assert visits.table["x"].to_pylist() == [0, 1, 2]
    write_visits(visits, tmp_path / "out.arrow")
    assert read_visits(tmp_path / "out.arrow", time="t", patient="id").table.equals(visits.table)


@pytest.mark.parametrize("column", ["patient_id", "day"])
def test_rows_without_id_or_time_are_counted_and_refused_without_a_value(column):
    cells = LONG[column].to_pylist()
    spoilt = LONG.set_column(
        LONG.schema.get_field_index(column), column, pa.array([None, *cells[1:5], None])
    )
    with pytest.raises(InputError, match=f"{column} is null in 2 of 6 rows") as caught:
        read_visits(spoilt, patient="patient_id", time="day")
    assert not {"a", "b", "c"} & set(str(caught.value).split())


@pytest.mark.parametrize(
    ("patient", "time", "told"),
    [
        ("hr", "day", "patient column hr has the type double"),
        ("patient_id", "sex", "time column sex"),
        ("patient_id", "dya", "no column dya"),
        ("day", "day", "as patient and as time"),
    ],
)
def test_columns_that_cannot_take_the_part_are_refused(patient, time, told):
    with pytest.raises(InputError, match=told):
        read_visits(LONG.slice(3, 3), patient=patient, time=time)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(-3, 3), st.one_of(st.none(), st.integers(0, 9))),
        min_size=1,
        max_size=30,
    )
)
def test_reading_sorts_stably_and_reading_again_changes_nothing(rows):
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(("id", "t", "x"))})
    visits = read_visits(table, patient="id", time="t")
    expected = sorted(rows, key=lambda row: row[:2])
    assert [tuple(row.values()) for row in _pylist(visits)] == expected
    again = read_visits(visits.table, patient="id", time="t")
    assert again.table.equals(visits.table)
    assert again.static == visits.static


def test_pandas_types_come_back(tmp_path):
    frame = LONG.to_pandas().astype({"day": "Int32", "sex": "category"})
    frame["hr"] = frame["hr"].astype("Float32")
    visits = read_visits(frame, patient="patient_id", time="day")
    write_visits(visits, tmp_path / "out.parquet")
    expected = frame.sort_values(["patient_id", "day"], kind="stable").reset_index(drop=True)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "out.parquet"), expected, check_categorical=False
    )


def test_thousands_of_visits_of_one_patient_stand_beside_one():
    order = np.random.default_rng(0).permutation(5001)
    table = pa.table({"id": np.r_[np.zeros(5000, int), 1][order], "t": np.r_[:5001][order]})
    visits = read_visits(table, patient="id", time="t")
    assert visits.offsets().tolist() == [0, 5000, 5001]
    assert visits.table["t"].to_pylist() == list(range(5001))


def test_two_tables_are_joined_on_the_patient_and_come_back(tmp_path):
    visits = read_visits((PERSONS, VISITS), patient="id", time="day")
    assert visits.static == ("sex", "age")
    assert _pylist(visits) == [
        {"id": 1, "sex": None, "age": 50, "day": 0.0, "hr": None},
        {"id": 2, "sex": "m", "age": 60, "day": 0.0, "hr": 72},
        {"id": 2, "sex": "m", "age": 60, "day": 1.5, "hr": 70},
    ]
    assert visits.warnings == ("1 patients without visits were left out.",)
    assert write_visits(visits, tmp_path / "out") == 3
    again = read_visits(tmp_path / "out", patient="id", time="day")
    assert again.table.equals(visits.table)
    assert (again.static, again.layout, again.warnings) == (visits.static, "two-tables", ())


def test_ids_of_two_tables_may_differ_in_width_but_not_in_kind():
    narrow = VISITS.set_column(0, "id", VISITS["id"].cast(pa.int16()))
    assert read_visits((PERSONS, narrow), time="day").table["id"].type == pa.int16()
    text = VISITS.set_column(0, "id", pa.array(["x7", "1", "2"]))
    with pytest.raises(InputError, match="1 visits belong to no patient") as caught:
        read_visits((PERSONS, text), time="day")
    assert "x7" not in str(caught.value)


@pytest.mark.parametrize(
    ("persons", "visits", "told"),
    [
        (pa.concat_tables([PERSONS, PERSONS]), VISITS, "3 rows of patients it has already"),
        (PERSONS.slice(0, 2), VISITS, "2 visits belong to no patient"),
        (PERSONS.append_column("hr", PERSONS["age"]), VISITS, "hr stands in both tables"),
        (PERSONS.drop_columns("id"), VISITS, "no column id"),
    ],
    ids=["twice", "unknown", "both", "no id"],
)
def test_two_tables_that_do_not_fit_are_refused(persons, visits, told):
    with pytest.raises(InputError, match=told):
        read_visits((persons, visits), patient="id", time="day")


def test_a_folder_is_replaced_only_by_force_and_only_if_it_holds_nothing_else(tmp_path):
    visits = read_visits((PERSONS, VISITS), patient="id", time="day")
    out = tmp_path / "out"
    write_visits(visits, out)
    with pytest.raises(ArtifactError, match="exists already"):
        write_visits(visits, out)
    write_visits(visits, out, force=True)
    (out / "thesis.txt").write_text("kept")
    with pytest.raises(ArtifactError, match="other files"):
        write_visits(visits, out, force=True)
    assert (out / "thesis.txt").read_text() == "kept"
    with pytest.raises(ArtifactError, match="are a folder of files"):
        write_visits(visits, tmp_path / "out.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


EVENTS = pa.table(
    {
        "id": [1, 1, 2, 1, 2, 1, 2],
        "minute": [0, 0, 5, 0, 5, 9, 5],
        "parameter": ["hr", "hr", "hr", "note", "note", "hr", "rare"],
        "value": ["60", "71", "80", "a", "b", None, "1"],
        "site": list("xxxxxxx"),
    }
)


def test_events_are_spread_and_what_was_merged_or_left_out_is_counted():
    hr = pa.concat_tables([EVENTS, EVENTS.slice(3, 1)])
    visits = read_visits(hr, patient="id", time="minute", format="events", rare_patients=2)
    assert _pylist(visits) == [
        {"id": 1, "minute": 0, "hr": 65.5, "note": "a"},
        {"id": 2, "minute": 5, "hr": 80.0, "note": "b"},
    ]
    assert visits.warnings[:4] == (
        "1 columns of events are not read: site.",
        "1 events without value were left out.",
        "1 variables of fewer than 2 patients were left out.",
        "2 events came at the time of another of the same variable: numbers were averaged, of "
        "texts the last was taken.",
    )


def test_events_of_whole_numbers_stay_whole_and_come_back(tmp_path):
    events = pa.table(
        {"id": [1, 1, 2], "day": [0, 0, 3], "test": ["sbp", "dbp", "sbp"], "value": [120, 80, 130]}
    )
    visits = read_visits(
        (PERSONS, events), patient="id", time="day", format="events", rare_patients=1
    )
    assert visits.table["sbp"].type == pa.int64()
    assert visits.static == ("sex", "age")
    write_visits(visits, tmp_path / "out")
    again = read_visits(tmp_path / "out", patient="id", time="day", rare_patients=1)
    assert (
        again.table.select(visits.table.column_names).cast(visits.table.schema).equals(visits.table)
    )
    assert again.layout == "events"
    assert again.details == {"variable": "test", "value": "value"}


def test_events_without_values_are_marks(tmp_path):
    events = pa.table({"id": [2, 1, 1], "day": [3, 5, 0], "event": ["mi", "htn", "htn"]})
    visits = read_visits(events, patient="id", time="day", format="events", rare_patients=1)
    assert visits.table["htn"].to_pylist() == [True, True, False]
    write_visits(visits, tmp_path / "out")
    back = read_visits(tmp_path / "out", patient="id", time="day", rare_patients=1)
    assert back.table.equals(visits.table.select(back.table.column_names))


def test_variables_in_several_units_are_refused():
    events = EVENTS.append_column("unit", pa.array(["bpm", "bpm", "Hz", *[None] * 4]))
    with pytest.raises(InputError, match="1 variables come in more than one unit"):
        read_visits(events, patient="id", time="minute", format="events", rare_patients=1)


WIDE = pa.table(
    {
        "id": [1, 2, 3],
        "icd_9": ["a", "b", "c"],
        "hr_0": [60, None, None],
        "hr_10": [61.5, 70, None],
        "ward_0": ["x", None, None],
        "ward_2": ["y", "z", None],
    }
)


def test_wide_tables_become_long_and_come_back(tmp_path):
    visits = read_visits(WIDE, patient="id", time="day", format="wide")
    assert visits.static == ("icd_9",)
    assert [(row["id"], row["day"], row["hr"], row["ward"]) for row in _pylist(visits)] == [
        (1, 0, 60.0, "x"),
        (1, 2, None, "y"),
        (1, 10, 61.5, None),
        (2, 2, None, "z"),
        (2, 10, 70.0, None),
    ]
    assert visits.warnings == ("1 patients without visits were left out.",)
    write_visits(visits, tmp_path / "wide.parquet")
    again = read_visits(tmp_path / "wide.parquet", patient="id", time="day", format="wide")
    assert again.table.equals(visits.table)


def test_a_wide_table_has_room_for_one_visit_at_a_time(tmp_path):
    visits = read_visits(LONG, patient="patient_id", time="day")
    with pytest.raises(ArtifactError, match="1 visits are at the time of another"):
        write_visits(visits, tmp_path / "wide.csv", layout="wide")
    with pytest.raises(InputError, match="no column is named by a variable and a time"):
        read_visits(PERSONS, patient="id", format="wide")


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(1, 4), st.integers(0, 5)), st.integers(-9, 9), min_size=2
    ),
    st.sampled_from(["_", ".", "-", "_t"]),
)
def test_wide_tables_of_any_separator_come_back(cells, separator):
    ids = sorted({who for who, _ in cells})
    times = sorted({when for _, when in cells} | {6, 7})
    columns = {f"x{separator}{t}": [cells.get((who, t)) for who in ids] for t in times}
    wide = pa.table({"id": ids, **columns})
    visits = read_visits(wide, patient="id", format="wide")
    assert visits.details == {"separator": separator}
    found = {(row["id"], row["time"]): row["x"] for row in _pylist(visits)}
    assert found == cells


def _stamp(*days: int | None) -> pa.Array:
    return pa.array([None if day is None else day * 86_400_000_000 for day in days]).cast(
        pa.timestamp("us")
    )


def _meds(folder: Path, splits: dict[int, str] | None = None) -> Path:
    """Write a faithful small data set: two shards, static rows, births, values and marks."""
    first = pa.table(
        {
            "subject_id": [7, 7, 7, 7, 7, 7, 4, 4],
            "time": _stamp(None, -9000, 0, 0, 0, 3, None, 5),
            "code": ["SEX//F", "MEDS_BIRTH", "HR", "HR", "ICD//I10", "HR", "SEX//M", "HR"],
            "numeric_value": pa.array([None, None, 60, 62, None, 64, None, 70], pa.float32()),
        }
    )
    second = pa.table(
        {
            "subject_id": [9, 9, 9, 11],
            "time": _stamp(1, 2, 2, None),
            "code": ["ICD//I10", "NOTE", "HR", "SEX//F"],
            "numeric_value": pa.array([None, None, None, None], pa.float32()),
            "text_value": pa.array([None, "calm", None, None], pa.large_string()),
        }
    )
    for name, part in (("train/0", first), ("held_out/0", second)):
        path = folder / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(part, path)
    if splits:
        (folder / "metadata").mkdir()
        table = pa.table({"subject_id": list(splits), "split": list(splits.values())})
        pq.write_table(table, folder / "metadata" / "subject_splits.parquet")
    return folder


def test_meds_codes_become_columns(tmp_path):
    visits = read_visits(_meds(tmp_path), rare_patients=1)
    assert (visits.layout, visits.patient, visits.time) == ("meds", "subject_id", "time")
    assert visits.static == ("MEDS_BIRTH", "SEX//F", "SEX//M")
    assert visits.table["subject_id"].to_pylist() == [4, 7, 7, 9, 9]
    assert visits.table["HR"].to_pylist() == [70, 61, 64, None, None]
    assert visits.table["ICD//I10"].to_pylist() == [False, True, False, True, False]
    assert visits.table["NOTE"].to_pylist() == [None, None, None, None, "calm"]
    assert visits.table["SEX//F"].to_pylist() == [False, True, True, False, False]
    assert visits.table["MEDS_BIRTH"].null_count == 3
    assert [warning.split()[0] for warning in visits.warnings] == ["1", "1", "1"]


def test_rare_codes_do_not_become_columns(tmp_path):
    visits = read_visits(_meds(tmp_path), format="meds", rare_patients=2)
    assert visits.varying == ("HR", "ICD//I10")
    assert visits.static == ("SEX//F",)
    assert "3 codes of fewer than 2 patients were left out (3 events)." in visits.warnings
    with pytest.raises(InputError, match="no dated event"):
        read_visits(tmp_path)


def test_only_the_subjects_for_training_are_learned_from(tmp_path):
    splits = {7: "train", 4: "train", 9: "held_out", 11: "tuning"}
    visits = read_visits(_meds(tmp_path, splits), rare_patients=1)
    assert set(visits.table["subject_id"].to_pylist()) == {4, 7}
    assert "2 subjects outside the split train were left out." in visits.warnings


def test_meds_comes_back_with_subjects_from_one(tmp_path):
    (tmp_path / "in").mkdir()
    visits = read_visits(_meds(tmp_path / "in"), rare_patients=1)
    write_visits(visits, tmp_path / "out")
    again = read_visits(tmp_path / "out", rare_patients=1)
    assert again.warnings == ()
    assert again.table["subject_id"].to_pylist() == [1, 2, 2, 3, 3]
    names = visits.table.column_names[1:]
    assert sorted(again.table.column_names[1:]) == sorted(names)
    assert again.table.select(names).equals(visits.table.select(names))
    write_visits(visits, tmp_path / "out", force=True)


def test_what_meds_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    visits = read_visits(LONG, patient="patient_id", time="day")
    with pytest.raises(ArtifactError, match="no dates or timestamps"):
        write_visits(visits, tmp_path / "out", layout="meds")
    assert list(tmp_path.iterdir()) == []


def test_a_meds_data_set_that_is_written_is_valid(tmp_path):
    meds = pytest.importorskip("meds", reason="the extra meds is not installed")
    (tmp_path / "in").mkdir()
    write_visits(read_visits(_meds(tmp_path / "in"), rare_patients=1), tmp_path / "out")
    (shard,) = (tmp_path / "out" / "data").iterdir()
    meds.DataSchema.validate(pq.read_table(shard))
    meds.CodeMetadataSchema.validate(pq.read_table(tmp_path / "out" / meds.code_metadata_filepath))
    about = json.loads((tmp_path / "out" / meds.dataset_metadata_filepath).read_text())
    meds.DatasetMetadataSchema.validate(about)


STAY = """Time,Parameter,Value
00:00,RecordID,{id}
00:00,Age,54
00:00,Gender,-1
00:00,Height,-1
00:00,ICUType,4
00:00,Weight,-1
00:07,HR,73
00:07,HR,75
00:07,Temp,35.1
01:37,Weight,81.5
47:59,HR,-1
"""
EMPTY_STAY = STAY[: STAY.index("00:07")]


def _physionet2012(folder: Path) -> Path:
    (folder / "set-a").mkdir(parents=True)
    for i in (132539, 132540):
        (folder / "set-a" / f"{i}.txt").write_text(STAY.format(id=i))
    (folder / "set-a" / "140001.txt").write_text(EMPTY_STAY.format(id=140001).rstrip())
    (folder / "Outcomes-a.txt").write_text(
        "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n"
        "132540,16,8,8,-1,0\n132539,6,1,5,10,1\n140001,21,-1,19,-1,0\n"
    )
    return folder


def test_physionet_2012_comes_and_goes(tmp_path):
    visits = read_visits(_physionet2012(tmp_path / "in"), rare_patients=2)
    assert visits.layout == "physionet2012"
    assert visits.static[:5] == ("Age", "Gender", "Height", "ICUType", "AdmissionWeight")
    first, second = _pylist(visits)[:2]
    assert (first["RecordID"], first["minute"], first["HR"], first["Temp"]) == (
        132539, 7, 74.0, 35.1,
    )  # fmt: skip
    assert (first["Age"], first["Gender"], first["Survival"], first["In-hospital_death"]) == (
        54, None, 10, 1,
    )  # fmt: skip
    assert (second["minute"], second["Weight"], second["AdmissionWeight"]) == (97, 81.5, None)
    assert "1 patients without visits were left out." in visits.warnings
    write_visits(visits, tmp_path / "out")
    again = read_visits(tmp_path / "out", rare_patients=2)
    names = visits.table.column_names[1:]
    assert again.table.select(names).equals(visits.table.select(names))
    assert again.table["RecordID"].to_pylist() == [1, 1, 2, 2]
    assert again.static == visits.static


def test_a_text_folder_of_another_format_is_refused(tmp_path):
    folder = _physionet2012(tmp_path)
    (folder / "set-a" / "140002.txt").write_text("Time,Parameter\n00:00,HR\n")
    with pytest.raises(InputError, match="the 4 files do not all begin with the same 3 columns"):
        read_visits(folder, rare_patients=1)
    (folder / "set-a" / "140002.txt").write_text("Time,Parameter,Value\n00:00,HR,secret\n")
    with pytest.raises(InputError, match="no numbers") as caught:
        read_visits(folder, rare_patients=1)
    assert "secret" not in str(caught.value)


HOURS = {
    "p000009": "80|NaN|61|1|-2.5|1|0\nNaN|36.6|61|1|-2.5|2|1\n",
    "p000002": "70|NaN|50|0|-0.1|1|0\n",
}


def test_physionet_2019_comes_and_goes(tmp_path):
    (tmp_path / "in").mkdir()
    head = "HR|Temp|Age|Gender|HospAdmTime|ICULOS|SepsisLabel\n"
    for name, rows in HOURS.items():
        (tmp_path / "in" / f"{name}.psv").write_text(head + rows)
    visits = read_visits(tmp_path / "in")
    assert (visits.layout, visits.time) == ("physionet2019", "ICULOS")
    assert visits.static == ("Age", "Gender", "HospAdmTime")
    assert visits.table["patient"].to_pylist() == ["p000002", "p000009", "p000009"]
    assert visits.table["Temp"].to_pylist() == [None, None, 36.6]
    write_visits(visits, tmp_path / "out")
    written = (tmp_path / "out" / "p000002.psv").read_text()
    assert written == head + HOURS["p000009"]
    again = read_visits(tmp_path / "out")
    names = visits.table.column_names[1:]
    assert again.table.select(names).equals(visits.table.select(names))


def _omop(folder: Path, *, visits: bool = True) -> Path:
    tables = {
        "person": {
            "person_id": [10, 20, 30],
            "gender_concept_id": [8507, 8532, 8532],
            "year_of_birth": [1950, 1960, 1970],
            "race_concept_id": [0, 8527, 8527],
        },
        "visit_occurrence": {
            "visit_occurrence_id": [5, 6, 7],
            "person_id": [20, 10, 20],
            "visit_concept_id": [9201, 9202, 9202],
            "visit_start_date": pa.array([100, 50, 10], pa.date32()),
            "visit_end_date": pa.array([104, 50, 10], pa.date32()),
        },
        "measurement": {
            "measurement_id": [1, 2, 3, 4, 5],
            "person_id": [20, 20, 10, 20, 10],
            "measurement_concept_id": [3004249, 3004249, 3004249, 3025315, 3025315],
            "measurement_date": pa.array([100, 101, 50, 102, 400], pa.date32()),
            "value_as_number": [120.0, 130.0, 140.0, 81.5, 90.0],
            "unit_concept_id": [8876, 8876, 8876, None, None],
            "visit_occurrence_id": [5, 5, 6, None, None],
        },
        "condition_occurrence": {
            "person_id": [20, 10],
            "condition_concept_id": [201826, 201826],
            "condition_start_date": pa.array([10, 50], pa.date32()),
            "visit_occurrence_id": [7, 6],
        },
        "death": {"person_id": [20, 10], "death_date": pa.array([104, 90], pa.date32())},
    }
    folder.mkdir()
    for name, columns in tables.items():
        if visits or name != "visit_occurrence":
            pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def test_omop_visits_come_and_go(tmp_path):
    visits = read_visits(_omop(tmp_path / "in"), rare_patients=1)
    table = visits.table
    assert visits.layout == "omop"
    assert visits.static[:2] == ("year_of_birth", "gender_concept_id")
    assert table["person_id"].to_pylist() == [10, 10, 20, 20]
    assert table["visit_concept_id"].to_pylist() == ["9202", None, "9202", "9201"]
    assert table["measurement_3004249_8876"].to_pylist() == [140.0, None, None, 125.0]
    assert table["measurement_3025315"].to_pylist() == [None, None, None, 81.5]
    assert table["condition_201826"].to_pylist() == [True, False, True, False]
    assert table["death"].to_pylist() == [False, True, False, True]
    assert table["visit_days"].to_pylist() == [0, None, 0, 4]
    assert "1 events belong to no visit and were left out." in visits.warnings
    write_visits(visits, tmp_path / "out")
    again = read_visits(tmp_path / "out", rare_patients=1)
    same = [name for name in table.column_names if name not in ("person_id", *visits.static)]
    assert again.table.select(same).equals(table.select(same))
    assert again.table["person_id"].to_pylist() == [1, 1, 2, 2]
    write_visits(visits, tmp_path / "out", force=True)


def test_omop_without_visits_has_one_row_a_day(tmp_path):
    visits = read_visits(_omop(tmp_path / "in", visits=False), rare_patients=2)
    assert visits.details == {"step": "day"}
    assert visits.varying == (
        "condition_201826", "death", "measurement_3004249_8876", "measurement_3025315",
    )  # fmt: skip
    assert visits.table.num_rows == 8
    write_visits(visits, tmp_path / "out")
    again = read_visits(tmp_path / "out", rare_patients=2)
    assert again.table.select(visits.varying).equals(visits.table.select(visits.varying))


@pytest.mark.parametrize(
    ("name", "columns", "told"),
    [("person", ["year_of_birth"], "lacks the column person_id"), ("person", None, "not clear")],
    ids=["column", "table"],
)
def test_an_omop_folder_that_lacks_something_is_refused(name, columns, told, tmp_path):
    path = _omop(tmp_path / "in") / f"{name}.parquet"
    table = pq.read_table(path)
    path.unlink()
    if columns:
        pq.write_table(table.select(columns), path)
    with pytest.raises(InputError, match=told):
        read_visits(tmp_path / "in")


def _set(request: pytest.FixtureRequest, *names: str) -> list[Path]:
    paths = [request.config.rootpath.parent / "shared" / "data" / name for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip("the public data sets are not beside the repository")
    return paths


@pytest.mark.data
def test_public_long_tables_are_understood_without_a_word(request):
    (path,) = _set(request, "pbcseq/pbcseq.parquet")
    visits = read_visits(path)
    assert (visits.patient, visits.time) == ("id", "day")
    assert visits.static == ("futime", "status", "trt", "age", "sex")
    (path,) = _set(request, "aids_cd4/aids_cd4.parquet")
    visits = read_visits(path)
    assert (visits.patient, visits.time) == ("patient", "obstime")
    assert len(visits.offsets()) == 468


@pytest.mark.data
@pytest.mark.parametrize(
    ("names", "patient", "time", "format", "rows", "static"),
    [
        (("mimic3_demo/hourly_stays", "mimic3_demo/hourly"), "stay_id", "hour", None, 9656, 5),
        (("nafld/persons", "nafld/measurements"), "id", "days", "events", 198449, 8),
        (("synthea/observations",), "PATIENT", "DATE", "events", 996, 0),
    ],
    ids=["mimic3_demo", "nafld", "synthea"],
)
def test_public_sets_are_read(names, patient, time, format, rows, static, request):
    paths = _set(request, *(f"{name}.parquet" for name in names))
    visits = read_visits(
        paths if len(paths) == 2 else paths[0], patient=patient, time=time, format=format
    )
    assert visits.table.num_rows == rows
    assert len(visits.static) == static
