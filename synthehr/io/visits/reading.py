"""Reading visits: which layout the source has, and which door it takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthehr.errors import InputError
from synthehr.io.source import Source, read
from synthehr.io.visits.guess import find_patient, find_time
from synthehr.io.visits.two_tables import joined
from synthehr.io.visits.visits import LAYOUTS, Layout, VisitTable, arranged
from synthehr.schema.column import shown

PATIENTS, VISITS = "patients.parquet", "visits.parquet"


def read_visits(
    data: Any,
    *,
    patient: str | None = None,
    time: str | None = None,
    format: Layout | None = None,
    static: Sequence[str] | None = None,
) -> VisitTable:
    """Read visits of patients, in any of the layouts that hospitals and registries export.

    Parameters
    ----------
    data : path or table, or two of them, or a folder
        One table with a row a visit; the table of patients and the table of visits; or a
        folder in the layout that `format` names. Tables are those that `synthehr.io.read`
        takes.
    patient, time : str or None
        Columns that say whose visit it is and when it was; None goes by names and types.
    format : Layout or None
        None takes one table for "long", two for "two-tables", and a folder by what is in it.
    static : sequence of str or None
        Columns declared to be constant within every patient. None finds them; of two
        tables the columns of the first are static without it.

    Returns
    -------
    VisitTable
        One row a visit, sorted by patient and time.

    Raises
    ------
    InputError
        If it cannot be read, or ids or times are missing.
    """
    if format is not None and format not in LAYOUTS:
        raise InputError(
            f"no layout of visits is called {shown(str(format))}",
            hint=f"Give one of {', '.join(LAYOUTS)}.",
        )
    if isinstance(data, str | os.PathLike) and Path(data).is_dir():
        return _folder(Path(data), patient, time, format, static)
    parts = (
        list(data) if isinstance(data, list | tuple) and not isinstance(data, Source) else [data]
    )
    if len(parts) not in (1, 2):
        raise InputError(
            f"{len(parts)} tables were given",
            hint="Give one table of visits, or the table of patients and that of visits.",
        )
    sources = [read(part) for part in parts]
    if len(sources) == 2:
        return _two(sources[0], sources[1], patient, time, static)
    return _one(sources[0], patient, time, static)


def _one(
    source: Source, patient: str | None, time: str | None, static: Sequence[str] | None
) -> VisitTable:
    patient = patient or find_patient(source.table)
    time = time or find_time(source.table, patient)
    return arranged(
        source.table,
        patient,
        time,
        static=static,
        pandas_types=source.pandas_types,
        warnings=source.warnings,
    )


def _two(
    persons: Source,
    visits: Source,
    patient: str | None,
    time: str | None,
    static: Sequence[str] | None,
) -> VisitTable:
    if static is not None:
        raise InputError(
            "static columns are named beside a table of patients",
            hint="Leave them out: the columns of the first of two tables are static.",
        )
    patient = patient or _common(persons, visits)
    time = time or find_time(visits.table, patient)
    whole, static = joined(persons, visits, patient)
    return arranged(
        whole.table,
        patient,
        time,
        static=static,
        layout="two-tables",
        pandas_types=whole.pandas_types,
        warnings=whole.warnings,
    )


def _common(persons: Source, visits: Source) -> str:
    names = [x for x in persons.table.column_names if x in set(visits.table.column_names)]
    return names[0] if len(names) == 1 else find_patient(visits.table)


def _folder(
    folder: Path,
    patient: str | None,
    time: str | None,
    layout: Layout | None,
    static: Sequence[str] | None,
) -> VisitTable:
    if (layout or _layout_of(folder)) == "two-tables":
        return _two(read(folder / PATIENTS), read(folder / VISITS), patient, time, static)
    raise InputError(f"{folder.name} is a folder", hint="Give the path of a file.")


def _layout_of(folder: Path) -> Layout:
    """Tell the layout of a folder by the names of its files."""
    if (folder / PATIENTS).is_file() and (folder / VISITS).is_file():
        return "two-tables"
    raise InputError(
        f"the layout of the folder {folder.name} is not clear",
        hint=f"Say which it is with --format: {', '.join(LAYOUTS)}.",
    )
