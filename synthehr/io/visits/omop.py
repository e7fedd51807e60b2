"""The OMOP common data model, read: visits with measurements and conditions as columns.

Reference
---------
OMOP CDM 5.4, https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.parquet import read_parquet
from synthehr.io.source import MAX_BYTES, Source
from synthehr.io.tidy import tidy
from synthehr.io.visits.keys import ranks
from synthehr.io.visits.pivot import averaged, by_number, event_rows, holders, marked
from synthehr.io.visits.two_tables import joined
from synthehr.io.visits.visits import VisitTable, arranged
from synthehr.kernels import compute as pc

PATIENT, TIME, LENGTH, DEATH = "person_id", "visit_start", "visit_days", "death"
PERSON = ("year_of_birth", "gender_concept_id", "race_concept_id", "ethnicity_concept_id")
OURS = re.compile(r"(person|visit_occurrence|condition_occurrence|measurement|death)\.parquet")
_VISIT = ("visit_occurrence_id", "visit_concept_id", "visit_start_date", "visit_end_date")
_MEASUREMENT = (
    "measurement_concept_id", "measurement_date", "value_as_number", "unit_concept_id",
    "visit_occurrence_id",
)  # fmt: skip
_CONDITION = ("condition_concept_id", "condition_start_date", "visit_occurrence_id")
_DAY = pa.date32()


def read_omop(folder: Path, rare_patients: int) -> VisitTable:
    """Read person, visit_occurrence, condition_occurrence, measurement and death.

    One row a visit, or one a day where there is no table of visits. Columns are named by
    concept: ``measurement_3004249_8876`` holds numbers in the unit 8876,
    ``condition_201826`` is true where the condition was recorded. An event that names no
    visit goes to that of its person on its day. A death is marked on the visit of its day,
    or else has a row of its own.

    Parameters
    ----------
    folder : Path
        Holds ``person.parquet`` and the others, each a file of this name.
    rare_patients : int
        Concepts of fewer persons are left out.

    Raises
    ------
    InputError
        If a table is missing, damaged or lacks a column.
    """
    warnings: list[str] = []
    person = _table(folder, "person", PERSON, warnings)
    if person is None:
        raise InputError(f"{folder.name} holds no person.parquet", hint="OMOP needs it.")
    found = _table(folder, "visit_occurrence", _VISIT, warnings)
    events = _events(folder, warnings)
    visits = _days(events) if found is None else _visits(found)
    events, place = _placed(events, visits, warnings)
    visits, place = _with_deaths(visits, events, place, found is not None)
    columns = _columns(events, place, visits.num_rows, rare_patients, warnings)
    rows = visits.drop_columns(["visit_occurrence_id", "visit_end"])
    if found is None:
        rows = rows.drop_columns(["visit_concept_id", LENGTH])
    for name, cells in columns.items():
        rows = rows.append_column(name, cells)
    whole, static = joined(
        Source(_as_text(person), None, ()), Source(rows, None, tuple(warnings)), PATIENT
    )
    return arranged(
        whole.table,
        PATIENT,
        TIME,
        static=static,
        layout="omop",
        warnings=whole.warnings,
        details={"step": "day" if found is None else "visit"},
    )


def _table(
    folder: Path, name: str, columns: tuple[str, ...], warnings: list[str]
) -> pa.Table | None:
    """Read some columns of a table of the model; those it lacks are null."""
    path = folder / f"{name}.parquet"
    if not path.is_file():
        return None
    raw = read_parquet(path, [PATIENT, *columns], MAX_BYTES)
    if not raw.num_rows:
        return None
    table, notes = tidy(raw)
    warnings += notes
    for wanted in (PATIENT, *columns):
        if wanted not in table.column_names:
            if wanted not in ("unit_concept_id", "visit_occurrence_id", "visit_end_date", *PERSON):
                raise InputError(f"{path.name} lacks the column {wanted}", hint="OMOP needs it.")
            table = table.append_column(wanted, pa.nulls(table.num_rows, pa.int64()))
    new = {}
    for wanted in (PATIENT, *columns):
        kind = _DAY if wanted.endswith("_date") else pa.int64()
        kind = pa.float64() if wanted == "value_as_number" else kind
        try:
            new[wanted] = table.column(wanted).cast(kind, safe=kind != _DAY)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(
                f"{path.name}: column {wanted} has the type {table.column(wanted).type}",
                hint=f"OMOP wants {kind}.",
            ) from None
    return pa.table(new)


def _events(folder: Path, warnings: list[str]) -> pa.Table:
    """Put measurements, conditions and deaths under each other, by the names of columns."""
    parts = []
    measured = _table(folder, "measurement", _MEASUREMENT, warnings)
    if measured is not None:
        known = pc.is_valid(measured.column("value_as_number"))
        if left := pc.sum(pc.invert(known)).as_py():
            warnings.append(f"{left} measurements without value_as_number were left out.")
        measured = measured.filter(known)
        unit = measured.column("unit_concept_id")
        unit = pc.if_else(pc.equal(unit, 0), None, unit).cast(pa.string())
        concept = measured.column("measurement_concept_id").cast(pa.string())
        name = pc.binary_join_element_wise("measurement", concept, unit, "_", null_handling="skip")
        parts.append(_part(measured, name, "measurement_date", measured.column("value_as_number")))
    conditions = _table(folder, "condition_occurrence", _CONDITION, warnings)
    if conditions is not None:
        concept = conditions.column("condition_concept_id").cast(pa.string())
        name = pc.binary_join_element_wise("condition", concept, "_")
        parts.append(_part(conditions, name, "condition_start_date", None))
    died = _table(folder, "death", ("death_date",), warnings)
    if died is not None:
        name = pa.array([DEATH] * died.num_rows)
        parts.append(_part(died, name, "death_date", None))
    if not parts:
        raise InputError(
            f"{folder.name} holds neither measurements nor conditions", hint="OMOP needs a table."
        )
    return pa.concat_tables(parts)


def _part(
    table: pa.Table, name: pa.Array | pa.ChunkedArray, day: str, value: pa.ChunkedArray | None
) -> pa.Table:
    n = table.num_rows
    in_visit = "visit_occurrence_id" in table.column_names
    return pa.table(
        {
            PATIENT: table.column(PATIENT),
            "day": table.column(day),
            "visit": table.column("visit_occurrence_id") if in_visit else pa.nulls(n, pa.int64()),
            "name": name,
            "value": pa.nulls(n, pa.float64()) if value is None else value,
        }
    )


def _visits(found: pa.Table) -> pa.Table:
    start = found.column("visit_start_date")
    end = pc.coalesce(found.column("visit_end_date"), start)
    days = pc.subtract(end.cast(pa.int32()), start.cast(pa.int32()))
    return pa.table(
        {
            PATIENT: found.column(PATIENT),
            TIME: start,
            "visit_concept_id": found.column("visit_concept_id").cast(pa.string()),
            LENGTH: days,
            "visit_occurrence_id": found.column("visit_occurrence_id"),
            "visit_end": end,
        }
    )


def _days(events: pa.Table) -> pa.Table:
    rows = event_rows(ranks(events.column(PATIENT)), np.asarray(events.column("day").cast("int32")))
    return _bare(events.take(pa.array(rows.first)))


def _bare(events: pa.Table) -> pa.Table:
    """Make rows that are no visits, at the person and the day of events."""
    n = events.num_rows
    return pa.table(
        {
            PATIENT: events.column(PATIENT),
            TIME: events.column("day"),
            "visit_concept_id": pa.nulls(n, pa.string()),
            LENGTH: pa.nulls(n, pa.int32()),
            "visit_occurrence_id": pa.nulls(n, pa.int64()),
            "visit_end": events.column("day"),
        }
    )


def _placed(
    events: pa.Table, visits: pa.Table, warnings: list[str]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Find the visit of each event: the one that it names, or else that of its day.

    Returns
    -------
    events : pyarrow.Table
        Those with a visit, and all deaths.
    place : ndarray of shape (N,), int64
        Row of the visit of each; -1 for a death outside all visits.
    """
    ids = visits.column("visit_occurrence_id")
    named = pc.index_in(events.column("visit"), value_set=ids.drop_null())
    place = np.asarray(pc.fill_null(named, -1)).astype(np.int64)
    people = pc.unique(
        pa.chunked_array([*visits.column(PATIENT).chunks, *events.column(PATIENT).chunks])
    )
    who = np.asarray(pc.index_in(visits.column(PATIENT), value_set=people)).astype(np.int64)
    start, end = (
        np.asarray(visits.column(x).cast(pa.int32())).astype(np.int64) for x in (TIME, "visit_end")
    )
    # One number orders by person first and by day second.
    span = 1 << 32
    order = np.argsort(who * span + start, kind="stable")
    whose = np.asarray(pc.index_in(events.column(PATIENT), value_set=people)).astype(np.int64)
    day = np.asarray(events.column("day").cast(pa.int32())).astype(np.int64)
    before = np.searchsorted((who * span + start)[order], whose * span + day, side="right") - 1
    last = order[np.maximum(before, 0)]
    fits = (before >= 0) & (who[last] == whose) & (start[last] <= day) & (day <= end[last])
    place = np.where((place < 0) & fits, last, place)
    kept = (place >= 0) | np.asarray(pc.equal(events.column("name"), DEATH))
    if not kept.all():
        warnings.append(f"{int((~kept).sum())} events belong to no visit and were left out.")
    return events.filter(pa.array(kept)), place[kept]


