"""The Medical Event Data Standard, read: a column for each code.

Reference
---------
MEDS 0.4, https://github.com/Medical-Event-Data-Standard/meds
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.parquet import read_parquet
from synthehr.io.source import MAX_BYTES
from synthehr.io.tidy import tidy
from synthehr.io.visits.keys import codes, ranks, time_key
from synthehr.io.visits.pivot import averaged, by_number, event_rows, holders, latest, marked
from synthehr.io.visits.visits import VisitTable, arranged
from synthehr.kernels import compute as pc

PATIENT, TIME = "subject_id", "time"
STATIC = " (static)"
BIRTH = "MEDS_BIRTH"
SCHEMA = pa.schema(
    {
        PATIENT: pa.int64(),
        TIME: pa.timestamp("us"),
        "code": pa.string(),
        "numeric_value": pa.float32(),
        "text_value": pa.large_string(),
    }
)
_REQUIRED = (PATIENT, TIME, "code")


def read_meds(folder: Path, rare_patients: int) -> VisitTable:
    """Read a MEDS data set; events of a subject at one time are one visit.

    A code becomes a column: of numbers or of text where most of its events have such a
    value, and otherwise of booleans (whether the event was). Events without time become
    static columns, and so does the moment of birth. Where the data set is split, only its
    part for training is read.

    Parameters
    ----------
    folder : Path
        Holds ``data/**/*.parquet`` and maybe ``metadata/subject_splits.parquet``.
    rare_patients : int
        Codes of fewer subjects are left out.

    Raises
    ------
    InputError
        If a file is damaged or breaks the standard, or no code is left.
    """
    events, warnings = tidy(_shards(folder))
    for name in (PATIENT, "code"):
        if events.column(name).null_count:
            raise InputError(
                f"column {name} is null in {events.column(name).null_count} events",
                hint="MEDS does not allow that; correct the data set.",
            )
    events = _for_training(folder, events, warnings)
    events = _common(events, rare_patients, warnings)
    born = pc.starts_with(events.column("code"), BIRTH)
    undated = pc.is_null(events.column(TIME))
    visits = events.filter(pc.invert(pc.or_(undated, born)))
    if not visits.num_rows:
        raise InputError(
            f"no dated event of a code of {rare_patients} subjects is left",
            hint="Check that column time is filled.",
        )
    rows = event_rows(ranks(visits.column(PATIENT)), time_key(visits.column(TIME)))
    at = pa.array(rows.first)
    subjects = visits.column(PATIENT).take(at)
    tally: Counter[str] = Counter()
    varying = _columns(visits, rows.place, len(rows), tally)
    fixed = _of_subjects(events.filter(pc.or_(undated, born)), subjects, warnings, tally)
    static = {f"{x}{STATIC}" if x in varying else x: cells for x, cells in fixed.items()}
    _tell(tally, warnings)
    table = {PATIENT: subjects, TIME: visits.column(TIME).take(at), **static, **varying}
    return arranged(
        pa.table(table), PATIENT, TIME, static=tuple(static), layout="meds", warnings=warnings
    )


def _shards(folder: Path) -> pa.Table:
    paths = sorted((folder / "data").rglob("*.parquet"))
    if not paths:
        raise InputError(
            f"{folder.name} holds no files data/**/*.parquet", hint="Give the root of a MEDS set."
        )
    parts, room = [], MAX_BYTES
    for path in paths:
        part = _conform(path, read_parquet(path, SCHEMA.names, room))
        room -= part.nbytes
        parts.append(part)
    return pa.concat_tables(parts)


def _conform(path: Path, part: pa.Table) -> pa.Table:
    """Bring a shard to the types of the standard; what may be absent is null."""
    missing = [name for name in _REQUIRED if name not in part.column_names]
    if missing:
        raise InputError(
            f"{path.name} lacks the column {missing[0]}", hint="MEDS needs subject_id, time, code."
        )
    columns = []
    for wanted in SCHEMA:
        if wanted.name not in part.column_names:
            columns.append(pa.nulls(part.num_rows, wanted.type))
            continue
        cells = part.column(wanted.name)
        try:
            columns.append(cells.cast(wanted.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise InputError(
                f"{path.name}: column {wanted.name} has the type {cells.type}",
                hint=f"MEDS wants {wanted.type}.",
            ) from None
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _for_training(folder: Path, events: pa.Table, warnings: list[str]) -> pa.Table:
    path = folder / "metadata" / "subject_splits.parquet"
    if not path.is_file():
        return events
    splits = read_parquet(path, (PATIENT, "split"), MAX_BYTES)
    if splits.num_columns < 2:
        raise InputError(
            f"{path.name} lacks a column", hint="MEDS wants subject_id and split there."
        )
    trained = splits.filter(pc.equal(splits.column("split"), "train")).column(PATIENT)
    kept = events.filter(pc.is_in(events.column(PATIENT), value_set=trained.cast(pa.int64())))
    if not kept.num_rows:
        raise InputError(
            "no subject is in the split train", hint="Correct metadata/subject_splits.parquet."
        )
    before, after = (len(pc.unique(x.column(PATIENT))) for x in (events, kept))
    if after < before:
        warnings.append(f"{before - after} subjects outside the split train were left out.")
    return kept


def _common(events: pa.Table, rare_patients: int, warnings: list[str]) -> pa.Table:
    numbers = codes(events.column("code"))
    held = holders(numbers, codes(events.column(PATIENT)))
    rare = held < rare_patients
    if rare.any():
        warnings.append(
            f"{int(rare.sum())} codes of fewer than {rare_patients} patients were left out "
            f"({int(rare[numbers].sum())} events)."
        )
    return events.filter(pa.array(~rare[numbers]))


def _columns(
    events: pa.Table, place: NDArray[np.int64], rows: int, tally: Counter[str]
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Make a column of each code, of the kind that most of its events have."""
    numeric = np.asarray(pc.is_valid(events.column("numeric_value")))
    text = np.asarray(pc.is_valid(events.column("text_value"))) & ~numeric
    columns = {}
    values = np.asarray(events.column("numeric_value").cast(pa.float64()).combine_chunks())
    for _, at in by_number(ranks(events.column("code"))):
        name = events.column("code")[int(at[0])].as_py()
        numbers, texts = at[numeric[at]], at[text[at]]
        marks = len(at) - len(numbers) - len(texts)
        if len(numbers) >= max(len(texts), marks, 1):
            column, merged = averaged(place[numbers], values[numbers], rows)
            columns[name] = column.cast(pa.float32())
        elif len(texts) >= max(marks, 1):
            cells = pc.take(events.column("text_value"), pa.array(texts))
            columns[name], merged = latest(place[texts], cells, rows)
        else:
            columns[name], merged = marked(place[at], rows), 0
            numbers = at
        tally["merged"] += merged
        tally["other"] += len(at) - max(len(numbers), len(texts))
    return columns


