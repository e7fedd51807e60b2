"""The grid on which the values of a column lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_DIGITS = 6
MOST_SIGNIFICANT = 9
LARGEST_INDEX = 2**51
LARGEST_STEP = 2**61
OFF_GRID = 0.005
"""Share of the records that may lie beside the grid, and then move onto it ..."""
OFF_GRID_REST = 0.05
"""... and of the records that hold no atom."""
SHORT_BITS = (13, 21, 29, 24)
"""Significant bits of SAS numbers of length 3, 4 and 5 (cut off), and of float32 (rounded)."""
SHORT_DIGITS = 4
PLACES = (9, 8, 7, 6, 5, 4)
SOME = 500
SOME_ON_GRID = 0.5
"""A grid that holds fewer of `SOME` distinct values is not tried on all."""

FloatType = type[np.generic] | None


@dataclass(frozen=True)
class Grid:
    """Values (origin + step * i) / 10**digits for integers i.

    Attributes
    ----------
    step : int
        Distance of neighbours, in units of 10**-digits.
    origin : int
        A point of the grid, in the same unit.
    digits : int or None
        Decimals of a column of floats; None for columns on the int64 axis.
    bits : int or None
        Significant bits to which a decimal was shortened before it came here.
    places : int or None
        Decimals to which the shortened number was rounded when it was written as text.
    narrow : bool
        Whether the text had a fixed width: each digit before the point beyond the first takes
        one of the decimals.
    """

    step: int = 1
    origin: int = 0
    digits: int | None = None
    bits: int | None = None
    places: int | None = None
    narrow: bool = False

    def index(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Find the grid points nearest to values, or at or below them on the int64 axis."""
        units = values
        if self.digits is not None:
            limit = LARGEST_INDEX * 2.0
            with np.errstate(over="ignore"):
                units = np.clip(np.rint(values * 10.0**self.digits), -limit, limit)
        units = units.astype(np.int64)
        return units if self.step == 1 and not self.origin else (units - self.origin) // self.step

    def value(self, index: NDArray[np.int64]) -> NDArray[Any]:
        """Give the value of each grid point; equal points give bit-identical values."""
        units = index * self.step + self.origin
        if self.digits is None:
            return units
        # NOTE: dividing by a power of ten rounds correctly, multiplying by 0.1 does not.
        return self._written(units / 10.0**self.digits)

    def _written(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.bits is not None:
            values = shortened(values, self.bits)
        if self.places is not None:
            before = np.floor(np.log10(np.maximum(np.abs(values), 1.0)))
            scale = 10.0 ** np.maximum(self.places - before * self.narrow, 0)
            values = np.rint(values * scale) / scale
        return values

    def edge_value(self, edge: NDArray[np.float64], shift: float = 0.0) -> NDArray[np.float64]:
        """Give the value of places between grid points (half indices, shifted by less than .5)."""
        return ((edge + shift) * self.step + self.origin) / 10.0 ** (self.digits or 0)

    def edge_index(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the half index of places between grid points; undoes `edge_value`."""
        units = value * 10.0 ** (self.digits or 0) - self.origin
        return np.floor(units / self.step) + 0.5

    def inside(self, low: float, high: float) -> tuple[int, int]:
        """Find the first and the last index within the interval [low, high]."""
        ends = np.clip([low, high], -(2.0**62), 2.0**62) * 10.0 ** (self.digits or 0)
        ends = np.clip((ends - self.origin) / self.step, -(2.0**61), 2.0**61)
        near = np.rint(ends)
        # NOTE: whole numbers are exact, and the last moment of a day is not the next day.
        close = np.abs(ends - near) <= (0.0 if self.digits is None else 1e-6)
        if self.bits is not None:
            close |= self.value(near.astype(np.int64)) == [low, high]
        first = near[0] if close[0] else np.ceil(ends[0])
        last = near[1] if close[1] else np.floor(ends[1])
        return int(first), int(last)


def find_grid(
    unique: NDArray[Any],
    counts: NDArray[np.int64],
    held: NDArray[np.int64],
    rest: NDArray[np.bool_],
    k: int,
    float_type: FloatType,
) -> Grid | None:
    """Find the coarsest grid that holds the values, or None.

    Parameters
    ----------
    unique : ndarray of shape (U,)
        Distinct values on the axis, ascending.
    counts, held : ndarray of shape (U,)
        Records and patients that hold each.
    rest : ndarray of shape (U,)
        Which of them are no atoms; hardly any of these may lie beside the grid.
    k : int
        What fewer patients hold must not be stored.
    float_type : type or None
        The column's own float type; None for the int64 axis.
    """
    if not rest.any():
        return None
    if float_type is None:
        return _stepped(Grid(), unique, held, k)
    some = np.linspace(0, len(unique) - 1, min(len(unique), SOME)).astype(int)
    for grid in _candidates(unique[some], float_type):
        on = _on(grid, unique[some], float_type)
        if on.mean() < SOME_ON_GRID:
            continue
        on = _on(grid, unique, float_type)
        off = counts[~on & rest].sum()
        if off <= min(OFF_GRID * counts.sum(), OFF_GRID_REST * counts[rest].sum()):
            return _stepped(grid, grid.index(unique[on]), held[on], k)
    return None


def _candidates(some: NDArray[np.float64], float_type: FloatType) -> Iterator[Grid]:
    """List grids of decimals from coarse to fine, each first as it is, then shortened."""
    for digits in range(MOST_DIGITS + 1):
        yield Grid(digits=digits)
        if digits > SHORT_DIGITS or float_type is not np.float64:
            continue
        for bits in SHORT_BITS:
            grid = Grid(digits=digits, bits=bits)
            close = np.abs(grid.value(grid.index(some)) - some) <= 10.0 ** -PLACES[-1]
            if close.mean() >= SOME_ON_GRID:
                yield grid
                yield from (replace(grid, places=places) for places in PLACES)
                yield from (replace(grid, places=places, narrow=True) for places in PLACES)


def _on(grid: Grid, values: NDArray[np.float64], float_type: FloatType) -> NDArray[np.bool_]:
    """Say which values the grid gives back exactly."""
    with np.errstate(over="ignore", invalid="ignore"):
        near = grid.value(grid.index(values)).astype(float_type).astype(np.float64)
        return (near == values) & (np.abs(values) * 10.0 ** (grid.digits or 0) < LARGEST_INDEX)


def _stepped(grid: Grid, units: NDArray[np.int64], held: NDArray[np.int64], k: int) -> Grid | None:
    """Find step and origin of integers, ascending; None where there are too many steps."""
    distances = units.astype(np.uint64) - units[0].astype(np.uint64)
    step = int(np.gcd.reduce(distances)) or 1
    if len(units) < 2 * k or step > LARGEST_STEP:
        # NOTE: the common divisor of few values can be one patient's value; a round number not.
        step = _round_divisor(step)
    first = int(units[0]) % step
    # NOTE: a point of the grid is stored, and it must not be a value of few patients.
    safe = [each for each in (first, first - step) if (held[units == each] >= k).all()]
    if first and (len(units) < 2 * k or not safe):
        step, safe = 1, [0]
    origin = 0 if first == 0 else safe[0]
    if max(abs(int(units[0])), abs(int(units[-1]))) // step >= LARGEST_INDEX:
        return None
    return replace(grid, step=step, origin=origin)


def _round_divisor(number: int) -> int:
    """Find the largest divisor that is round in decimals or as a time: 1, 20, 500, 86400."""
    rounds = (head * 10**zeros for zeros in range(18) for head in (1, 2, 5, 6, 36, 864))
    return max(each for each in rounds if each <= LARGEST_STEP and number % each == 0)


def shortened(values: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """Cut numbers off after so many significant bits; 24: round as float32 does."""
    if bits == 24:
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float64)
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.trunc(np.ldexp(mantissa, bits)), exponent - bits)


def significant_digits(values: NDArray[np.float64], float_type: FloatType) -> int | None:
    """Find how many significant digits the values were written with; None for full precision."""
    some = values[:: max(1, len(values) // (4 * SOME))]
    some = some[some != 0]
    for digits in range(1, MOST_SIGNIFICANT + 1):
        if np.array_equal(rounded(some, digits, float_type), some):
            return digits
    return None


def rounded(
    values: NDArray[np.float64], digits: int, float_type: FloatType = np.float64
) -> NDArray[np.float64]:
    """Round to significant digits."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        up = 10.0 ** np.clip(places, 0, 300)
        down = 10.0 ** np.clip(-places, 0, 300)
        result = np.rint(values * up / down) / up * down
        result = result.astype(float_type).astype(np.float64)
    return np.where(np.isfinite(result), result, values)
