"""Wide tables: one row a patient, and a column for each variable at each time, such as hr_0."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np
import pyarrow as pa

from synthehr.errors import ArtifactError, InputError
from synthehr.io.names import check_names
from synthehr.io.source import Source
from synthehr.io.visits.keys import check_patients, ranks
from synthehr.io.visits.pivot import event_rows
from synthehr.io.visits.visits import VisitTable
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

_SEPARATORS = ("_t", "_", ".", "-")


def lengthened(
    source: Source, patient: str, time: str
) -> tuple[Source, tuple[str, ...], dict[str, str]]:
    """Turn a wide table into a long one.

    A name such as ``hr_0`` (or ``hr_t0``, ``hr.0``, ``hr-0``) is the variable ``hr`` at the
    time 0, where the same variable has at least two times: a lone ``icd_9`` stays as it
    is. The separator of most columns counts. All other columns are static. A row without
    any value at a time is no visit.

    Returns
    -------
    long : Source
        One row for each patient and time.
    static : tuple of str
        The columns without a time.
    details : dict from str to str
        The separator.

    Raises
    ------
    InputError
        If no columns have times, patients repeat, or the types of a variable do not fit.
    """
    table = source.table
    check_patients(table.column(patient), patient)
    repeated = table.num_rows - pc.count_distinct(table.column(patient)).as_py()
    if repeated:
        raise InputError(
            f"the wide table holds {repeated} rows of patients it has already",
            hint="A wide table has one row a patient; is this a long one?",
        )
    separator, variables = _variables([x for x in table.column_names if x != patient])
    timed = {name for columns in variables.values() for name in columns.values()}
    static = tuple(x for x in table.column_names if x != patient and x not in timed)
    times = sorted({when for columns in variables.values() for when in columns})
    check_names([patient, *static, time, *variables])
    blocks = pa.array(np.tile(np.arange(table.num_rows), len(times)))
    columns = {name: table.column(name).take(blocks) for name in (patient, *static)}
    columns[time] = pa.chunked_array([np.repeat(np.asarray(times, np.int64), table.num_rows)])
    empty = np.ones(len(blocks), dtype=bool)
    for name, at in variables.items():
        columns[name] = _stacked(table, name, at, times)
        empty &= np.asarray(pc.is_null(columns[name]))
    long = pa.table(columns).filter(pa.array(~empty))
    warnings = list(source.warnings)
    left = table.num_rows - pc.count_distinct(long.column(patient)).as_py()
    if left:
        warnings.append(f"{left} patients without visits were left out.")
    types = _types_of(source.pandas_types, variables)
    return Source(long, types, tuple(warnings)), static, {"separator": separator}


def widened(visits: VisitTable) -> tuple[pa.Table, dict[str, str] | None]:
    """Turn visits into a wide table again, with the pandas dtypes of its columns.

    Raises
    ------
    ArtifactError
        If times are not whole numbers from 0, or a patient has two visits at one time.
    """
    separator = visits.details.get("separator", "_")
    table = visits.table
    times = table.column(visits.time)
    whole = pa.types.is_integer(times.type)
    if not whole or (table.num_rows and pc.min(times).as_py() < 0):
        raise ArtifactError(
            f"the times in column {shown(visits.time)} are not whole numbers from 0",
            hint="A wide table names its columns by them; write the long layout.",
        )
    when = np.asarray(times.cast(pa.int64()).combine_chunks())
    owners = ranks(table.column(visits.patient))
    ties = len(owners) - len(event_rows(owners, when))
    if ties:
        raise ArtifactError(
            f"{ties} visits are at the time of another of the same patient",
            hint="A wide table has room for one; write the long layout.",
        )
    persons, types = visits.patients(), dict(visits.pandas_types or {})
    people = persons.num_rows
    for name in visits.varying:
        cells = table.column(name)
        for t in np.unique(when):
            at = np.flatnonzero(when == t)
            place = np.full(people, -1, dtype=np.int64)
            place[owners[at]] = at
            wide = f"{name}{separator}{t}"
            persons = persons.append_column(wide, pc.take(cells, pa.array(place, mask=place < 0)))
            if name in types:
                types[wide] = types[name]
    return persons, types or None


def _variables(names: list[str]) -> tuple[str, dict[str, dict[int, str]]]:
    """Find the separator that most columns have, and the columns of each variable by time."""
    best, found = "", {}
    for separator in _SEPARATORS:
        pattern = re.compile(rf"(.+?){re.escape(separator)}(\d{{1,9}})")
        stems: dict[str, dict[int, str]] = defaultdict(dict)
        for name in names:
            if match := pattern.fullmatch(name):
                stems[match[1]].setdefault(int(match[2]), name)
        stems = {stem: at for stem, at in stems.items() if len(at) > 1}
        if sum(map(len, stems.values())) > sum(map(len, found.values())):
            best, found = separator, stems
    if not found:
        raise InputError(
            "no column is named by a variable and a time, such as hr_0 and hr_1",
            hint="Rename the columns so, or read it as a long table.",
        )
    return best, found


def _stacked(table: pa.Table, name: str, at: dict[int, str], times: list[int]) -> pa.ChunkedArray:
    """Put the columns of a variable under each other, null where it has none at a time."""
    kinds = {table.schema.field(column).type for column in at.values()}
    kinds = {kind for kind in kinds if not pa.types.is_null(kind)} or kinds
    numbers = all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds)
    if len(kinds) > 1 and not numbers:
        raise InputError(
            f"the {len(at)} columns of the variable {shown(name)} have {len(kinds)} types",
            hint="Bring them to one type.",
        )
    wanted = next(iter(kinds)) if len(kinds) == 1 else _widest(kinds)
    nothing = pa.nulls(table.num_rows, wanted)
    parts = [table.column(at[t]).cast(wanted).chunks if t in at else [nothing] for t in times]
    stacked = pa.chunked_array([chunk for chunks in parts for chunk in chunks], wanted)
    return stacked.unify_dictionaries()


def _widest(kinds: set[pa.DataType]) -> pa.DataType:
    return pa.int64() if all(pa.types.is_integer(kind) for kind in kinds) else pa.float64()


def _types_of(
    types: dict[str, str] | None, variables: dict[str, dict[int, str]]
) -> dict[str, str] | None:
    """Give a variable the pandas dtype of its columns where they have one and the same."""
    if types is None:
        return None
    timed = {column for at in variables.values() for column in at.values()}
    new = {name: kind for name, kind in types.items() if name not in timed}
    for name, at in variables.items():
        kinds = {types.get(column, "") for column in at.values()}
        if len(kinds) == 1 and (kind := kinds.pop()):
            new[name] = kind
    return new or None