def _of_subjects(
    events: pa.Table, subjects: pa.ChunkedArray, warnings: list[str], tally: Counter[str]
) -> dict[str, pa.Array | pa.ChunkedArray]:
    """Make static columns, one cell a visit: equal on all visits of a subject."""
    people = pc.unique(subjects)
    visited = pc.is_in(events.column(PATIENT), value_set=people)
    left = len(pc.unique(events.column(PATIENT).filter(pc.invert(visited))))
    if left:
        warnings.append(f"{left} patients without visits were left out.")
    events = events.filter(visited)
    undated = pc.is_null(events.column(TIME))
    births, others = events.filter(pc.invert(undated)), events.filter(undated)
    columns = _moments(births, _places(births, people), len(people))
    columns |= _columns(others, _places(others, people), len(people), tally)
    back = pc.index_in(subjects, value_set=people).combine_chunks()
    return {name: pc.take(cells, back) for name, cells in columns.items()}


def _places(events: pa.Table, people: pa.Array) -> NDArray[np.int64]:
    found = pc.index_in(events.column(PATIENT), value_set=people)
    return np.asarray(found.combine_chunks()).astype(np.int64)


def _moments(
    births: pa.Table, place: NDArray[np.int64], rows: int
) -> dict[str, pa.Array | pa.ChunkedArray]:
    columns = {}
    for _, at in by_number(ranks(births.column("code"))):
        name = births.column("code")[int(at[0])].as_py()
        columns[name], _ = latest(place[at], births.column(TIME).take(pa.array(at)), rows)
    return columns


def _tell(tally: Counter[str], warnings: list[str]) -> None:
    if tally["merged"]:
        warnings.append(
            f"{tally['merged']} events came at the time of another of the same code: numbers were "
            "averaged, of texts the last was taken."
        )
    if tally["other"]:
        warnings.append(
            f"{tally['other']} events have another kind of value than most of their code, and "
            "were left out."
        )
