"""How the values of a numeric column are laid out: atoms, and parts between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.grid import FloatType, Grid, rounded

Interval = tuple[float, float]


@final
@dataclass(frozen=True)
class Layout:
    """Units of a numeric axis: A atoms, then P parts.

    Attributes
    ----------
    grid : Grid or None
        The grid that all values lie on.
    digits : int or None
        Significant digits of the values of a column without a grid.
    atoms : ndarray of shape (A,), int64 or float64
        Single values that are units, ascending.
    edges : ndarray of shape (P + 1,) or (0,), float64
        Ends of the parts on the value axis, ascending.
    float_type : type or None
        The column's own float type; None for the int64 axis.
    single_parts : ndarray of shape (S,), int64
        Parts of a column without a grid that hold a single value.
    single_values : ndarray of shape (S,), float64
        That value.
    """

    grid: Grid | None
    digits: int | None
    atoms: NDArray[Any]
    edges: NDArray[np.float64]
    float_type: FloatType
    single_parts: NDArray[np.int64]
    single_values: NDArray[np.float64]

    @property
    def n_parts(self) -> int:
        """Number of parts."""
        return max(len(self.edges) - 1, 0)

    @cached_property
    def _places(self) -> NDArray[np.float64]:
        """Edges as half grid indices, or as values."""
        return self.edges if self.grid is None else self.grid.edge_index(self.edges)

    @cached_property
    def _atom_index(self) -> NDArray[np.int64]:
        """Grid points that are atoms."""
        if self.grid is None:
            return np.zeros(0, dtype=np.int64)
        index = self.grid.index(self.atoms)
        values = self.grid.value(index)
        if self.float_type is not None:
            values = values.astype(self.float_type).astype(np.float64)
        return index[values == self.atoms]

    @cached_property
    def _spans(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Ends of each part in drawing units: grid points numbered through, without the atoms."""
        if self.grid is not None:
            first = np.ceil(self._places).astype(np.int64)
            first = first - np.searchsorted(self._atom_index, first)
            return first[:-1], first[1:]
        lows, highs = self._places[:-1].copy(), self._places[1:].copy()
        lows[self.single_parts] = highs[self.single_parts] = self.single_values
        return lows, highs

    @cached_property
    def ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest value of each part, on the axis; shape (P,) each."""
        if self.grid is None:
            return self._spans
        first = np.ceil(self._places).astype(np.int64)
        low, high = self.grid.value(first[:-1]), self.grid.value(first[1:] - 1)
        return low.astype(np.float64), high.astype(np.float64)

    def locate(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """Find the unit of each value; the nearest one for values outside all units."""
        n_atoms = len(self.atoms)
        units = np.zeros(len(values), dtype=np.int64)
        if self.n_parts:
            places = values if self.grid is None else self.grid.index(values)
            units = n_atoms + np.searchsorted(self._places[1:-1], places, side="right")
        if not n_atoms:
            return units
        right = np.minimum(np.searchsorted(self.atoms, values), n_atoms - 1)
        exact = self.atoms[right] == values
        if self.n_parts:
            return np.where(exact, right, units)
        left = np.maximum(right - 1, 0)
        floats, atoms = values.astype(np.float64), self.atoms.astype(np.float64)
        is_left = floats / 2 - atoms[left] / 2 < atoms[right] / 2 - floats / 2
        return np.where(is_left & ~exact, left, right)

    def draw(
        self,
        part: NDArray[np.int64],
        uniform: NDArray[np.float64],
        bounds: Sequence[Interval] | None = None,
    ) -> NDArray[Any]:
        """Turn uniform numbers in [0, 1) into values of these parts, within the bounds."""
        part = np.clip(part, 0, self.n_parts - 1)
        low, high = self._spans[0][part], self._spans[1][part]
        if bounds is not None:
            low, high, uniform = self._restricted(part, uniform, bounds)
        if self.grid is not None:
            drawn = low + np.minimum((uniform * (high - low)).astype(np.int64), high - low - 1)
            skipped = self._atom_index - np.arange(len(self._atom_index))
            return self.grid.value(drawn + np.searchsorted(skipped, drawn, side="right"))
        drawn = low * (1 - uniform) + high * uniform
        if self.float_type is None:
            limit = np.nextafter(2.0**63, 0)
            return np.rint(np.clip(drawn, -limit, limit)).astype(np.int64)
        if self.digits is not None:
            near = rounded(drawn, self.digits, self.float_type)
            drawn = np.where((near < low) | (near > high), drawn, near)
        return drawn

    def overlaps(self, intervals: Sequence[Interval]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Cut each part to each interval: its ends in drawing units, of shape (P, I) each."""
        if self.grid is None:
            ends = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
        else:
            inside = [self.grid.inside(low, high) for low, high in intervals]
            ends = np.asarray(inside, dtype=np.int64).reshape(-1, 2)
            ends = ends + np.array([0, 1])
            ends = ends - np.searchsorted(self._atom_index, ends)
        lows = np.maximum(self._spans[0][:, None], ends[None, :, 0])
        highs = np.minimum(self._spans[1][:, None], ends[None, :, 1])
        return lows, highs

    def touched(self, intervals: Sequence[Interval]) -> NDArray[np.bool_]:
        """Say which parts hold a value of an interval; shape (P, I)."""
        lows, highs = self.overlaps(intervals)
        return highs >= lows if self.grid is None else highs > lows

    def fractions(self, intervals: Sequence[Interval]) -> NDArray[np.float64]:
        """Fraction of each part that lies within the intervals; shape (P,)."""
        lows, highs = self.overlaps(intervals)
        widths = self._spans[1] - self._spans[0]
        covered = np.maximum(highs - lows, 0).sum(axis=1)
        touched = (highs >= lows).any(axis=1)
        return np.where(widths > 0, covered / np.maximum(widths, 1e-300), touched)

    def _restricted(
        self, part: NDArray[np.int64], uniform: NDArray[np.float64], bounds: Sequence[Interval]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
        """Cut parts down to the intervals and choose one of them for each draw."""
        lows, highs = self.overlaps(bounds)
        touched = self.touched(bounds)
        widths = np.maximum(highs - lows, 0).astype(np.float64)
        pointlike = touched & (widths.sum(axis=1, keepdims=True) == 0)
        widths = np.where(pointlike, 1.0, widths)
        reached = np.cumsum(widths, axis=1)
        wanted = uniform * reached[part, -1]
        chosen = np.minimum((reached[part] <= wanted[:, None]).sum(axis=1), len(bounds) - 1)
        width = widths[part, chosen]
        rest = (wanted - (reached[part, chosen] - width)) / np.where(width > 0, width, 1)
        inside = touched[part].any(axis=1)
        low = np.where(inside, lows[part, chosen], self._spans[0][part])
        high = np.where(inside, highs[part, chosen], self._spans[1][part])
        return low, high, np.clip(np.where(inside, rest, uniform), 0, np.nextafter(1, 0))
