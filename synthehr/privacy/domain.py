"""What a column may hold, known in public: its cells before a record is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import combined, float_type_of, from_axis, to_axis
from synthehr.encode.categorical import from_levels, level_indices
from synthehr.schema.column import Level

MOST_CELLS = 1 << 17
"""A number's range is cut into at most so many cells, as fine as a spike at 0 needs."""
MOST_DECIMALS = 6
MOST_BEYOND = 0.02
"""Share of the values that may have more decimals than the column is given."""
SPIKE = 0.004
"""Share of the records from which a narrow cell counts as one value."""


class Domain(Protocol):
    """The cells of a column; null is the last."""

    @property
    def size(self) -> int:
        """Number of cells, null included."""
        ...

    def locate(self, cells: pa.ChunkedArray) -> NDArray[np.int64]:
        """Find the cell of each value, (N,)."""
        ...


def roundest(lows: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Find the number of fewest digits in each cell ``[low, low + width)``."""
    found = lows + width / 2
    for digits in range(-math.floor(math.log10(width)) + 1, -16, -1):
        scale = 10.0**digits
        candidates = np.ceil(lows * scale - 1e-9) / scale
        inside = (candidates >= lows - 1e-9 * width) & (candidates < lows + width)
        found = np.where(inside, candidates, found)
    return found


@final
@dataclass(frozen=True)
class LevelDomain:
    """A column of declared levels; what is none of them counts as null.

    Attributes
    ----------
    name : str
        Name of the column.
    data_type : DataType
        Its Arrow type.
    levels : tuple
        All levels, in public.
    """

    name: str
    data_type: pa.DataType
    levels: tuple[Level, ...]

    @property
    def size(self) -> int:
        """Number of cells, null included."""
        return len(self.levels) + 1

    def locate(self, cells: pa.ChunkedArray) -> NDArray[np.int64]:
        """Find the cell of each value."""
        indices, found, valid = level_indices(cells, self.name)
        known = {level: number for number, level in enumerate(self.levels)}
        lookup = np.array([known.get(level, len(self.levels)) for level in found] or [0])
        return np.where(valid, lookup[indices], len(self.levels))

    def fill(self, counts: NDArray[np.int64], decimals: int | None = None) -> pa.Array:
        """Make a column that holds each level so many times."""
        index = np.repeat(np.arange(self.size), counts)
        valid = index < len(self.levels)
        return from_levels(np.where(valid, index, 0), valid, self.levels, self.data_type)


@final
@dataclass(frozen=True)
class NumberDomain:
    """A column of numbers between declared bounds.

    Attributes
    ----------
    name : str
        Name of the column.
    data_type : DataType
        Its Arrow type.
    low, high : float
        Its bounds, in public, on the column's axis.
    """

    name: str
    data_type: pa.DataType
    low: float
    high: float

    @property
    def is_whole(self) -> bool:
        """Whether values are whole numbers on the axis."""
        return float_type_of(self.data_type) is None

    @cached_property
    def _width(self) -> float:
        """Width of a cell."""
        span = self.high - self.low
        if self.is_whole:
            return float(math.ceil((span + 1) / MOST_CELLS))
        return span / MOST_CELLS if span > 0 else 1.0

    @property
    def size(self) -> int:
        """Number of cells, null included."""
        span = self.high - self.low
        if self.is_whole:
            return int(span // self._width) + 2
        return (MOST_CELLS if span > 0 else 1) + 1

    def locate(self, cells: pa.ChunkedArray) -> NDArray[np.int64]:
        """Find the cell of each value."""
        values, valid = to_axis(combined(cells), self.name)
        inside = np.clip(values.astype(np.float64), self.low, self.high)
        index = ((inside - self.low) // self._width).astype(np.int64)
        return np.where(valid, np.minimum(index, self.size - 2), self.size - 1)

    def fill(self, counts: NDArray[np.int64], decimals: int | None = None) -> pa.Array:
        """Make a column that holds each cell so many times, spread evenly within cells.

        A cell of several values that many hold is one value, the roundest there.
        """
        index = np.repeat(np.arange(self.size), counts)
        nth = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
        within = (nth + 0.5) / np.repeat(counts, counts)
        values = self.low + (index + within) * self._width
        valid = index < self.size - 1
        if self.is_whole:
            # A value stands for the stretch up to the next one.
            values = np.floor(values)
        if not self.is_whole or self._width > 1:
            spikes = np.flatnonzero(counts[:-1] >= SPIKE * counts.sum())
            tops = roundest((self.low + spikes * self._width).astype(np.float64), self._width)
            at = np.searchsorted(spikes, index)
            on = valid & np.isin(index, spikes)
            values[on] = tops[at[on]]
        if not self.is_whole and decimals is not None:
            values = np.round(values, decimals)
        values = np.where(valid, np.clip(values, self.low, self.high), self.low)
        if self.is_whole:
            values = values.astype(np.int64)
        return from_axis(values, valid, self.data_type)


@final
@dataclass(frozen=True)
class DecimalDomain:
    """How many decimals the values of a column of floats are written with.

    Attributes
    ----------
    name : str
        Name of the column.
    """

    name: str

    @property
    def size(self) -> int:
        """Cells for each number of decimals, for more, and for null."""
        return MOST_DECIMALS + 3

    def locate(self, cells: pa.ChunkedArray) -> NDArray[np.int64]:
        """Count the decimals of each value."""
        values, valid = to_axis(combined(cells), self.name)
        found = np.full(len(values), MOST_DECIMALS + 1)
        for digits in range(MOST_DECIMALS, -1, -1):
            with np.errstate(over="ignore", invalid="ignore"):
                found[np.round(values, digits) == values] = digits
        return np.where(valid, found, self.size - 1)

    def settle(self, counts: NDArray[np.float64], deviation: float) -> int | None:
        """Say how many decimals nearly all values have; None where many have more."""
        present = np.maximum(counts[:-1], 0.0)
        beyond = present.sum() - np.cumsum(present)
        allowed = MOST_BEYOND * present.sum() + 2 * deviation
        enough = np.flatnonzero(beyond[:-1] <= allowed)
        return int(enough[0]) if len(enough) else None
