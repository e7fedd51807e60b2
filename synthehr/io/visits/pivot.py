"""From one row an event to one row a visit: columns are filled variable by variable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.io.visits.visits import starts_of
from synthehr.kernels import compute as pc


@final
@dataclass(frozen=True)
class EventRows:
    """Which visit each of N events belongs to: events of a patient at one time are one visit.

    Attributes
    ----------
    place : ndarray of shape (N,), int64
        Row of each event, from 0 to R - 1, in order of patient and time.
    first : ndarray of shape (R,), int64
        One event of each row, from which its patient and time can be taken.
    """

    place: NDArray[np.int64]
    first: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.first)


def event_rows(owners: NDArray[np.int64], times: NDArray[Any]) -> EventRows:
    """Find the distinct pairs of patient and time in ascending order.

    Parameters
    ----------
    owners : ndarray of shape (N,), int64
        Patient of each event.
    times : ndarray of shape (N,)
        Time of each event.
    """
    order = np.lexsort((times, owners))
    held, when = owners[order], times[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (held[1:] != held[:-1]) | (when[1:] != when[:-1])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(new) - 1
    return EventRows(place, order[new].astype(np.int64))


def by_number(numbers: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Give each number that occurs, ascending, with its places, ascending."""
    order = np.argsort(numbers, kind="stable")
    starts = starts_of(numbers[order])
    for start, end in pairwise(starts):
        yield int(numbers[order[start]]), order[start:end]


def holders(numbers: NDArray[np.int64], owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the patients of each number from 0 to the largest."""
    if not len(numbers):
        return np.zeros(0, dtype=np.int64)
    span = int(owners.max()) + 1
    pairs = np.unique(numbers * span + owners)
    return np.bincount(pairs // span, minlength=int(numbers.max()) + 1)


def averaged(
    place: NDArray[np.int64], values: NDArray[np.float64], rows: int
) -> tuple[pa.Array, int]:
    """Fill a column of numbers; several of one visit are averaged.

    Returns
    -------
    column : pyarrow.Array of float64, length `rows`
        Null where no event is.
    merged : int
        Events that were averaged with an earlier one.
    """
    counts = np.bincount(place, minlength=rows)
    column = np.zeros(rows)
    merged = len(place) - int(np.count_nonzero(counts))
    if merged:
        column = np.bincount(place, values, rows) / np.maximum(counts, 1)
        # The mean of equal numbers is that number, not what rounding makes of it.
        single = counts[place] == 1
        column[place[single]] = values[single]
    else:
        column[place] = values
    return pa.array(column, mask=counts == 0), merged


def latest(
    place: NDArray[np.int64], cells: pa.Array | pa.ChunkedArray, rows: int
) -> tuple[pa.Array, int]:
    """Fill a column of any type; of several cells of one visit the last is taken.

    Returns
    -------
    column : pyarrow.Array, length `rows`
        Null where no event is.
    merged : int
        Events that gave way to a later one.
    """
    taken = np.full(rows, -1, dtype=np.int64)
    taken[place] = np.arange(len(place))
    column = pc.take(cells, pa.array(taken, mask=taken < 0))
    return column, len(place) - int(np.count_nonzero(taken >= 0))


def marked(place: NDArray[np.int64], rows: int) -> pa.Array:
    """Fill a column of booleans: true on the rows where an event is."""
    column = np.zeros(rows, dtype=bool)
    column[place] = True
    return pa.array(column)


def whole_where_possible(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Give averaged numbers their own type back, unless a mean is no whole number."""
    try:
        return column.cast(wanted)
    except pa.ArrowInvalid:
        return column
