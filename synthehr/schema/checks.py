"""Holding a table against its schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa

from synthehr.arrow_types import is_supported
from synthehr.errors import InputError, SchemaError
from synthehr.kernels import compute as pc
from synthehr.schema.bounds import bound_values
from synthehr.schema.column import Column, Kind, nearest, shown
from synthehr.schema.kinds import count_distinct
from synthehr.schema.table import Schema

LEAST_RECORDS = 10
_types = pa.types


def _is_number(data_type: pa.DataType) -> bool:
    return (
        _types.is_integer(data_type)
        or _types.is_floating(data_type)
        or _types.is_decimal(data_type)
    )


def _is_length(data_type: pa.DataType) -> bool:
    return _types.is_duration(data_type) or _types.is_time(data_type)


_FITS: Mapping[Kind, Callable[[pa.DataType], bool]] = {
    "numeric": _is_number,
    "integer": _is_number,
    "boolean": _types.is_boolean,
    "datetime": _types.is_timestamp,
    "date": _types.is_date,
    "duration": _is_length,
}


def complete(
    schema: Schema, table: pa.Table, pandas_types: Mapping[str, str] | None = None
) -> Schema:
    """Fill in from the table what a schema from elsewhere does not say: types and nulls.

    A schema of SDV metadata knows "numerical" and "datetime" only, so whole numbers and
    dates are told apart here. Columns that name their type are left as they are.
    """
    columns = []
    for column in schema:
        if column.arrow_type or column.name not in table.column_names:
            columns.append(column)
            continue
        cells = table.column(column.name)
        kind = column.kind
        if kind == "numeric" and _types.is_integer(cells.type):
            kind = "integer"
        elif kind == "datetime" and _types.is_date(cells.type):
            kind = "date"
        elif kind == "numeric" and _is_length(cells.type):
            kind = "duration"
        elif kind == "categorical" and _types.is_boolean(cells.type):
            kind = "boolean"
        columns.append(
            replace(
                column,
                kind=kind,
                arrow_type=str(cells.type),
                pandas_type=(pandas_types or {}).get(column.name),
                nullable=column.nullable or cells.null_count > 0,
            )
        )
    return Schema(tuple(columns))


def check(schema: Schema, table: pa.Table) -> None:
    """Refuse a table that is not what the schema says, before anything is learned.

    Parameters
    ----------
    schema : Schema
        Inferred, or edited by a person; without open questions.
    table : pyarrow.Table
        As `synthehr.io.read` gives it.

    Raises
    ------
    SchemaError
        Naming the column, what is wrong with how many cells, and what to do.
    InputError
        If there are fewer than 10 records.
    """
    check_columns(schema, table)
    if table.num_rows < LEAST_RECORDS:
        raise InputError(
            f"the table has {table.num_rows} records, and at least {LEAST_RECORDS} are needed",
            hint="So few patients cannot be learned from without copying them.",
        )
    for column in schema.kept:
        _check_cells(column, table.column(column.name))


def check_columns(schema: Schema, table: pa.Table) -> None:
    """Refuse a table of other columns or types, without a look at the cells that are modelled.

    Raises
    ------
    SchemaError
        Naming the column.
    """
    _check_names(schema, table)
    if not schema.features:
        raise SchemaError(
            "the schema leaves no column to model", hint="Give a column the role feature."
        )
    for column in schema.kept:
        cells = table.column(column.name)
        _check_type(column, cells)
        if column.role == "patient":
            _check_patient(column, cells)


def _check_names(schema: Schema, table: pa.Table) -> None:
    for column in schema.kept:
        if column.name not in table.column_names:
            raise SchemaError(
                f"the table has no column {shown(column.name)}, which the schema describes",
                hint=f"Correct the schema; {nearest(column.name, tuple(table.column_names))}.",
            )
    extra = [shown(name) for name in table.column_names if name not in schema]
    if extra:
        raise SchemaError(
            f"the schema does not describe {len(extra)} columns of the table: "
            f"{', '.join(extra[:5])}",
            hint="Add them to the schema, with the role drop if they shall be left out.",
        )


def _check_type(column: Column, cells: pa.ChunkedArray) -> None:
    name = shown(column.name)
    if not is_supported(cells.type):
        raise SchemaError(
            f"column {name}: {str(cells.type).split('<')[0]} cannot be modelled",
            hint='Give it the role "drop" in schema.json.',
        )
    if column.arrow_type and column.arrow_type != str(cells.type):
        raise SchemaError(
            f"column {name} is {cells.type} in the table and {column.arrow_type} in the schema",
            hint="Convert the column, or make the schema anew with `synthehr schema`.",
        )
    fits = _FITS.get(column.kind)
    if fits is not None and not fits(cells.type) and column.role != "patient":
        hint = f"Convert the column first; {cells.type} can be categorical, id or text."
        raise SchemaError(f"column {name} is {cells.type}, which is not {column.kind}", hint=hint)


def _check_cells(column: Column, cells: pa.ChunkedArray) -> None:
    name = shown(column.name)
    if cells.null_count and not column.nullable:
        raise SchemaError(
            f"column {name} has {cells.null_count} null cells, and its schema says it has none",
            hint='Set "nullable": true in schema.json, or fill the cells.',
        )
    if column.kind == "constant" and cells.null_count < len(cells) and count_distinct(cells) > 1:
        raise SchemaError(f"column {name} is not constant", hint="Correct its kind in schema.json.")
    if column.levels is not None:
        strange = _outside_levels(column, cells)
        if strange:
            raise SchemaError(
                f"column {name} has {strange} cells that are none of its declared levels",
                hint='Correct the cells, or "levels" in schema.json.',
            )
    if column.bounds is not None:
        low, high = bound_values(column, cells.type)
        wide = cells.cast(low.type, safe=False)
        outside = pc.sum(pc.or_(pc.less(wide, low), pc.greater(wide, high))).as_py() or 0
        if outside:
            raise SchemaError(
                f"column {name} has {outside} cells outside its declared bounds",
                hint='Correct the cells, or "bounds" in schema.json.',
            )


def _outside_levels(column: Column, cells: pa.ChunkedArray) -> int:
    values = cells.cast(cells.type.value_type) if _types.is_dictionary(cells.type) else cells
    try:
        levels = pa.array(column.levels).cast(values.type)
    except (pa.ArrowException, TypeError):
        raise SchemaError(
            f"the levels of column {shown(column.name)} are not of its type, {values.type}",
            hint='Correct "levels" in schema.json.',
        ) from None
    known = pc.is_in(values.drop_null(), value_set=levels)
    return pc.sum(pc.invert(known)).as_py() or 0


def _check_patient(column: Column, cells: pa.ChunkedArray) -> None:
    name = shown(column.name)
    if cells.null_count:
        raise SchemaError(
            f"the patient column {name} is null in {cells.null_count} records",
            hint="Say whose records they are, or leave them out of the file.",
        )
    if _types.is_floating(cells.type):
        raise SchemaError(
            f"the patient column {name} holds floating-point numbers",
            hint="Such ids lose digits; export them as text or integers.",
        )
