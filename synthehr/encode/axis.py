"""Arrow values as numbers on one exact axis, and back.

Integers, dates, times, timestamps, durations and decimals lie on an int64 axis in the
unit of their Arrow type (decimals: unscaled), floats on a float64 axis.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from synthehr.column import shown
from synthehr.errors import SchemaError

# NOTE: Arrow makes these functions at import, where type checkers do not see them.
compute: Any = pyarrow.compute

INT64 = np.iinfo(np.int64)
DAY_MILLISECONDS = 86_400_000


class Axis(NamedTuple):
    """Values of a column on its axis; nulls hold 0."""

    values: NDArray[Any]
    valid: NDArray[np.bool_]


def combined(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Put the chunks of a column together and undo its dictionary."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def value_type(data_type: pa.DataType) -> pa.DataType:
    """Type of the values, be they dictionary-encoded or not."""
    return data_type.value_type if pa.types.is_dictionary(data_type) else data_type


def has_axis(data_type: pa.DataType) -> bool:
    """Whether values of this type lie on a numeric axis."""
    kinds = pa.types
    return (
        kinds.is_integer(data_type)
        or kinds.is_floating(data_type)
        or kinds.is_decimal(data_type)
        or kinds.is_temporal(data_type)
    ) and not kinds.is_interval(data_type)


def float_type_of(data_type: pa.DataType) -> type[np.generic] | None:
    """NumPy type of a column on the float64 axis; None for the int64 axis."""
    data_type = value_type(data_type)
    return data_type.to_pandas_dtype() if pa.types.is_floating(data_type) else None


def to_axis(array: pa.Array, column: str) -> Axis:
    """Lay an array on its axis; NaN and infinity count as null.

    Raises
    ------
    SchemaError
        If the type has no numeric axis.
    """
    data_type = array.type
    if not has_axis(data_type):
        raise SchemaError(
            f"column {shown(column)} is declared numeric and has type {data_type}",
            hint='set "kind": "categorical" for it in the schema file',
        )
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(data_type):
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        valid = valid & np.isfinite(values)
        # NOTE: adding zero turns -0.0 into 0.0, so that equal values are one value.
        return Axis(np.where(valid, values, 0.0) + 0.0, valid)
    if pa.types.is_decimal(data_type):
        return Axis(_unscaled(array), valid)
    storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
    if not pa.types.is_integer(data_type):
        array = array.cast(storage)
    filled = compute.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if filled.dtype == np.uint64:
        filled = np.minimum(filled, np.uint64(INT64.max))
    return Axis(filled.astype(np.int64), valid)


def from_axis(
    values: NDArray[Any],
    valid: NDArray[np.bool_],
    data_type: pa.DataType,
) -> pa.Array:
    """Make an array of exactly this type from values on the axis, clipped to its range."""
    mask = None if valid.all() else ~valid
    if pa.types.is_dictionary(data_type):
        return from_axis(values, valid, data_type.value_type).dictionary_encode().cast(data_type)
    if pa.types.is_floating(data_type):
        numpy_type = data_type.to_pandas_dtype()
        limit = np.finfo(numpy_type).max
        return pa.array(np.clip(values, -limit, limit).astype(numpy_type), data_type, mask=mask)
    if pa.types.is_decimal(data_type):
        return _scaled(values.astype(np.int64), mask, data_type)
    if pa.types.is_integer(data_type):
        numpy_type = data_type.to_pandas_dtype()
        limits = np.iinfo(numpy_type)
        clipped = np.clip(values, max(limits.min, INT64.min), min(limits.max, INT64.max))
        return pa.array(clipped.astype(numpy_type), data_type, mask=mask)
    if pa.types.is_time(data_type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[data_type.unit]
        values = np.clip(values, 0, 86_400 * per_second - 1)
    storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
    limits = np.iinfo(storage.to_pandas_dtype())
    stored = np.clip(values, limits.min, limits.max).astype(limits.dtype)
    return pa.array(stored, storage, mask=mask).view(data_type)


def _unscaled(array: pa.Array) -> NDArray[np.int64]:
    """Read the low words of decimals; values beyond int64 are clipped."""
    precision = max(array.type.precision, 38) if array.type.bit_width <= 128 else 76
    make = pa.decimal128 if precision == 38 else pa.decimal256
    filled = compute.fill_null(array.cast(make(precision, array.type.scale)), 0)
    words = precision // 19 if precision == 38 else 4
    raw = np.frombuffer(filled.buffers()[1], np.int64).reshape(-1, words)
    raw = raw[filled.offset : filled.offset + len(filled)]
    low, high = raw[:, 0], raw[:, -1]
    fits = (raw[:, 1:] == (low >> 63)[:, None]).all(axis=1)
    return np.where(fits, low, np.where(high < 0, INT64.min, INT64.max))


def _scaled(
    values: NDArray[np.int64], mask: NDArray[np.bool_] | None, data_type: pa.DataType
) -> pa.Array:
    """Make decimals from unscaled integers, without passing through text."""
    limit = 10 ** min(data_type.precision, 18) - 1 if data_type.precision <= 18 else INT64.max
    clipped = np.clip(values, -limit, limit)
    words = np.stack([clipped, clipped >> 63], axis=1)
    buffer = pa.py_buffer(np.ascontiguousarray(words).tobytes())
    array = pa.Array.from_buffers(pa.decimal128(38, data_type.scale), len(values), [None, buffer])
    if mask is not None:
        array = compute.if_else(pa.array(mask), pa.scalar(None, array.type), array)
    return array.cast(data_type)
