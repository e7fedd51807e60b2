"""PhysioNet 2012: a text file a stay with the lines ``Time,Parameter,Value``, and outcomes.

Reference
---------
Silva et al., Predicting in-hospital mortality of ICU patients: the PhysioNet/Computing in
Cardiology Challenge 2012. Computing in Cardiology 39 (2012), 245-248.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ArtifactError, InputError
from synthehr.io.source import Source, read
from synthehr.io.visits.events import melted, pivoted
from synthehr.io.visits.pivot import latest, whole_where_possible
from synthehr.io.visits.text_folder import numbers_of, read_alike, write_alike
from synthehr.io.visits.two_tables import joined
from synthehr.io.visits.visits import VisitTable, arranged
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

PATIENT, TIME = "RecordID", "minute"
OURS = re.compile(r"set-a/\d+\.txt|Outcomes-a\.txt")
_COLUMNS = ("Time", "Parameter", "Value")
_DESCRIPTORS = ("Age", "Gender", "Height", "ICUType", "Weight")
_OUTCOMES = ("SAPS-I", "SOFA", "Length_of_stay", "Survival", "In-hospital_death")
# The weight at admission is told apart from the weights measured later.
_RENAMED = {"Weight": "AdmissionWeight"}


def read_physionet2012(folder: Path, rare_patients: int) -> VisitTable:
    """Read a set of stays: parameters become columns, descriptors and outcomes are static.

    The value -1 means unknown. Times are minutes since admission.

    Raises
    ------
    InputError
        If a file breaks the format.
    """
    texts = sorted(folder.rglob("*.txt"))
    outcomes = [path for path in texts if path.name.lower().startswith("outcomes")]
    stays = [path for path in texts if path.stem.isdigit()]
    if not stays:
        raise InputError(f"{folder.name} holds no stays, such as 132539.txt", hint="Go one up.")
    rows, file = read_alike(stays, _COLUMNS, ",", [""])
    ids = np.array([int(path.stem) for path in stays])
    minutes = _minutes(rows.column("Time"))
    values = numbers_of(rows.column("Value"), "the column Value")
    names = pc.fill_null(rows.column("Parameter"), "")
    values = pc.if_else(pc.equal(values, -1), None, values)
    described = _described(names, minutes, file)
    persons = {PATIENT: pa.array(ids)}
    for name in _DESCRIPTORS:
        at = np.flatnonzero(described & np.asarray(pc.equal(names, name)))
        cells, _ = latest(file[at], values.take(pa.array(at)), len(stays))
        persons[_RENAMED.get(name, name)] = whole_where_possible(cells, pa.int16())
    known = np.asarray(pc.and_(pc.is_valid(values), pc.not_equal(names, ""))) & ~described
    kept = pa.array(known)
    events = pa.table(
        {
            PATIENT: pa.array(ids[file]).filter(kept),
            TIME: pa.array(minutes).filter(kept),
            "Parameter": names.filter(kept),
            "Value": values.filter(kept),
        }
    )
    visits, details = pivoted(Source(events, None, ()), PATIENT, TIME, rare_patients)
    table = pa.table(persons | _outcomes(outcomes, ids))
    whole, static = joined(Source(table, None, ()), visits, PATIENT)
    return arranged(
        whole.table,
        PATIENT,
        TIME,
        static=static,
        layout="physionet2012",
        warnings=whole.warnings,
        details=details,
    )


def write_physionet2012(visits: VisitTable, folder: Path) -> None:
    """Write a file a stay, numbered from 1, and the outcomes.

    Raises
    ------
    ArtifactError
        If the times are not whole minutes from 0.
    """
    times = visits.table.column(visits.time)
    if not pa.types.is_integer(times.type) or pc.min(times).as_py() < 0:
        raise ArtifactError(
            f"the times in column {shown(visits.time)} are not whole minutes from 0",
            hint="Write another layout.",
        )
    (folder / "set-a").mkdir()
    persons = visits.patients()
    count = persons.num_rows
    events = melted(visits)
    lines = pc.binary_join_element_wise(
        _clock(np.asarray(events.column(visits.time))),
        events.column(2),
        events.column(3).cast(pa.string()),
        ",",
    )
    people = pc.unique(visits.table.column(visits.patient))
    owners = pc.index_in(events.column(visits.patient), value_set=people)
    ends = np.cumsum(np.bincount(np.asarray(owners), minlength=count))
    texts = _texts(persons, [_RENAMED.get(name, name) for name in _DESCRIPTORS])
    heads = [
        f"{','.join(_COLUMNS)}\n00:00,{PATIENT},{i}\n"
        + "".join(f"00:00,{n},{cell}\n" for n, cell in zip(_DESCRIPTORS, cells, strict=True))
        for i, cells in enumerate(texts, 1)
    ]
    names = [f"{i}.txt" for i in range(1, count + 1)]
    write_alike(folder / "set-a", names, heads, lines.combine_chunks(), ends.tolist())
    outcomes = "".join(
        f"{','.join([str(i), *cells])}\n" for i, cells in enumerate(_texts(persons, _OUTCOMES), 1)
    )
    (folder / "Outcomes-a.txt").write_text(f"{','.join([PATIENT, *_OUTCOMES])}\n{outcomes}")


def _described(
    names: pa.ChunkedArray, minutes: NDArray[np.int64], file: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Find the lines that describe a stay: at its beginning, of each descriptor the first."""
    start = np.flatnonzero(minutes == 0)
    described = np.isin(np.asarray(names), [PATIENT, *_DESCRIPTORS[:-1]])
    weights = start[np.asarray(names)[start] == "Weight"]
    _, first = np.unique(file[weights], return_index=True)
    described[weights[first]] = True
    return described


