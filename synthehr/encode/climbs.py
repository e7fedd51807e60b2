"""Columns that never fall, or never rise, as a patient's first value and steps from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import arrow_type
from synthehr.encode.axis import Axis, combined, from_axis, to_axis, value_type
from synthehr.encode.gaps import DECIMALS
from synthehr.errors import SchemaError
from synthehr.schema.column import shown


class Climb(NamedTuple):
    """How a column becomes a first value and steps of 0 or more, and these the column.

    Null stays null, and the step is that since the last value. What falls nevertheless counts
    as no step.

    Attributes
    ----------
    data_type : DataType
        Arrow type of the column.
    falls : bool
        Whether the steps lead downwards.
    """

    data_type: pa.DataType
    falls: bool

    @property
    def step_type(self) -> pa.DataType:
        """Arrow type of the steps."""
        return pa.float64() if pa.types.is_floating(value_type(self.data_type)) else pa.int64()

    def steps(
        self, cells: pa.ChunkedArray, column: str, starts: NDArray[np.int64]
    ) -> tuple[pa.Array, pa.Array]:
        """Give the first value of each patient, (P,), and the step of each visit, (V,).

        Parameters
        ----------
        cells : ChunkedArray of length V
            Patient by patient, in the order of time.
        column : str
            Its name.
        starts : ndarray of shape (P + 1,), int64
            Where each patient's visits begin.

        Raises
        ------
        SchemaError
            If the cells have another type than was fitted.
        """
        values, valid = self._axis(cells, column)
        reached, known = _highest(self._turned(values), valid, starts)
        before, had = _shifted(reached, starts), _shifted(known, starts)
        steps = np.where(valid & had, reached - before, 0)
        if self.step_type == pa.float64():
            # Differences of decimals carry the noise of their last digits.
            steps = np.round(steps, DECIMALS)
        opens = valid & ~had
        first = np.full(len(starts) - 1, 0, values.dtype)
        owners = np.repeat(np.arange(len(first)), np.diff(starts))
        first[owners[opens]] = values[opens]
        some = np.bincount(owners[opens], minlength=len(first)) > 0
        return from_axis(first, some, self.data_type), pa.array(steps, self.step_type, mask=~valid)

    def values(
        self, first: pa.ChunkedArray, steps: pa.ChunkedArray, starts: NDArray[np.int64]
    ) -> pa.Array:
        """Give values, (V,), of first ones, (P,), and steps; the first step counts for nothing."""
        taken, valid = to_axis(combined(steps), "steps")
        before = np.cumsum(valid) - valid
        taken[before == np.repeat(before[starts[:-1]], np.diff(starts))] = 0
        return self._summed(first, taken, valid, starts)

    def after(
        self, last: pa.ChunkedArray, steps: pa.ChunkedArray, starts: NDArray[np.int64]
    ) -> pa.Array:
        """Give values, (V,), of the ones before the first of them, (P,), and steps."""
        return self._summed(last, *to_axis(combined(steps), "steps"), starts)

    def reached(self, cells: pa.ChunkedArray, column: str, starts: NDArray[np.int64]) -> pa.Array:
        """Give the value up to each visit, null before the first one; (V,), as of `steps`."""
        values, valid = self._axis(cells, column)
        found, known = _highest(self._turned(values), valid, starts)
        return from_axis(self._turned(found), known, self.data_type)

    def turns(
        self, cells: pa.ChunkedArray, column: str, starts: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Say which visits lie behind an earlier one; (V,), as of `steps`."""
        values, valid = self._axis(cells, column)
        reached, _ = _highest(self._turned(values), valid, starts)
        return valid & (self._turned(values) < reached)

    def _axis(self, cells: pa.ChunkedArray, column: str) -> Axis:
        wanted = value_type(self.data_type)
        try:
            return to_axis(combined(cells).cast(wanted), column)
        except pa.ArrowException:
            raise SchemaError(
                f"column {shown(column)} has type {cells.type} and was fitted as {wanted}",
                hint="give it the type that the fitted table has",
            ) from None

    def _turned(self, values: NDArray[Any]) -> NDArray[Any]:
        return -values if self.falls else values

    def _summed(
        self,
        origin: pa.ChunkedArray,
        steps: NDArray[Any],
        valid: NDArray[np.bool_],
        starts: NDArray[np.int64],
    ) -> pa.Array:
        counts = np.diff(starts)
        course = np.cumsum(np.where(valid, steps, 0))
        course = course - np.repeat((course - steps * valid)[starts[:-1]], counts)
        begin, known = to_axis(combined(origin), "first")
        course = np.repeat(begin, counts) + self._turned(course)
        if self.step_type == pa.float64():
            course = np.round(course, DECIMALS)
        return from_axis(course, valid & np.repeat(known, counts), self.data_type)

    def state(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"type": str(self.data_type), "falls": self.falls}

    @classmethod
    def from_state(cls, content: Mapping[str, Any]) -> Climb:
        """Rebuild it from what `state` gave."""
        return cls(arrow_type(content["type"]), content["falls"])


def climbed(
    climbs: Mapping[str, Climb], table: pa.Table, starts: NDArray[np.int64]
) -> tuple[pa.Table, pa.Table]:
    """Give each patient's first visit, with first values, and all visits, with steps."""
    here = {name: climb for name, climb in climbs.items() if name in table.column_names}
    found = {name: climb.steps(table[name], name, starts) for name, climb in here.items()}
    once = table.take(pa.array(starts[:-1]))
    return (
        replaced(once, {name: first for name, (first, _) in found.items()}),
        replaced(table, {name: steps for name, (_, steps) in found.items()}),
    )


def replaced(table: pa.Table, columns: Mapping[str, pa.Array]) -> pa.Table:
    """Put columns in the places of those of the same names."""
    for name, cells in columns.items():
        table = table.set_column(table.column_names.index(name), name, cells)
    return table


def earlier(marked: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which visits have a marked one of their patient before them; (V,)."""
    before = np.cumsum(marked) - marked
    return before > np.repeat(before[starts[:-1]], np.diff(starts))


def _highest(
    values: NDArray[Any], valid: NDArray[np.bool_], starts: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Give the highest of a patient's values up to each visit, and where there is one; (V,)."""
    unique, ranks = np.unique(values, return_inverse=True)
    lift = np.repeat(np.arange(len(starts) - 1), np.diff(starts)) * (len(unique) + 1)
    # Rank 0 is no value; a patient's ranks stand above those of the patient before.
    ranks = np.maximum.accumulate(np.where(valid, ranks + 1, 0) + lift) - lift
    return unique[np.maximum(ranks - 1, 0)], ranks > 0


def _shifted(array: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """Give what stands one visit before; zero at each patient's first."""
    found = np.roll(array, 1)
    found[starts[:-1]] = 0
    return found
