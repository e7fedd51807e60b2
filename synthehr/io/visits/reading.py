"""Reading visits: which layout the source has, and which door it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from synthehr.errors import InputError
from synthehr.io.source import Source, read
from synthehr.io.visits.events import pivoted
from synthehr.io.visits.guess import find_patient, find_time
from synthehr.io.visits.lists import spread
from synthehr.io.visits.meds import read_meds
from synthehr.io.visits.omop import read_omop
from synthehr.io.visits.physionet2012 import read_physionet2012
from synthehr.io.visits.physionet2019 import read_physionet2019
from synthehr.io.visits.two_tables import joined
from synthehr.io.visits.visits import LAYOUTS, Layout, VisitTable, arranged
from synthehr.io.visits.wide import lengthened
from synthehr.schema.column import shown

PATIENTS, VISITS, EVENTS = "patients.parquet", "visits.parquet", "events.parquet"


def read_visits(
    data: Any,
    *,
    patient: str | None = None,
    time: str | None = None,
    format: Layout | None = None,
    static: Sequence[str] | None = None,
    rare_patients: int = 10,
    known: Sequence[str] | None = None,
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
        With "events" the (second) table has a row a value; with "wide" a row a patient.
    static : sequence of str or None
        Columns of a long table declared to be constant within every patient; None finds
        them. All other layouts say by themselves which are.
    rare_patients : int
        Codes and variables that become columns are held by at least so many patients.
    known : sequence of str or None
        Columns that other visits have; codes in lists become those of them that are theirs.

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
    asked = _Asked(patient, time, format, static, rare_patients, known)
    if isinstance(data, str | os.PathLike) and Path(data).is_dir():
        return _folder(Path(data), asked)
    if isinstance(data, list | tuple) and not isinstance(data, Source):
        sources = [read(part) for part in data]
    else:
        sources = [read(data)]
    if len(sources) not in (1, 2):
        raise InputError(
            f"{len(sources)} tables were given",
            hint="Give one table of visits, or the table of patients and that of visits.",
        )
    return _two(sources[0], sources[1], asked) if len(sources) == 2 else _one(sources[0], asked)


class _Asked(NamedTuple):
    """What the user said of the source."""

    patient: str | None
    time: str | None
    layout: Layout | None
    static: Sequence[str] | None
    rare_patients: int
    known: Sequence[str] | None

    def spread(self, source: Source, patient: str) -> tuple[Source, dict[str, str]]:
        """Give codes in lists columns of their own."""
        return spread(source, patient, self.rare_patients, self.known)


def _one(source: Source, asked: _Asked) -> VisitTable:
    layout: Layout = asked.layout or "long"
    patient, static, details = asked.patient or find_patient(source.table), asked.static, {}
    if layout == "wide":
        _refuse_static(asked)
        time = asked.time or "time"
        source, static, details = lengthened(source, patient, time)
    elif layout == "events":
        static = static or ()
        time = asked.time or find_time(source.table, patient)
        source, details = pivoted(source, patient, time, asked.rare_patients)
    elif layout == "long":
        time = asked.time or find_time(source.table, patient)
        source, details = asked.spread(source, patient)
    else:
        raise _not_so(layout, "one table")
    return _arranged(source, patient, time, static, layout, details)


def _two(persons: Source, visits: Source, asked: _Asked) -> VisitTable:
    layout: Layout = asked.layout or "two-tables"
    if layout not in ("two-tables", "events"):
        raise _not_so(layout, "two tables")
    _refuse_static(asked)
    patient, details = asked.patient or _common(persons, visits), {}
    time = asked.time or find_time(visits.table, patient)
    if layout == "events":
        visits, details = pivoted(visits, patient, time, asked.rare_patients)
    else:
        persons, details = asked.spread(persons, patient)
        visits, of_visits = asked.spread(visits, patient)
        details |= of_visits
    whole, static = joined(persons, visits, patient)
    return _arranged(whole, patient, time, static, layout, details)


def _arranged(
    source: Source,
    patient: str,
    time: str,
    static: Sequence[str] | None,
    layout: Layout,
    details: dict[str, str],
) -> VisitTable:
    return arranged(
        source.table,
        patient,
        time,
        static=static,
        layout=layout,
        pandas_types=source.pandas_types,
        warnings=source.warnings,
        details=details,
    )


def _common(persons: Source, visits: Source) -> str:
    names = [x for x in persons.table.column_names if x in set(visits.table.column_names)]
    return names[0] if len(names) == 1 else find_patient(visits.table)


_FOLDERS: dict[str, Callable[[Path, int], VisitTable]] = {
    "meds": read_meds,
    "omop": read_omop,
    "physionet2012": read_physionet2012,
    "physionet2019": read_physionet2019,
}


def _refuse_static(asked: _Asked) -> None:
    if asked.static is not None:
        raise InputError(
            "static columns are named, and the layout says which they are",
            hint="Leave them out, or give one long table.",
        )


def _not_so(layout: str, what: str) -> InputError:
    return InputError(
        f"visits in the layout {layout} do not come as {what}",
        hint="Give the folder, or another --format.",
    )


def _folder(folder: Path, asked: _Asked) -> VisitTable:
    layout = asked.layout or _layout_of(folder)
    if layout in ("two-tables", "events"):
        second = VISITS if layout == "two-tables" else EVENTS
        return _two(read(folder / PATIENTS), read(folder / second), asked._replace(layout=layout))
    if layout not in _FOLDERS:
        raise _not_so(layout, "a folder")
    _refuse_static(asked)
    visits = _FOLDERS[layout](folder, asked.rare_patients)
    for given, name in ((asked.patient, visits.patient), (asked.time, visits.time)):
        if given not in (None, name):
            raise InputError(
                f"the layout {layout} calls this column {name}, not {shown(str(given))}",
                hint="Leave --patient and --time out.",
            )
    return visits


def _layout_of(folder: Path) -> Layout:
    """Tell the layout of a folder by the names of its files."""
    if (folder / PATIENTS).is_file() and (folder / VISITS).is_file():
        return "two-tables"
    if (folder / PATIENTS).is_file() and (folder / EVENTS).is_file():
        return "events"
    if (folder / "person.parquet").is_file():
        return "omop"
    if any((folder / "data").rglob("*.parquet")):
        return "meds"
    if any(folder.rglob("*.psv")):
        return "physionet2019"
    if any(folder.rglob("Outcomes*.txt")):
        return "physionet2012"
    raise InputError(
        f"the layout of the folder {folder.name} is not clear",
        hint=f"Say which it is with --format: {', '.join(LAYOUTS)}.",
    )