def _minutes(clock: pa.ChunkedArray) -> NDArray[np.int64]:
    parts = pc.extract_regex(clock, r"^(?P<hours>\d{1,4}):(?P<minutes>\d{2})$")
    if parts.null_count:
        raise InputError(
            f"{parts.null_count} times are not written as hours:minutes",
            hint="Compare the files with the standard.",
        )
    hours, minutes = (
        pc.struct_field(parts, name).cast(pa.int64()) for name in ("hours", "minutes")
    )
    return np.asarray(pc.add(pc.multiply(hours, 60), minutes))


def _clock(minutes: NDArray[np.int64]) -> pa.Array:
    hours, rest = (pa.array(x).cast(pa.string()) for x in divmod(minutes.astype(np.int64), 60))
    two = [pc.utf8_lpad(part, width=2, padding="0") for part in (hours, rest)]
    return pc.binary_join_element_wise(*two, ":")


def _outcomes(paths: list[Path], ids: NDArray[np.int64]) -> dict[str, pa.ChunkedArray]:
    if not paths:
        return {}
    tables = [read(path).table for path in paths]
    for table in tables:
        if PATIENT not in table.column_names:
            raise InputError(f"the outcomes lack the column {PATIENT}", hint="Add it there.")
    table = pa.concat_tables(tables, promote_options="permissive")
    place = pc.index_in(pa.array(ids), value_set=table.column(PATIENT).cast(pa.int64()))
    columns = {}
    for name in table.column_names:
        if name != PATIENT:
            cells = table.column(name)
            columns[name] = pc.if_else(pc.equal(cells, -1), None, cells).take(place)
    return columns


def _texts(persons: pa.Table, names: list[str] | tuple[str, ...]) -> list[tuple[str, ...]]:
    """Write some static columns as text, row by row; what is unknown is -1."""
    columns = [
        pc.fill_null(persons.column(name).cast(pa.string()), "-1").to_pylist()
        if name in persons.column_names
        else ["-1"] * persons.num_rows
        for name in names
    ]
    return list(zip(*columns, strict=True))
