"""Declared bounds as values of a column's type."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa

from synthehr.errors import SchemaError
from synthehr.schema.column import Column, shown


def bound_values(column: Column, data_type: pa.DataType) -> pa.Array:
    """Give a column's two bounds as float64 for numbers, else as its own type.

    Raises
    ------
    SchemaError
        If they are dates and the column holds none, or the other way round.
    """
    assert column.bounds is not None
    kinds = pa.types
    try:
        if kinds.is_temporal(data_type):
            return pa.array([_moment(bound) for bound in column.bounds], data_type)
        if (
            kinds.is_integer(data_type)
            or kinds.is_floating(data_type)
            or kinds.is_decimal(data_type)
        ):
            return pa.array(column.bounds, pa.float64())
        raise TypeError
    except (pa.ArrowException, ValueError, TypeError):
        raise SchemaError(
            f"the bounds of column {shown(column.name)} are not of its type, {data_type}",
            hint='Write numbers, or dates as "2024-12-31", into "bounds" in schema.json.',
        ) from None


def _moment(bound: float | str) -> datetime | int:
    return datetime.fromisoformat(bound) if isinstance(bound, str) else int(bound)
