"""Visits of patients as one long table, and how it is brought into order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, final, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.visits.keys import (
    check_column,
    check_patients,
    check_times,
    codes,
    order_of,
    ranks,
    time_key,
)
from synthehr.schema.column import shown

Layout = Literal[
    "long", "two-tables", "events", "wide", "meds", "omop", "physionet2012", "physionet2019"
]
"""The shape in which visits come from files, and go back into them."""

LAYOUTS: tuple[str, ...] = get_args(Layout)


@final
@dataclass(frozen=True)
class VisitTable:
    """Visits of patients: one row a visit, sorted by patient, then time.

    Attributes
    ----------
    table : pyarrow.Table
        Rows of one patient stand together; visits at one time keep the order of the file.
    patient, time : str
        Columns that say whose visit it is and when it was.
    static : tuple of str
        Columns with one value (or null throughout) for a patient, repeated on each visit.
    layout : Layout
        How the visits came, and how `write_visits` puts them back.
    pandas_types : dict from column name to text, or None
        The pandas dtypes to restore, where tables came from pandas.
    warnings : tuple of str
        What was changed, left out or looks odd; no cell value is in it.
    details : dict from str to str
        What a layout has to remember beside the columns, such as the name of the column
        of values; made of names only.
    """

    table: pa.Table
    patient: str
    time: str
    static: tuple[str, ...] = ()
    layout: Layout = "long"
    pandas_types: dict[str, str] | None = None
    warnings: tuple[str, ...] = ()
    details: dict[str, str] = field(default_factory=dict)

    @property
    def varying(self) -> tuple[str, ...]:
        """Columns that may differ from visit to visit, without patient and time."""
        apart = {self.patient, self.time, *self.static}
        return tuple(name for name in self.table.column_names if name not in apart)

    def offsets(self) -> NDArray[np.int64]:
        """Find where the visits of each patient begin.

        Returns
        -------
        ndarray of shape (P + 1,), int64
            Patient p of P has the rows from ``offsets[p]`` to ``offsets[p + 1] - 1``.
        """
        return starts_of(codes(self.table.column(self.patient)))

    def patients(self) -> pa.Table:
        """Give the static part: one row a patient, with the id and the static columns."""
        names = [x for x in self.table.column_names if x == self.patient or x in self.static]
        return self.table.select(names).take(pa.array(self.offsets()[:-1]))

    def records(self) -> pa.Table:
        """Give the visits without the static columns."""
        return self.table.select([x for x in self.table.column_names if x not in self.static])


def arranged(
    table: pa.Table,
    patient: str,
    time: str,
    *,
    static: Sequence[str] | None = None,
    layout: Layout = "long",
    pandas_types: dict[str, str] | None = None,
    warnings: Sequence[str] = (),
    details: Mapping[str, str] | None = None,
) -> VisitTable:
    """Check a long table, sort it, and find the columns that do not change.

    Parameters
    ----------
    table : pyarrow.Table
        One row a visit, in any order.
    patient, time : str
        Columns that say whose visit it is and when it was.
    static : sequence of str or None
        Columns declared to be constant within every patient; None finds them.
    layout, pandas_types, warnings, details
        As in `VisitTable`.

    Raises
    ------
    InputError
        If a column does not exist, an id or a time is null or of an unfit type, or a
        declared static column changes within a patient.
    """
    check_column(table, patient, "--patient")
    check_column(table, time, "--time")
    if patient == time:
        raise InputError(
            f"column {shown(patient)} is named as patient and as time", hint="Name two columns."
        )
    check_patients(table.column(patient), patient)
    check_times(table.column(time), time)
    owners = ranks(table.column(patient))
    order = order_of(owners, time_key(table.column(time)))
    if order is not None:
        table, owners = table.take(pa.array(order)), owners[order]
    notes = list(warnings)
    if static is None:
        found = _constant(table, patient, time, owners, notes)
    else:
        found = _declared(table, static, owners)
    return VisitTable(
        table, patient, time, found, layout, pandas_types, tuple(notes), dict(details or {})
    )


def starts_of(owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the first row of each run of equal numbers, and the end of the last."""
    changes = np.flatnonzero(owners[1:] != owners[:-1]) + 1
    ends = [len(owners)] if len(owners) else []
    return np.concatenate([[0], changes, ends]).astype(np.int64)


def changes_within(cells: pa.ChunkedArray, owners: NDArray[np.int64]) -> int:
    """Count the patients within whom a column changes; rows of a patient stand together."""
    numbers = codes(cells)
    changed = (numbers[1:] != numbers[:-1]) & (owners[1:] == owners[:-1])
    return len(np.unique(owners[1:][changed]))


def _constant(
    table: pa.Table, patient: str, time: str, owners: NDArray[np.int64], notes: list[str]
) -> tuple[str, ...]:
    if len(starts_of(owners)) == table.num_rows + 1:
        notes.append(
            "no patient has a second visit, so that no column can be found to be static; "
            "all are taken to vary."
        )
        return ()
    return tuple(
        name
        for name in table.column_names
        if name not in (patient, time)
        and not pa.types.is_nested(table.schema.field(name).type)
        and not changes_within(table.column(name), owners)
    )


def _declared(table: pa.Table, static: Sequence[str], owners: NDArray[np.int64]) -> tuple[str, ...]:
    for name in static:
        check_column(table, name, "the static columns")
        count = changes_within(table.column(name), owners)
        if count:
            raise InputError(
                f"column {shown(name)} is declared static and changes within {count} patients",
                hint="Leave it out of the static columns, or correct it there.",
            )
    return tuple(name for name in table.column_names if name in set(static))
