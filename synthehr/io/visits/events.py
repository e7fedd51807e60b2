"""Event tables: one row a value, with the name of the variable beside it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.errors import ArtifactError, InputError
from synthehr.io.names import check_names
from synthehr.io.source import Source
from synthehr.io.text_types import typed
from synthehr.io.visits.keys import check_patients, check_times, codes, ranks, time_key
from synthehr.io.visits.pivot import (
    averaged,
    by_number,
    event_rows,
    holders,
    latest,
    marked,
    whole_where_possible,
)
from synthehr.io.visits.visits import VisitTable
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown
from synthehr.schema.words import words_of

_VARIABLE = (
    "variable", "parameter", "test", "measure", "measurement", "event", "item", "itemid",
    "description", "label", "name", "code",
)  # fmt: skip
_VALUE = ("value", "valuenum", "result")
_UNIT = ("unit", "units", "uom", "valueuom")


def pivoted(
    source: Source, patient: str, time: str, rare_patients: int
) -> tuple[Source, dict[str, str]]:
    """Turn a table of events into one of visits, a column for each variable.

    Numbers of one variable at one time are averaged, of texts the last is taken. Without a
    column of values each variable becomes a boolean: whether the event was.

    Parameters
    ----------
    source : Source
        Patient, time, the variable's name and mostly its value; other columns are left out.
    patient, time : str
        Columns that say whose event it is and when it was.
    rare_patients : int
        Variables of fewer patients are left out: their name alone could tell of one.

    Returns
    -------
    visits : Source
        One row a visit.
    details : dict from str to str
        Names of the columns of variables and values.

    Raises
    ------
    InputError
        If there is no column of variables, or one comes in several units.
    """
    table, warnings = source.table, list(source.warnings)
    variable = _find(table, _VARIABLE, patient, time)
    if variable is None:
        raise InputError(
            "no column is named as the names of variables are",
            hint="Call it variable, and the column of what was measured value.",
        )
    value = _find(table, _VALUE, patient, time)
    unit = _find(table, _UNIT, patient, time)
    used = {patient, time, variable, value, unit}
    unused = [shown(name) for name in table.column_names if name not in used]
    if unused:
        warnings.append(f"{len(unused)} columns of events are not read: {', '.join(unused[:8])}.")
    table = _complete(table, [x for x in (variable, value) if x is not None], warnings)
    check_patients(table.column(patient), patient)
    check_times(table.column(time), time)
    if unit is not None:
        _check_units(table, variable, unit)
    columns = _spread(table, patient, time, variable, value, rare_patients, warnings)
    details = {"variable": variable} | ({} if value is None else {"value": value})
    return Source(pa.table(columns), source.pandas_types, tuple(warnings)), details


def melted(visits: VisitTable) -> pa.Table:
    """Turn visits into events again: a row for each cell that is not null, or is true."""
    variable = visits.details.get("variable", "variable")
    value = visits.details.get("value", None if "variable" in visits.details else "value")
    table = visits.table
    if not visits.varying:
        raise ArtifactError("no column varies", hint="Write the long layout.")
    parts, rows = [], []
    kinds = [table.schema.field(name).type for name in visits.varying]
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds)
    wanted = pa.float64() if numbers else pa.string()
    for name in visits.varying:
        cells = table.column(name)
        there = pc.is_valid(cells) if value is not None else pc.equal(cells, True)
        at = np.flatnonzero(np.asarray(pc.fill_null(there, False)))
        part = {variable: pa.array(np.full(len(at), name, dtype=object), pa.string())}
        if value is not None:
            part[value] = pc.take(cells, pa.array(at)).cast(wanted)
        parts.append(pa.table(part))
        rows.append(at)
    at = np.concatenate(rows)
    order = np.argsort(at, kind="stable")
    ids = table.select([visits.patient, visits.time]).take(pa.array(at[order]))
    events = pa.concat_tables(parts).take(pa.array(order))
    for name in events.column_names:
        ids = ids.append_column(name, events.column(name))
    return ids


def _find(table: pa.Table, words: tuple[str, ...], *apart: str) -> str | None:
    for word in words:
        for name in table.column_names:
            if name not in apart and word in words_of(name):
                return name
    return None


def _complete(table: pa.Table, names: list[str], warnings: list[str]) -> pa.Table:
    for name in names:
        missing = table.column(name).null_count
        if missing:
            warnings.append(f"{missing} events without {shown(name)} were left out.")
            table = table.filter(pc.is_valid(table.column(name)))
    return table


def _check_units(table: pa.Table, variable: str, unit: str) -> None:
    known = table.filter(pc.is_valid(table.column(unit)))
    pairs = known.group_by([variable, unit]).aggregate([])
    several = len(pairs) - len(pairs.group_by(variable).aggregate([]))
    if several:
        raise InputError(
            f"{several} variables come in more than one unit (column {shown(unit)})",
            hint="Convert them to one unit, or put the unit into the name of the variable.",
        )


def _spread(
    table: pa.Table,
    patient: str,
    time: str,
    variable: str,
    value: str | None,
    rare_patients: int,
    warnings: list[str],
) -> dict[str, pa.Array | pa.ChunkedArray]:
    names = table.column(variable)
    names = names if is_text(names.type) else names.cast(pa.string())
    owners, numbers = ranks(table.column(patient)), codes(names)
    common = holders(numbers, owners) >= rare_patients
    if not common.all():
        few = int((~common).sum())
        warnings.append(f"{few} variables of fewer than {rare_patients} patients were left out.")
        kept = pa.array(common[numbers])
        table, names = table.filter(kept), names.filter(kept)
        owners, numbers = owners[common[numbers]], numbers[common[numbers]]
    if not len(owners):
        raise InputError("no variable is left", hint="Give more patients, or lower the limit.")
    rows = event_rows(owners, time_key(table.column(time)))
    first = pa.array(rows.first)
    columns = {name: table.column(name).take(first) for name in (patient, time)}
    merged = 0
    for _, at in by_number(numbers):
        name = names[int(at[0])].as_py()
        if name in columns:
            raise InputError(
                f"a variable has the name of the column {shown(name)}", hint="Rename the column."
            )
        cells = None if value is None else pc.take(table.column(value), pa.array(at))
        columns[name], more = _column(rows.place[at], cells, len(rows))
        merged += more
    if merged:
        warnings.append(
            f"{merged} events came at the time of another of the same variable: numbers were "
            "averaged, of texts the last was taken."
        )
    check_names(list(columns))
    return columns


def _column(
    place: NDArray[np.int64], cells: pa.ChunkedArray | None, rows: int
) -> tuple[pa.Array | pa.ChunkedArray, int]:
    if cells is None:
        return marked(place, rows), 0
    found = _typed(cells) if is_text(cells.type) else cells
    if not (pa.types.is_integer(found.type) or pa.types.is_floating(found.type)):
        return latest(place, found, rows)
    values = np.asarray(found.cast(pa.float64(), safe=False).combine_chunks())
    column, merged = averaged(place, values, rows)
    return whole_where_possible(column, found.type), merged


def _typed(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Find out what text cells of one variable are, as for a CSV file."""
    plain = cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells
    table, _ = typed(pa.table({"value": plain}), ".", None)
    return table.column("value")
