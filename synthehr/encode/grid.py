"""The grid on which the values of a column lie."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    step: int = 1
    origin: int = 0
    digits: int | None = None

    def index(self, values: NDArray[np.generic]) -> NDArray[np.int64]:
        """Number of the nearest grid point at or below each value."""
        units = values
        if self.digits is not None:
            limit = LARGEST_INDEX * 2.0
            with np.errstate(over="ignore"):
                units = np.clip(np.rint(values * 10.0**self.digits), -limit, limit)
        units = units.astype(np.int64)
        return units if self.step == 1 and not self.origin else (units - self.origin) // self.step

    def value(self, index: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.float64]:
        """Value of each grid point; equal points give bit-identical values."""
        units = index * self.step + self.origin
        # NOTE: dividing by a power of ten rounds correctly, multiplying by 0.1 does not.
        return units if self.digits is None else units / 10.0**self.digits

    def edge_value(self, edge: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value of places between grid points (half indices)."""
        return (edge * self.step + self.origin) / 10.0 ** (self.digits or 0)

    def edge_index(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Half index of places between grid points; inverse of `edge_value`."""
        units = value * 10.0 ** (self.digits or 0) - self.origin
        return np.rint(units / self.step - 0.5) + 0.5

    def inside(self, low: float, high: float) -> tuple[int, int]:
        """First and last index within the interval [low, high]."""
        ends = np.clip([low, high], -(2.0**62), 2.0**62) * 10.0 ** (self.digits or 0)
        ends = np.clip((ends - self.origin) / self.step, -(2.0**61), 2.0**61)
        near = np.rint(ends)
        close = np.abs(ends - near) < 1e-6
        first = near[0] if close[0] else np.ceil(ends[0])
        last = near[1] if close[1] else np.floor(ends[1])
        return int(first), int(last)


def find_grid(
    unique: NDArray[np.int64] | NDArray[np.float64],
    counts: NDArray[np.int64],
    held: NDArray[np.int64],
    rest: NDArray[np.bool_],
    k: int,
    float_type: type[np.generic] | None,
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
        The origin of a shifted grid must not be a value that fewer patients hold.
    float_type : type or None
        The column's own float type; None for the int64 axis.
    """
    if float_type is None:
        return _shifted(unique, held, k, None)
    largest = np.abs(unique).max()
    most = min(OFF_GRID * counts.sum(), OFF_GRID_REST * counts[rest].sum())
    for digits in range(MOST_DIGITS + 1):
        scale = 10.0**digits
        if largest * scale >= LARGEST_INDEX:
            return None
        units = np.rint(unique * scale)
        on = (units / scale).astype(float_type).astype(np.float64) == unique
        if on.any() and counts[~on & rest].sum() <= most:
            return _shifted(units[on].astype(np.int64), held[on], k, digits)
    return None


def _shifted(
    units: NDArray[np.int64], held: NDArray[np.int64], k: int, digits: int | None
) -> Grid | None:
    """Find the step and the origin of integers, ascending; None where there are too many steps."""
    distances = units.astype(np.uint64) - units[0].astype(np.uint64)
    step = int(np.gcd.reduce(distances)) or 1
    origin = 0 if step > LARGEST_STEP else int(units[0]) % step
    if step > LARGEST_STEP or (
        origin and (len(units) < 2 * k or (held[units == origin] < k).any())
    ):
        step, origin = 1, 0
    if max(abs(int(units[0])), abs(int(units[-1]))) // step >= LARGEST_INDEX:
        return None
    return Grid(step, origin, digits)


def significant_digits(values: NDArray[np.float64], numpy_type: type[np.generic]) -> int | None:
    """Find how many significant digits the values were written with; None for full precision."""
    some = values[:: max(1, len(values) // 2000)]
    some = some[some != 0]
    for digits in range(1, MOST_SIGNIFICANT + 1):
        if np.array_equal(rounded(some, digits, numpy_type), some):
            return digits
    return None


def rounded(
    values: NDArray[np.float64], digits: int, numpy_type: type[np.generic] = np.float64
) -> NDArray[np.float64]:
    """Round to significant digits."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
        up = 10.0 ** np.clip(places, 0, 300)
        down = 10.0 ** np.clip(-places, 0, 300)
        result = np.rint(values * up / down) / up * down
    result = np.where(np.isfinite(result), result, values)
    return result.astype(numpy_type).astype(np.float64)
