"""Writing visits in the layout in which they came."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import pyarrow as pa

from synthehr.errors import ArtifactError
from synthehr.io.atomic import check_target
from synthehr.io.folder import check_folder, replacing_folder
from synthehr.io.visits import omop, physionet2012, physionet2019
from synthehr.io.visits.events import melted
from synthehr.io.visits.keys import order_of, ranks, time_key
from synthehr.io.visits.lists import folded
from synthehr.io.visits.meds_out import write_meds
from synthehr.io.visits.omop_out import write_omop
from synthehr.io.visits.physionet2012 import write_physionet2012
from synthehr.io.visits.physionet2019 import write_physionet2019
from synthehr.io.visits.reading import EVENTS, PATIENTS, VISITS
from synthehr.io.visits.visits import Layout, VisitTable
from synthehr.io.visits.wide import widened
from synthehr.io.write import ARROW, CSV, PARQUET, STDOUT, write_table

_IN_ONE_FILE = ("long", "wide")
_OURS: dict[str, re.Pattern[str]] = {
    "two-tables": re.compile(rf"{re.escape(PATIENTS)}|{re.escape(VISITS)}"),
    "events": re.compile(rf"{re.escape(PATIENTS)}|{re.escape(EVENTS)}"),
    "meds": re.compile(r"data/\d+\.parquet|metadata/(codes\.parquet|dataset\.json)"),
    "omop": omop.OURS,
    "physionet2012": physionet2012.OURS,
    "physionet2019": physionet2019.OURS,
}


def write_visits(
    visits: VisitTable,
    out: str | PathLike[str],
    *,
    layout: Layout | None = None,
    force: bool = False,
    formulas: bool = False,
) -> int:
    """Write visits; the file or the folder appears whole or not at all.

    Parameters
    ----------
    visits : VisitTable
        As read, or made: only the roles of its columns and `details` are looked at.
    out : path
        A file for the layouts "long" and "wide", whose suffix chooses Parquet, Arrow or
        CSV ("-" writes CSV to standard output); a folder for all others.
    layout : Layout or None
        None takes that of `visits`.
    force : bool
        Whether what is already there is replaced. A folder is replaced only if it holds
        nothing but files of this layout.
    formulas : bool
        As in `write_table`.

    Returns
    -------
    int
        Visits written.

    Raises
    ------
    ArtifactError
        If the place cannot be written, or the columns do not fit the layout.
    """
    wanted = layout or visits.layout
    visits = _ordered(visits)
    if wanted in _IN_ONE_FILE:
        wide = wanted == "wide"
        table, types = widened(visits) if wide else (_listed(visits, out), visits.pandas_types)
        write_table([table], out, force=force, pandas_types=types, formulas=formulas)
        return visits.table.num_rows
    target, what, is_ours = _place(out, wanted)
    with replacing_folder(target, what, is_ours, force=force) as draft:
        _WRITERS[wanted](visits, draft)
    return visits.table.num_rows


def check_visits_target(out: str | PathLike[str], layout: Layout, *, force: bool = False) -> None:
    """Refuse a place where `write_visits` would refuse, before work begins.

    Raises
    ------
    ArtifactError
        As `write_visits` does.
    """
    if layout not in _IN_ONE_FILE:
        check_folder(*_place(out, layout), force)
    elif str(out) != STDOUT:
        check_target(Path(out), force)


def _place(out: str | PathLike[str], layout: Layout) -> tuple[Path, str, Callable[[Path], bool]]:
    """Give the folder, the words for what it holds, and the test for such a folder."""
    folder = Path(out)
    if str(out) == STDOUT or folder.suffix.lower() in PARQUET + ARROW + CSV:
        raise ArtifactError(
            f"visits in the layout {layout} are a folder of files",
            hint="Give the name of a folder, without a suffix.",
        )
    return folder, f"visits in the layout {layout}", _holds_only(_OURS[layout])


def _two_tables(visits: VisitTable, folder: Path) -> None:
    for table, name in ((visits.patients(), PATIENTS), (visits.records(), VISITS)):
        lists = folded(table, visits.details)
        write_table([lists], folder / name, pandas_types=visits.pandas_types)


def _events(visits: VisitTable, folder: Path) -> None:
    write_table([visits.patients()], folder / PATIENTS, pandas_types=visits.pandas_types)
    write_table([melted(visits)], folder / EVENTS, pandas_types=visits.pandas_types)


_WRITERS: dict[str, Callable[[VisitTable, Path], None]] = {
    "two-tables": _two_tables,
    "events": _events,
    "meds": write_meds,
    "omop": write_omop,
    "physionet2012": write_physionet2012,
    "physionet2019": write_physionet2019,
}


def _listed(visits: VisitTable, out: str | PathLike[str]) -> pa.Table:
    """Put codes back into lists, which text files cannot hold."""
    text = str(out) == STDOUT or Path(out).suffix.lower() in CSV
    return visits.table if text else folded(visits.table, visits.details)


def _ordered(visits: VisitTable) -> VisitTable:
    """Sort rows that were made in another order."""
    table = visits.table
    order = order_of(ranks(table.column(visits.patient)), time_key(table.column(visits.time)))
    if order is None:
        return visits
    return dataclasses.replace(visits, table=table.take(pa.array(order)))


def _holds_only(names: re.Pattern[str]) -> Callable[[Path], bool]:
    def is_ours(folder: Path) -> bool:
        files = [Path(at, name) for at, _, held in os.walk(folder) for name in held]
        return all(names.fullmatch(path.relative_to(folder).as_posix()) for path in files)

    return is_ours
