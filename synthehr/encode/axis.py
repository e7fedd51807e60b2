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

from synthehr.errors import SchemaError
from synthehr.schema.column import shown

# NOTE: Arrow makes these functions at import, where type checkers do not see them.
compute: Any = pyarrow.compute

INT64 = np.iinfo(np.int64)
WIDE_DECIMALS = 9
FOLD = np.uint64(2**62)
MOST = np.uint64(2**64 - 1)


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


def encoded(cells: pa.Array | pa.ChunkedArray) -> pa.DictionaryArray:
    """Encode cells by one dictionary."""
    if pa.types.is_decimal(cells.type) and cells.type.bit_width < 128:
        # NOTE: Arrow has no dictionaries of narrow decimals yet.
        cells = cells.cast(pa.decimal128(cells.type.precision, cells.type.scale))
    array = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    if isinstance(array, pa.ChunkedArray):
        chunks = array.unify_dictionaries().chunks
        if len(chunks) != 1:
            return pa.concat_arrays(chunks) if chunks else pa.array([], array.type)
        array = chunks[0]
    return array


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
        return Axis(np.where(valid, _unscaled(array), 0), valid)
    storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
    if not pa.types.is_integer(data_type):
        array = array.cast(storage)
    filled = compute.fill_null(array, 0).to_numpy(zero_copy_only=False)
    if filled.dtype == np.uint64:
        return Axis(_folded(filled), valid)
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
    if pa.types.is_uint64(data_type):
        return pa.array(_unfolded(values.astype(np.int64)), data_type, mask=mask)
    if pa.types.is_integer(data_type):
        numpy_type = data_type.to_pandas_dtype()
        limits = np.iinfo(numpy_type)
        clipped = np.clip(values, limits.min, limits.max).astype(numpy_type)
        return pa.array(clipped, data_type, mask=mask)
    if pa.types.is_time(data_type):
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[data_type.unit]
        values = np.clip(values, 0, 86_400 * per_second - 1)
    storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
    limits = np.iinfo(storage.to_pandas_dtype())
    stored = np.clip(values, limits.min, limits.max).astype(limits.dtype)
    return pa.array(stored, storage, mask=mask).view(data_type)


def decimals_of(data_type: pa.DataType) -> int:
    """Decimals that a decimal column keeps on its axis: all, at most 9 beyond 18 digits."""
    return data_type.scale if data_type.precision <= 18 else min(data_type.scale, WIDE_DECIMALS)


def _unscaled(array: pa.Array) -> NDArray[np.int64]:
    """Read decimals as integers; those beyond int64 are clipped."""
    scale = decimals_of(array.type)
    wide = array.type.bit_width == 256
    wanted = pa.decimal256(76, scale) if wide else pa.decimal128(38, scale)
    kept = array.cast(wanted, safe=False)
    raw = np.frombuffer(kept.buffers()[1], np.int64).reshape(-1, 4 if wide else 2)
    raw = raw[kept.offset : kept.offset + len(kept)]
    low, high = raw[:, 0], raw[:, -1]
    fits = (raw[:, 1:] == (low >> 63)[:, None]).all(axis=1)
    return np.where(fits, low, np.where(high < 0, INT64.min, INT64.max))


def _scaled(
    values: NDArray[np.int64], mask: NDArray[np.bool_] | None, data_type: pa.DataType
) -> pa.Array:
    """Make decimals from integers, without passing through text or floats."""
    scale = decimals_of(data_type)
    limit = min(10 ** (data_type.precision - data_type.scale + scale) - 1, INT64.max)
    clipped = np.clip(values, -limit, limit)
    words = np.stack([clipped, clipped >> 63], axis=1)
    buffer = pa.py_buffer(np.ascontiguousarray(words).tobytes())
    array = pa.Array.from_buffers(pa.decimal128(38, scale), len(values), [None, buffer])
    if mask is not None:
        array = compute.if_else(pa.array(mask), pa.scalar(None, array.type), array)
    if data_type.precision > 38:
        array = array.cast(pa.decimal256(76, scale))
    return array.cast(data_type)


def _folded(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Lay unsigned integers on the int64 axis: exact below 2**62, by fours above."""
    beyond = values >= FOLD
    return np.where(beyond, FOLD + (np.maximum(values, FOLD) - FOLD) // 4, values).astype(np.int64)


def _unfolded(values: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Undo `_folded`; the largest integer comes back as itself."""
    numbers = np.maximum(values, 0).astype(np.uint64)
    top = FOLD + (MOST - FOLD) // 4
    beyond = FOLD + (np.clip(numbers, FOLD, top) - FOLD) * 4
    return np.where(numbers >= top, MOST, np.where(numbers >= FOLD, beyond, numbers))
