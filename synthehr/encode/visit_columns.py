"""Which columns of visits patients have once, which each visit has, and time in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import combined, to_axis, value_type
from synthehr.encode.gaps import gap_values
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.table import TableEncoder
from synthehr.schema.column import Column
from synthehr.schema.table import Schema


def once_and_each(
    schema: Schema, static: tuple[str, ...], steps: Mapping[str, pa.DataType]
) -> tuple[Schema, Schema]:
    """Split a schema into what patients have once and what visits have; what is summed in both.

    Parameters
    ----------
    schema : Schema
        What the columns are, among them a patient and a time.
    static : tuple of str
        Columns that patients have once.
    steps : mapping of str to DataType
        Of columns that are told by steps from visit to visit, time among them.
    """
    once, each = [], []
    for column in schema.columns:
        if column.role == "drop":
            continue
        if column.name in steps:
            kind = "numeric" if pa.types.is_floating(steps[column.name]) else "integer"
            arrow = str(steps[column.name])
            step = Column(name=column.name, kind=kind, arrow_type=arrow, nullable=True)
            each.insert(0 if column.role == "time" else len(each), step)
            once.append(replace(column, role="feature"))
        elif column.role == "patient" or column.name in static:
            once.append(column)
        else:
            each.append(column)
    return Schema(tuple(once)), Schema(tuple(each))


def first_time(static: TableEncoder, time: str) -> NumericColumn | None:
    """Give the column of the first visit's time where it is a number, and not the same for all."""
    column = static.plan[time]
    if time not in static.modelled or not isinstance(column, NumericColumn):
        return None
    return None if pa.types.is_temporal(value_type(column.data_type)) else column


def beginnings(static: TableEncoder, times: pa.ChunkedArray, time: str) -> NDArray[np.float64]:
    """Give the times of patients' first visits since the earliest, (P,); 0 where none is told."""
    column = first_time(static, time)
    if column is None:
        return np.zeros(len(times))
    values = to_axis(combined(times), time).values.astype(np.float64)
    return np.maximum(values - gap_values(column).min(), 0)


def put_gaps(table: pa.Table, time: str, gaps: pa.Array) -> pa.Table:
    """Put gaps in the place of times, null at each patient's first visit."""
    return table.set_column(table.column_names.index(time), time, gaps)
