"""What was not declared in public, found out with noise: bounds, levels, how many there are.

Each patient is represented by one record, drawn at random. Numbers are counted by powers
of two, and bounds enclose the powers that surely many hold. Levels are counted as they
occur, so that one patient may bring a level that nobody else has; such a level passes its
threshold with a chance that is charged as δ (Korolova et al. 2009,
doi:10.1145/1526709.1526733).

NOTE[DIFF]: the noise is normal, not Laplace, so that all columns are one mechanism.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import norm

from synthehr.encode.axis import combined, float_type_of, to_axis, value_type
from synthehr.encode.categorical import level_indices
from synthehr.errors import ConfigError
from synthehr.privacy import noise
from synthehr.privacy.accountant import noise_multiplier
from synthehr.privacy.histograms import Question, answers
from synthehr.privacy.ledger import STEERING_SHARE, Entry
from synthehr.privacy.measure import NUMBER_KINDS
from synthehr.privacy.mechanisms import Bounded, Gaussian
from synthehr.schema.column import Column, Level, shown

SHARE = 0.1
"""Share of ε for bounds and levels, with the number of patients."""
SHARE_OF_COUNT = 0.02
"""Share of ε for the number of patients alone."""
SMALLEST, LARGEST = -20, 61
"""Powers of two that are told apart."""
POWERS = LARGEST - SMALLEST + 1
MISTAKEN = 1e-3
"""Chance that noise alone widens a column's bounds."""


class Discovered(NamedTuple):
    """What was found out.

    Attributes
    ----------
    columns : tuple of Column
        The columns that were asked for, with bounds or levels.
    patients : int
        About how many there are, to two digits.
    most_patients : int
        More there are with a chance that is charged.
    entries : tuple of Entry
        For the ledger.
    """

    columns: tuple[Column, ...]
    patients: int
    most_patients: int
    entries: tuple[Entry, ...]


def discover(
    table: pa.Table,
    columns: Sequence[Column],
    patients: NDArray[np.int64] | None,
    *,
    epsilon: float,
    delta: float,
) -> Discovered:
    """Find bounds and levels of columns, and how many patients there are.

    Parameters
    ----------
    table : Table
        The records, N rows.
    columns : sequence of Column
        Those without bounds or levels that need them.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    epsilon, delta : float
        The privacy that the whole fit has.

    Raises
    ------
    ConfigError
        If nothing of a column can be told, or the budget is too small to ask anything.
    """
    share = SHARE if columns else SHARE_OF_COUNT
    of_chance = STEERING_SHARE * delta / 2
    multiplier = noise_multiplier(
        share * epsilon,
        STEERING_SHARE * delta,
        lambda x: [Gaussian(noise_multiplier=x), Bounded(epsilon=0.0, delta=of_chance)],
    )
    if multiplier is None:
        raise ConfigError("the budget is too small to discover anything", hint="allow a larger ε")
    chosen = _one_each(table.num_rows, patients)
    some = table.select([column.name for column in columns]).take(pa.array(chosen))
    counted = [_counted(column, some[column.name]) for column in columns]
    everybody = Question(np.zeros(len(chosen), np.int64), 1)
    asked = [cells for cells, _ in counted]
    histograms, deviation = answers([*asked, everybody], np.ones(len(chosen)), multiplier)
    # Half of the chance is for levels, half for the number of patients.
    tests = max(1, sum(levels is not None for _, levels in counted))
    least = 1 + deviation * float(norm.isf(of_chance / 2 / tests))
    far = deviation * float(norm.isf(of_chance / 2))
    found = tuple(
        _with_bounds(column, some[column.name].type, histogram, deviation)
        if levels is None
        else _with_levels(column, levels, histogram, least)
        for column, (_, levels), histogram in zip(columns, counted, histograms, strict=False)
    )
    number = float(histograms[-1][0])
    entries = (
        Entry(_told(columns), Gaussian(noise_multiplier=multiplier), steers=True),
        Entry("being misled by noise", Bounded(epsilon=0.0, delta=of_chance), steers=True),
    )
    return Discovered(found, max(1, _two_digits(number)), math.ceil(number + far), entries)


def _told(columns: Sequence[Column]) -> str:
    told = "number of patients"
    return told if not columns else f"{told}, bounds and levels of {len(columns)} columns"


def _one_each(n: int, patients: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Draw one record of each patient."""
    if patients is None:
        return np.arange(n)
    shuffled = noise.uniform(n).argsort().numpy()
    return shuffled[np.unique(patients[shuffled], return_index=True)[1]]


def _counted(column: Column, cells: pa.ChunkedArray) -> tuple[Question, Sequence[Level] | None]:
    """Ask for powers of two, or for the levels that occur; the last cell is for the rest."""
    if column.kind in NUMBER_KINDS:
        return Question(_powers(cells, column.name), 2 * POWERS + 2), None
    indices, levels, valid = level_indices(cells, column.name)
    return Question(np.where(valid, indices, len(levels)), len(levels) + 1), levels


def _powers(cells: pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    """Find the cell of each value: negative powers descending, zero, positive ones ascending."""
    values, valid = to_axis(combined(cells), name)
    size = np.abs(values.astype(np.float64))
    power = np.frexp(size)[1] - 1 - SMALLEST
    place = np.where(size > 0, np.clip(power, 0, POWERS - 1) + 1, 0)
    return np.where(valid, POWERS + np.sign(values).astype(np.int64) * place, 2 * POWERS + 1)


def _with_bounds(
    column: Column, data_type: pa.DataType, histogram: NDArray[np.float64], deviation: float
) -> Column:
    """Enclose the powers that surely many hold, on the column's axis."""
    held = np.flatnonzero(histogram[:-1] > deviation * norm.isf(MISTAKEN / len(histogram)))
    if not len(held):
        raise _nothing(column)
    data_type = value_type(data_type)
    low, high = _edge(held[0] - POWERS, False), _edge(held[-1] - POWERS, True)
    if float_type_of(data_type) is None:
        low, high = float(math.ceil(low)), float(math.floor(high))
    scale = 10.0**data_type.scale if pa.types.is_decimal(data_type) else 1.0
    return replace(column, bounds=(low / scale, high / scale))


def _edge(place: int, upper: bool) -> float:
    """Outer edge of a cell: that away from zero where it is the outermost."""
    if place == 0:
        return 0.0
    power = abs(place) - 1 + SMALLEST
    return math.copysign(2.0 ** (power + ((place > 0) == upper)), place)


def _with_levels(
    column: Column, levels: Sequence[Level], histogram: NDArray[np.float64], least: float
) -> Column:
    passed = histogram[:-1] > least
    kept = [x for x, held in zip(levels, passed, strict=True) if held and x is not None]
    if not kept:
        raise _nothing(column)
    return replace(column, levels=tuple(sorted(kept, key=lambda level: (str(type(level)), level))))


def _nothing(column: Column) -> ConfigError:
    return ConfigError(
        f"no value of column {shown(column.name)} is held by enough patients to be told",
        hint="declare its bounds or levels in the schema, or leave it out",
    )


def _two_digits(value: float) -> int:
    unit = 10 ** max(0, math.floor(math.log10(max(value, 1.0))) - 1)
    return round(value / unit) * unit
