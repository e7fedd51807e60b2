"""What a person writes for a number, a date or a time, on the column's axis."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from synthehr.encode.axis import decimals_of, from_axis, to_axis
from synthehr.encode.grid import Grid, find_grid
from synthehr.encode.layout import Interval, Layout
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConditionError
from synthehr.modes.condition import Null, Range, Value
from synthehr.schema.column import shown

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INFINITE = float("inf")


def as_interval(choice: Value | Range | Null, column: NumericColumn) -> Interval:
    """Place a value or a range on a column's axis.

    A day given for a column of timestamps is the whole day.

    Raises
    ------
    ConditionError
        If it cannot be read as a value of this column, or the range is empty.
    """
    if isinstance(choice, Null):
        raise TypeError("null has no place on an axis")
    return _placed(choice, lambda value: _stored_span(value, column), column.field.column)


def interval_of(choice: Value | Range, data_type: pa.DataType, name: str) -> Interval:
    """Place a value or a range on the axis of a type, with no learned column at hand.

    Raises
    ------
    ConditionError
        As of `as_interval`.
    """
    return _placed(choice, lambda value: _span(value, data_type, name), name)


def per_day(data_type: pa.DataType) -> float:
    """How much of its axis a day is, for dates, times and durations."""
    if pa.types.is_date32(data_type):
        return 1.0
    unit = "ms" if pa.types.is_date(data_type) else data_type.unit
    return 86_400.0 * _PER_SECOND[unit]


def _placed(choice: Value | Range, span: Callable[[object], Interval], name: str) -> Interval:
    if isinstance(choice, Value):
        return span(choice.value)
    low = -_INFINITE if choice.low is None else span(choice.low)[0]
    high = _INFINITE if choice.high is None else span(choice.high)[1]
    if low > high:
        raise ConditionError(
            f"the range for {shown(name)} ends before it begins",
            hint="write low:high, as in age=60:80",
        )
    return low, high


def learned_range(column: NumericColumn) -> str:
    """Say between which values the learned ones lie; enough patients hold what is beyond each."""
    ends = [end for end in (column.layout.atoms, column.layout.edges) if len(end)]
    low, high = min(end[0] for end in ends), max(end[-1] for end in ends)
    on_axis = np.array([low, high])
    if not pa.types.is_floating(column.data_type):
        on_axis = np.array([np.ceil(low), np.floor(high)]).astype(np.int64)
    first, last = from_axis(on_axis, np.array([True, True]), column.data_type).to_pylist()
    return f"{first} to {last}"


def _stored_span(value: object, column: NumericColumn) -> Interval:
    low, high = _span(value, column.data_type, column.field.column)
    return _with_shortened(low, column.layout) if low == high else (low, high)


def _span(value: object, data_type: pa.DataType, name: str) -> Interval:
    try:
        low, high = _read(value, data_type)
    except (ValueError, TypeError, ArithmeticError, pa.ArrowException):
        raise ConditionError(
            f"the condition on {shown(name)} cannot be read as {data_type}",
            hint='quote a value that holds a colon, as in time="2020-01-01 10:00":"2020-01-02"',
        ) from None
    if np.isnan(low) or np.isnan(high):
        raise ConditionError(
            f"the condition on {shown(name)} is not a number",
            hint=f"for missing cells write {shown(name)}=null",
        )
    return low, high


def _with_shortened(number: float, layout: Layout) -> Interval:
    """Join a decimal with the number it became where the column's decimals were shortened.

    Statistical packages store 1.8 in few bits, as 1.7998046875; a person writes 1.8.
    """
    grid = _grid(layout)
    if grid is None or grid.bits is None or not np.isfinite(number):
        return number, number
    first, last = grid.inside(number, number)
    if first != last or round(number, grid.digits or 0) != number:
        return number, number
    stored = float(grid.value(np.array([first]))[0])
    return min(number, stored), max(number, stored)


def _grid(layout: Layout) -> Grid | None:
    """Give the grid of a column; one of atoms alone has none stored, and it is found anew."""
    atoms = layout.atoms
    if layout.n_parts or layout.float_type is None:
        return layout.grid
    one = np.ones(len(atoms), dtype=np.int64)
    return find_grid(atoms, one, one, one > 0, 1, layout.float_type)


def _read(value: object, data_type: pa.DataType) -> Interval:
    kinds = pa.types
    if kinds.is_integer(data_type) or kinds.is_floating(data_type):
        number = float(value) if isinstance(value, str | Real) else float("nan")
        if kinds.is_floating(data_type) and np.isfinite(number):
            number = float(np.asarray(number, data_type.to_pandas_dtype()))
        return number, number
    if kinds.is_decimal(data_type):
        number = float(Decimal(str(value)).scaleb(decimals_of(data_type)))
        return number, number
    if kinds.is_duration(data_type):
        seconds = value.total_seconds() if isinstance(value, dt.timedelta) else float(str(value))
        place = seconds * _PER_SECOND[data_type.unit]
        return place, place
    if kinds.is_time(data_type):
        return _exact(dt.time.fromisoformat(value) if isinstance(value, str) else value, data_type)
    return _moment(value, data_type)


def _moment(value: object, data_type: pa.DataType) -> Interval:
    is_day = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    if isinstance(value, str):
        is_day = len(value.strip()) <= len("2020-01-01")
        value = dt.datetime.fromisoformat(value.strip())
    if pa.types.is_date(data_type):
        return _exact(value.date() if isinstance(value, dt.datetime) else value, data_type)
    if is_day and isinstance(value, dt.date):
        value = dt.datetime(value.year, value.month, value.day)
    if isinstance(value, dt.datetime) and data_type.tz is not None and value.tzinfo is None:
        value = value.replace(tzinfo=ZoneInfo(data_type.tz))
    low, high = _exact(value, data_type)
    if is_day:
        # The number before midnight: 1 less would be midnight again where a float is coarser.
        high = float(np.nextafter(low + 86_400 * _PER_SECOND[data_type.unit], low))
    return low, high


def _exact(value: object, data_type: pa.DataType) -> Interval:
    place = float(to_axis(pa.array([value], data_type), "").values[0])
    return place, place
