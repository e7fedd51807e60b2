"""Patients and times as integers: what sorting, joining and pivoting need of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.errors import InputError
from synthehr.kernels import compute as pc
from synthehr.schema.column import nearest, shown

_types = pa.types


def check_column(table: pa.Table, name: str, option: str) -> None:
    """Refuse the name of a column that the table does not have.

    Raises
    ------
    InputError
        With the option that named it, and a name that may have been meant.
    """
    if name not in table.column_names:
        raise InputError(
            f"the table has no column {shown(name)}",
            hint=f"Name another with {option}; {nearest(name, tuple(table.column_names))}.",
        )


def check_patients(cells: pa.ChunkedArray, name: str) -> None:
    """Refuse patient ids that are null, or of a type in which ids get lost.

    Raises
    ------
    InputError
        With counts and types, never an id.
    """
    if cells.null_count:
        raise InputError(
            f"the patient column {shown(name)} is null in {cells.null_count} of {len(cells)} rows",
            hint="Say whose visits they are, or leave them out of the file.",
        )
    data_type = cells.type.value_type if _types.is_dictionary(cells.type) else cells.type
    if not (_types.is_integer(data_type) or is_text(data_type)):
        raise InputError(
            f"the patient column {shown(name)} has the type {data_type}",
            hint="Ids are whole numbers or text; convert them before, or name another column.",
        )


def check_times(cells: pa.ChunkedArray, name: str) -> None:
    """Refuse times that are null, or of a type that has no distances.

    Raises
    ------
    InputError
        With counts and types, never a time.
    """
    if cells.null_count:
        raise InputError(
            f"the time column {shown(name)} is null in {cells.null_count} of {len(cells)} rows",
            hint="A visit needs its time: fill it, or leave those rows out of the file.",
        )
    if not is_time(cells.type):
        raise InputError(
            f"the time column {shown(name)} has the type {cells.type}",
            hint="Times are whole or decimal numbers, dates, timestamps or durations.",
        )


def is_time(data_type: pa.DataType) -> bool:
    """Whether cells of this type can be the times of visits."""
    return (
        _types.is_integer(data_type)
        or _types.is_floating(data_type)
        or is_moment(data_type)
        or _types.is_duration(data_type)
    )


def is_moment(data_type: pa.DataType) -> bool:
    """Whether the cells are days or moments of the calendar."""
    return _types.is_date(data_type) or _types.is_timestamp(data_type)


def codes(cells: pa.ChunkedArray) -> NDArray[np.int64]:
    """Give equal cells equal numbers, in order of appearance; null is a value of its own."""
    if _types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    encoded = pc.dictionary_encode(_whole(cells), null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64)


def ranks(cells: pa.ChunkedArray) -> NDArray[np.int64]:
    """Give equal cells equal numbers, in ascending order of their values; no cell is null.

    Returns
    -------
    ndarray of shape (N,), int64
        From 0 without holes.
    """
    if _types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    encoded = _whole(cells).dictionary_encode()
    place = np.empty(len(encoded.dictionary), dtype=np.int64)
    place[np.asarray(pc.sort_indices(encoded.dictionary))] = np.arange(len(place))
    return place[np.asarray(encoded.indices)]


def time_key(cells: pa.ChunkedArray) -> NDArray[Any]:
    """Give times as numbers in the same order: integers, or floats where they are floats."""
    data_type = cells.type
    if _types.is_date32(data_type):
        cells = cells.cast(pa.int32())
    elif not (_types.is_integer(data_type) or _types.is_floating(data_type)):
        cells = cells.cast(pa.int64())
    return np.asarray(_whole(cells))


def order_of(patients: NDArray[np.int64], times: NDArray[Any]) -> NDArray[np.int64] | None:
    """Sort rows by patient, then time; equal ones keep their order.

    Returns
    -------
    ndarray of shape (N,), int64, or None
        Row of the input for each place; None where the rows are in order already.
    """
    same = patients[1:] == patients[:-1]
    later = (times[1:] >= times[:-1]) | ~same
    if bool(np.all((patients[1:] >= patients[:-1]) & later)):
        return None
    return np.lexsort((times, patients)).astype(np.int64)


def _whole(cells: pa.ChunkedArray) -> pa.Array:
    whole = cells.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
