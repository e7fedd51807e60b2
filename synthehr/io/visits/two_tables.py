"""Two tables: one row a patient in the first, one row a visit in the second."""

from __future__ import annotations

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.io.names import check_names
from synthehr.io.source import Source
from synthehr.io.visits.keys import check_column, check_patients
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown


def joined(persons: Source, visits: Source, patient: str) -> tuple[Source, tuple[str, ...]]:
    """Put the columns of each patient beside each of the visits.

    A patient without visits has no row in a table of visits: such patients are left out,
    and a warning says how many.

    Parameters
    ----------
    persons : Source
        One row a patient.
    visits : Source
        One row a visit.
    patient : str
        The column of ids, in both.

    Returns
    -------
    joined : Source
        Patient, the static columns, then the others of the visits, in the order of the visits.
    static : tuple of str
        The columns of `persons` beside the ids.

    Raises
    ------
    InputError
        If the ids are null, repeat in the first table, do not fit each other, or a column
        stands in both tables.
    """
    for source in (persons, visits):
        check_column(source.table, patient, "--patient")
        check_patients(source.table.column(patient), patient)
    static = tuple(name for name in persons.table.column_names if name != patient)
    rest = [name for name in visits.table.column_names if name != patient]
    both = [name for name in static if name in set(rest)]
    if both:
        raise InputError(
            f"column {shown(both[0])} stands in both tables ({len(both)} such columns)",
            hint="Leave it out of one of them, or rename it there.",
        )
    check_names([patient, *static, *rest])
    places, dropped = _places(persons.table.column(patient), visits.table.column(patient), patient)
    columns = {patient: visits.table.column(patient)}
    columns |= {name: persons.table.column(name).take(places) for name in static}
    columns |= {name: visits.table.column(name) for name in rest}
    warnings = [*persons.warnings, *visits.warnings]
    if dropped:
        warnings.append(f"{dropped} patients without visits were left out.")
    types = {**(persons.pandas_types or {}), **(visits.pandas_types or {})} or None
    return Source(pa.table(columns), types, tuple(warnings)), static


def _places(ids: pa.ChunkedArray, wanted: pa.ChunkedArray, name: str) -> tuple[pa.Array, int]:
    """Find the row of each visit's patient, and how many patients no visit names."""
    wanted = _plain(wanted)
    try:
        ids = _plain(ids).cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise InputError(
            f"the patient column {shown(name)} has the type {ids.type} in one table and "
            f"{wanted.type} in the other",
            hint="Bring the ids to one type.",
        ) from None
    known = pc.unique(ids)
    if len(known) < len(ids):
        raise InputError(
            f"the table of patients holds {len(ids) - len(known)} rows of patients it has already",
            hint="Give the table with one row a patient first, and that of the visits second.",
        )
    places = pc.index_in(wanted, value_set=known)
    if places.null_count:
        raise InputError(
            f"{places.null_count} visits belong to no patient of the first table",
            hint="Add those patients, or leave their visits out.",
        )
    return places.combine_chunks(), len(ids) - len(pc.unique(wanted))


def _plain(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    plain = cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells
    if pa.types.is_integer(plain.type) and not pa.types.is_uint64(plain.type):
        return plain.cast(pa.int64())
    return plain.cast(pa.large_string()) if pa.types.is_string(plain.type) else plain