def _with_deaths(
    visits: pa.Table, events: pa.Table, place: NDArray[np.int64], by_visit: bool
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Give each death outside all visits a row of its own."""
    alone = np.flatnonzero(place < 0)
    if by_visit and len(alone):
        place = place.copy()
        place[alone] = visits.num_rows + np.arange(len(alone))
        visits = pa.concat_tables([visits, _bare(events.take(pa.array(alone)))])
    return visits, place


def _columns(
    events: pa.Table,
    place: NDArray[np.int64],
    rows: int,
    rare_patients: int,
    warnings: list[str],
) -> dict[str, pa.Array]:
    numbers = ranks(events.column("name"))
    held = holders(numbers, ranks(events.column(PATIENT)))
    values = np.asarray(events.column("value"))
    columns: dict[str, pa.Array] = {}
    rare = merged = 0
    for number, at in by_number(numbers):
        name = events.column("name")[int(at[0])].as_py()
        # That somebody died is a column of the model itself, and names nobody.
        if held[number] < rare_patients and name != DEATH:
            rare += 1
        elif name.startswith("measurement"):
            columns[name], more = averaged(place[at], values[at], rows)
            merged += more
        else:
            columns[name] = marked(place[at], rows)
    if rare:
        warnings.append(f"{rare} concepts of fewer than {rare_patients} patients were left out.")
    if merged:
        warnings.append(
            f"{merged} measurements came in the visit of another of the same concept and were "
            "averaged."
        )
    return columns


def _as_text(person: pa.Table) -> pa.Table:
    """Concepts are names, not numbers: as text they are modelled as categories."""
    for i, name in enumerate(person.column_names):
        if name.endswith("_concept_id"):
            person = person.set_column(i, name, person.column(name).cast(pa.string()))
    return person
