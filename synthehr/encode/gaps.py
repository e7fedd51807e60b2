"""Time between visits: from times to gaps and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import arrow_type
from synthehr.encode.axis import combined, from_axis, to_axis, value_type
from synthehr.encode.numeric import NumericColumn

KNOTS = 65
"""Ranks of times are interpolated between so many."""
DISTINCT = 200
"""Unless there are no more than so many distinct ones: then each is one."""
UNITS = (86_400, 3_600, 60, 1)
"""Lengths in seconds, of which gaps are counted in the longest that divides them all."""
DECIMALS = 9
"""To which sums of fractional gaps are rounded."""


class VisitClock(NamedTuple):
    """How times become gaps and gaps times.

    Attributes
    ----------
    data_type : DataType
        Arrow type of the times.
    unit : int
        Steps of the time's axis of which gaps are counted; 1 for numbers.
    """

    data_type: pa.DataType
    unit: int

    @property
    def gap_type(self) -> pa.DataType:
        """Arrow type of the gaps."""
        return pa.float64() if pa.types.is_floating(value_type(self.data_type)) else pa.int64()

    @classmethod
    def fit(
        cls, times: pa.ChunkedArray, column: str, starts: NDArray[np.int64]
    ) -> tuple[VisitClock, pa.Array]:
        """Learn the unit of gaps from sorted times, and give the gaps; parameters as `gaps`."""
        clock = cls(times.type, 1)
        gaps = clock.gaps(times, column, starts)
        unit = _unit(value_type(times.type), np.asarray(gaps.fill_null(0)))
        clock = cls(times.type, unit)
        return clock, gaps if unit == 1 else clock.gaps(times, column, starts)

    @classmethod
    def public(cls, data_type: pa.DataType) -> VisitClock:
        """Make a clock for times of a type without a look at them: days of dates, else seconds."""
        kind = value_type(data_type)
        seconds = UNITS[0] if pa.types.is_date(kind) else UNITS[-1]
        is_fine = pa.types.is_temporal(kind) and not pa.types.is_date32(kind)
        return cls(data_type, seconds * _per_second(kind) if is_fine else 1)

    def gaps(self, times: pa.ChunkedArray, column: str, starts: NDArray[np.int64]) -> pa.Array:
        """Give the time since the visit before, null at each patient's first visit.

        Parameters
        ----------
        times : ChunkedArray of length V
            Patient by patient, ascending.
        column : str
            Its name.
        starts : ndarray of shape (P + 1,), int64
            Where each patient's visits begin.
        """
        values, _ = to_axis(combined(times), column)
        gaps = np.diff(values, prepend=values[:1])
        first = np.zeros(len(values), dtype=bool)
        first[starts[:-1]] = True
        gaps[first] = 0
        if self.gap_type == pa.float64():
            # Differences of decimals carry the noise of their last digits.
            gaps = np.round(gaps, DECIMALS)
        return pa.array(gaps // self.unit if self.unit > 1 else gaps, self.gap_type, mask=first)

    def times(
        self, first: pa.ChunkedArray, gaps: pa.ChunkedArray, starts: NDArray[np.int64]
    ) -> pa.Array:
        """Give times, (V,), from the time of each patient's first visit, (P,), and gaps, (V,).

        The gap before the first visit counts for nothing.
        """
        steps, _ = to_axis(combined(gaps), "time")
        steps[starts[:-1]] = 0
        return self._summed(first, steps, starts)

    def after(
        self, last: pa.ChunkedArray, gaps: pa.ChunkedArray, starts: NDArray[np.int64]
    ) -> pa.Array:
        """Give times, (V,), from the time of the visit before the first of them, and gaps."""
        steps, _ = to_axis(combined(gaps), "time")
        return self._summed(last, steps, starts)

    def _summed(
        self, origin: pa.ChunkedArray, steps: NDArray[Any], starts: NDArray[np.int64]
    ) -> pa.Array:
        course = np.concatenate([[0], np.cumsum(steps * self.unit)])
        begin, _ = to_axis(combined(origin), "time")
        counts = np.diff(starts)
        course = course[1:] - np.repeat(course[starts[:-1]], counts) + np.repeat(begin, counts)
        if self.gap_type == pa.float64():
            course = np.round(course, DECIMALS)
        return from_axis(course, np.ones(len(course), dtype=bool), self.data_type)

    def state(self) -> dict[str, Any]:
        """Give the clock as JSON values."""
        return {"type": str(self.data_type), "unit": self.unit}

    @classmethod
    def from_state(cls, content: Mapping[str, Any]) -> VisitClock:
        """Rebuild a clock from what `state` gave."""
        return cls(arrow_type(content["type"]), content["unit"])


def _unit(kind: pa.DataType, gaps: NDArray[Any]) -> int:
    """Find the longest of days, hours, minutes and seconds that divides all gaps."""
    if not pa.types.is_temporal(kind) or pa.types.is_date32(kind):
        return 1
    for seconds in UNITS:
        if not (gaps % (seconds * _per_second(kind))).any():
            return seconds * _per_second(kind)
    return 1


def _per_second(kind: pa.DataType) -> int:
    return {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[getattr(kind, "unit", "ms")]


def gap_values(column: NumericColumn) -> NDArray[np.float64]:
    """Mean length of each part of each token of a column of gaps, (size, parts); 0 for null."""
    field = column.field
    parts = int(field.parts.max())
    tokens = np.repeat(np.arange(field.size), parts)
    inside = np.tile(np.arange(parts), field.size)
    rng = np.random.default_rng(0)
    drawn = [to_axis(column.decode(tokens, inside, rng), field.column).values for _ in range(8)]
    return np.mean(drawn, axis=0).reshape(field.size, parts)


def elapsed_knots(
    gaps: NDArray[np.float64],
    begins: NDArray[np.float64],
    starts: NDArray[np.int64],
    least: int,
) -> NDArray[np.float64]:
    """Choose times by which visits are ranked, ascending, (K,): all of few, or quantiles.

    Parameters
    ----------
    gaps : ndarray of shape (V,)
        0 at each patient's first visit.
    begins : ndarray of shape (P,)
        Time of each patient's first visit.
    starts : ndarray of shape (P + 1,), int64
        Where each patient's visits begin.
    least : int
        Times that fewer patients reach are not stored.
    """
    course = np.cumsum(gaps)
    owners = np.repeat(np.arange(len(begins)), np.diff(starts))
    elapsed = np.round(course - (course[starts[:-1]] - begins)[owners], DECIMALS)
    pairs = np.unique(np.stack([elapsed, owners]), axis=1)
    times, held = np.unique(pairs[0], return_counts=True)
    if len(times) <= DISTINCT:
        return times[held >= least] if (held >= least).any() else times[:0]
    ends = np.sort(elapsed[starts[1:] - 1])
    longest = ends[max(len(ends) - least, 0)]
    places = np.linspace(0, 1, KNOTS)
    return np.unique(np.quantile(np.minimum(elapsed, longest), places))
