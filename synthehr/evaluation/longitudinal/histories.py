"""Each patient as one record: what a classifier or an attacker may look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.cross import slopes
from synthehr.evaluation.longitudinal.timeline import Timeline, changes
from synthehr.evaluation.views import Compared, View

MOST_LEVELS = 4
"""Levels of a column, the commonest, whose share of a patient's visits is told."""

POOLED_AFTER = 24
"""Levels beyond this many are one level."""

Told = Literal["values", "times"]


@dataclass(frozen=True)
class Histories:
    """What is told of each patient.

    Attributes
    ----------
    columns : tuple of Compared
        The F features.
    of_values : int
        So many features, the first ones, come from values; the others from when they were
        measured.
    values : ndarray of shape (P, F), float64
        One row a patient; nan where it is not defined.
    """

    columns: tuple[Compared, ...]
    of_values: int
    values: NDArray[np.float64]

    @property
    def view(self) -> View:
        """The patients as records."""
        return View(np.asfortranarray(self.values), np.arange(len(self.values)))

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Which features are codes, shape (F,)."""
        return np.array([column.kind == "category" for column in self.columns])

    def of(self, what: Told) -> Histories:
        """Keep the features of one kind."""
        kept = slice(0, self.of_values) if what == "values" else slice(self.of_values, None)
        columns = self.columns[kept]
        count = len(columns) if what == "values" else 0
        return Histories(columns, count, self.values[:, kept])


def histories(
    line: Timeline, columns: tuple[Compared, ...], static: NDArray[np.bool_]
) -> Histories:
    """Summarise each patient.

    A static column is told as it is; a changing number by its mean, standard deviation, minimum,
    maximum, last value, slope and mean change; a changing column of levels by the shares of the
    commonest and of changes. Times are told by visits, follow-up and gaps, and by the share of
    nulls of each column.
    """
    columns_of: dict[Told, list[Compared]] = {"values": [], "times": []}
    values_of: dict[Told, list[NDArray[np.float64]]] = {"values": [], "times": []}

    def tell(what: Told, column: Compared, values: NDArray[np.float64]) -> None:
        columns_of[what].append(column)
        values_of[what].append(values)

    moved = changes(line)
    for j, column in enumerate(columns):
        if static[j]:
            tell("values", column, pooled(line.values[line.offsets[:-1], j], column))
            continue
        category = column.kind == "category"
        told = _of_levels(line, j, moved[:, j]) if category else _of_numbers(line, j)
        for what, values in told.items():
            tell("values", _named(column, what), values)
        nulls = np.isnan(line.values[:, j]).astype(np.float64)
        tell("times", _named(column, "null"), _mean(line, nulls))
    for what, values in _of_times(line).items():
        tell("times", Compared(what, "number", ()), values)
    return Histories(
        (*columns_of["values"], *columns_of["times"]),
        len(columns_of["values"]),
        np.stack([*values_of["values"], *values_of["times"]], axis=1),
    )


def pooled(values: NDArray[np.float64], column: Compared) -> NDArray[np.float64]:
    """Make the rarer levels of a column one, so that trees of few bins can take it."""
    return np.minimum(values, POOLED_AFTER) if column.kind == "category" else values


def _named(column: Compared, what: str) -> Compared:
    return Compared(f"{column.name}, {what}", "number", ())


def _mean(line: Timeline, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over each patient's visits that hold a value; nan without any."""
    held = ~np.isnan(values)
    n = np.bincount(line.patients[held], minlength=line.n_patients)
    sums = np.bincount(line.patients[held], values[held], line.n_patients)
    return np.where(n > 0, sums / np.maximum(n, 1), np.nan)


def _of_numbers(line: Timeline, j: int) -> dict[str, NDArray[np.float64]]:
    values = line.values[:, j]
    mean = _mean(line, values)
    rows = np.flatnonzero(~np.isnan(values))
    who, starts = line.patients[rows], line.offsets[:-1]
    last = np.full(line.n_patients, np.nan)
    final = np.append(who[1:] != who[:-1], True)[: len(rows)]
    last[who[final]] = values[rows[final]]
    steps = np.full(line.rows, np.nan)
    same = who[1:] == who[:-1]
    steps[rows[1:][same]] = np.abs(np.diff(values[rows]))[same]
    return {
        "mean": mean,
        "sd": np.sqrt(_mean(line, (values - mean[line.patients]) ** 2)),
        "minimum": np.fmin.reduceat(values, starts),
        "maximum": np.fmax.reduceat(values, starts),
        "last": last,
        "slope": slopes(line, j),
        "change": _mean(line, steps),
    }


def _of_levels(line: Timeline, j: int, moved: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    values = line.values[:, j]
    null = np.isnan(values)
    told = {
        f"share of level {code}": _mean(line, np.where(null, np.nan, values == code))
        for code in range(MOST_LEVELS)
    }
    steps = np.full(line.rows, np.nan)
    steps[line.later] = moved
    return told | {"changes": _mean(line, steps)}


def _of_times(line: Timeline) -> dict[str, NDArray[np.float64]]:
    gaps = np.full(line.rows, np.nan)
    gaps[line.later] = line.gaps
    mean = _mean(line, gaps)
    ends = line.offsets[1:] - 1
    return {
        "visits": line.lengths.astype(np.float64),
        "follow-up": line.spans,
        "gap, mean": mean,
        "gap, sd": np.sqrt(_mean(line, (gaps - mean[line.patients]) ** 2)),
        "gap, largest": np.fmax.reduceat(gaps, line.offsets[:-1]),
        "gap, last": gaps[ends],
    }


def on_common_mask(a: Timeline, b: Timeline, rng: np.random.Generator) -> tuple[Timeline, Timeline]:
    """Pair patients at random and keep what both of a pair have measured, visit by visit.

    The first visits of the longer one are kept; times become visit numbers. So neither lengths,
    times nor nulls tell the two apart.
    """
    n = min(a.n_patients, b.n_patients)
    who = [rng.permutation(line.n_patients)[:n] for line in (a, b)]
    lengths = np.minimum(a.lengths[who[0]], b.lengths[who[1]])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    visit = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    values = [
        line.values[np.repeat(line.offsets[chosen], lengths) + visit]
        for line, chosen in zip((a, b), who, strict=True)
    ]
    either = np.isnan(values[0]) | np.isnan(values[1])
    gaps = np.ones(int((visit > 0).sum()))
    first, second = (
        Timeline(
            np.asfortranarray(np.where(either, np.nan, each)),
            visit.astype(np.float64),
            offsets,
            gaps,
        )
        for each in values
    )
    return first, second
