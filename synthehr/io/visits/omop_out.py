"""The OMOP common data model, written: the tables that `read_omop` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from synthehr.errors import ArtifactError
from synthehr.io.visits.keys import is_moment, ranks
from synthehr.io.visits.omop import DEATH, LENGTH, PATIENT, PERSON
from synthehr.io.visits.visits import VisitTable
from synthehr.io.write import write_table
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown


def write_omop(visits: VisitTable, folder: Path) -> None:
    """Write person, visit_occurrence, condition_occurrence, measurement and death.

    Persons and visits are numbered from 1, and the concepts of types are 0 (no matching
    concept). A death has the date at which its visit ends.

    Raises
    ------
    ArtifactError
        If the times are no dates.
    """
    table = visits.table
    if not is_moment(table.schema.field(visits.time).type):
        raise ArtifactError(
            f"the times in column {shown(visits.time)} are no dates",
            hint="OMOP dates every event; write another layout.",
        )
    owners = pa.array(ranks(table.column(visits.patient)) + 1)
    start = table.column(visits.time).cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    start = start.combine_chunks()
    by_day = visits.details.get("step") == "day"
    numbers = pa.array(np.arange(1, table.num_rows + 1), mask=_is_no_visit(visits, by_day))
    _person(visits, folder)
    if not by_day:
        _visit_occurrence(visits, owners, start, numbers, folder)
    _facts(visits, owners, start, numbers, folder)
    if DEATH in table.column_names:
        at = pa.array(np.flatnonzero(np.asarray(pc.fill_null(table.column(DEATH), False))))
        dead = pa.table({PATIENT: owners.take(at), "death_date": _ends(visits, start).take(at)})
        # OMOP holds one death a person: the first.
        write_table(
            [
                dead.group_by(PATIENT, use_threads=False)
                .aggregate([("death_date", "min")])
                .rename_columns([PATIENT, "death_date"])
            ],
            folder / "death.parquet",
        )


def _is_no_visit(visits: VisitTable, by_day: bool) -> np.ndarray:
    """Find the rows that stand for a death alone."""
    if by_day or "visit_concept_id" not in visits.table.column_names:
        return np.full(visits.table.num_rows, by_day)
    return np.asarray(pc.is_null(visits.table.column("visit_concept_id")))


def _ends(visits: VisitTable, start: pa.Array) -> pa.Array:
    if LENGTH not in visits.table.column_names:
        return start
    days = pc.fill_null(visits.table.column(LENGTH), 0).cast(pa.int32(), safe=False)
    return pc.add(start.cast(pa.int32()), days.combine_chunks()).cast(pa.date32())


def _concept(table: pa.Table, name: str) -> pa.Array | pa.ChunkedArray:
    if name not in table.column_names:
        return pa.array(np.zeros(table.num_rows, dtype=np.int64))
    return pc.fill_null(table.column(name).cast(pa.int64()), 0)


def _person(visits: VisitTable, folder: Path) -> None:
    persons = visits.patients()
    year, *concepts = PERSON
    columns = {PATIENT: pa.array(np.arange(1, persons.num_rows + 1))}
    if year in persons.column_names:
        columns[year] = persons.column(year)
    columns |= {name: _concept(persons, name) for name in concepts}
    write_table([pa.table(columns)], folder / "person.parquet")


def _visit_occurrence(
    visits: VisitTable, owners: pa.Array, start: pa.Array, numbers: pa.Array, folder: Path
) -> None:
    table = pa.table(
        {
            "visit_occurrence_id": numbers,
            PATIENT: owners,
            "visit_concept_id": _concept(visits.table, "visit_concept_id"),
            "visit_start_date": start,
            "visit_end_date": _ends(visits, start),
            "visit_type_concept_id": pa.array(np.zeros(len(owners), dtype=np.int64)),
        }
    )
    table = table.filter(pc.is_valid(numbers))
    write_table([table], folder / "visit_occurrence.parquet")


def _facts(
    visits: VisitTable, owners: pa.Array, start: pa.Array, numbers: pa.Array, folder: Path
) -> None:
    """Write a row for each measurement that is not null, and each condition that is true."""
    parts: dict[str, list[pa.Table]] = {"measurement": [], "condition": []}
    for name in visits.varying:
        kind, *concepts = name.split("_")
        if kind not in parts or not all(x.isdigit() for x in concepts) or not concepts:
            continue
        cells = visits.table.column(name)
        measured = kind == "measurement"
        there = pc.is_valid(cells) if measured else pc.fill_null(cells, False)
        at = pa.array(np.flatnonzero(np.asarray(there)))
        n = len(at)
        day = "measurement_date" if measured else "condition_start_date"
        part = {
            PATIENT: owners.take(at),
            f"{kind}_concept_id": pa.array(np.full(n, int(concepts[0]))),
            day: start.take(at),
            f"{kind}_type_concept_id": pa.array(np.zeros(n, dtype=np.int64)),
            "visit_occurrence_id": numbers.take(at),
        }
        if measured:
            unit = int(concepts[1]) if len(concepts) > 1 else 0
            part["value_as_number"] = cells.take(at).cast(pa.float64())
            part["unit_concept_id"] = pa.array(np.full(n, unit))
        parts[kind].append(pa.table(part))
    for kind, tables in parts.items():
        if not tables:
            continue
        file = "measurement" if kind == "measurement" else "condition_occurrence"
        whole = pa.concat_tables(tables)
        ids = pa.array(np.arange(1, whole.num_rows + 1))
        write_table([whole.add_column(0, f"{file}_id", ids)], folder / f"{file}.parquet")
