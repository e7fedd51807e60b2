"""Visits in comparable numbers, patient after patient, each in order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.evaluation.views import Compared, View, align
from synthehr.kernels import compute
from synthehr.schema.column import nearest, shown

FEW_VALUES = 8
"""A column of numbers that takes at most so many values is compared as levels."""


@dataclass(frozen=True)
class Timeline:
    """The visits of one table.

    Attributes
    ----------
    values : ndarray of shape (N, D), float64
        Numbers, dates as days since 1970-01-01, codes of levels; nan is null. Patient after
        patient, each in order of time; ties stay as written.
    times : ndarray of shape (N,), float64
        When each visit was; dates in days.
    offsets : ndarray of shape (P + 1,), int64
        Patient p has the visits ``offsets[p]`` up to ``offsets[p + 1]``.
    written_gaps : ndarray of shape (N - P,), float64
        Time from each visit to the next of the patient, in the order in which they are written.
    """

    values: NDArray[np.float64]
    times: NDArray[np.float64]
    offsets: NDArray[np.int64]
    written_gaps: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """Number of visits N."""
        return len(self.times)

    @property
    def n_patients(self) -> int:
        """Number of patients P."""
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Visits of each patient, shape (P,)."""
        return np.diff(self.offsets)

    @cached_property
    def patients(self) -> NDArray[np.int64]:
        """Patient of each visit, shape (N,)."""
        return np.repeat(np.arange(self.n_patients), self.lengths)

    @cached_property
    def visit(self) -> NDArray[np.int64]:
        """How many visits of the patient came before each, shape (N,)."""
        return np.arange(self.rows) - self.offsets[self.patients]

    def after(self, lag: int) -> NDArray[np.int64]:
        """Visits that have one of the same patient so many before them, as row numbers."""
        return np.flatnonzero(self.visit >= lag)

    @cached_property
    def later(self) -> NDArray[np.int64]:
        """Visits that are not a patient's first, shape (N - P,)."""
        return self.after(1)

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """Time since the visit before, for each of `later`."""
        return self.times[self.later] - self.times[self.later - 1]

    @property
    def spans(self) -> NDArray[np.float64]:
        """Time from each patient's first visit to the last, shape (P,)."""
        return self.times[self.offsets[1:] - 1] - self.times[self.offsets[:-1]]

    def take(self, patients: NDArray[np.int64]) -> Timeline:
        """Keep some patients, in the order they have here."""
        chosen = np.zeros(self.n_patients, dtype=bool)
        chosen[patients] = True
        lengths = self.lengths[chosen]
        kept = chosen[self.patients]
        return Timeline(
            self.values[kept],
            self.times[kept],
            np.concatenate([[0], np.cumsum(lengths)]),
            self.written_gaps[chosen[self.patients[self.later]]],
        )

    def some(self, n: int, rng: np.random.Generator) -> Timeline:
        """Draw at most n patients without replacement."""
        return self if n >= self.n_patients else self.take(rng.permutation(self.n_patients)[:n])


@dataclass(frozen=True)
class Timelines:
    """Real, synthetic and held-out visits over the same columns.

    Attributes
    ----------
    columns : tuple of Compared
        The D columns beside patient and time. Codes of levels count from the commonest real one.
    static : ndarray of shape (D,), bool
        Which columns never change within a real patient.
    dated : bool
        Whether times are dates, and so in days.
    real, synthetic : Timeline
        What the synthetic visits were made from, and those.
    held_out : Timeline or None
        Visits of other real patients.
    """

    columns: tuple[Compared, ...]
    static: NDArray[np.bool_]
    dated: bool
    real: Timeline
    synthetic: Timeline
    held_out: Timeline | None


def timelines(
    real: pa.Table,
    synthetic: pa.Table,
    held_out: pa.Table | None,
    *,
    patient: str,
    time: str,
    leave_out: Sequence[str] = (),
) -> Timelines:
    """Bring long tables, a row a visit, to the same columns and codes, in order of time.

    Raises
    ------
    InputError
        If a table lacks a column or has one too many, a patient or time is null, times are not
        numbers or dates, or a patient is both real and held out.
    """
    tables = {"real": real, "synthetic": synthetic, "held-out": held_out}
    for which, table in tables.items():
        if table is not None:
            _check_keys(which, table, patient, time)
    views = align(
        real,
        synthetic,
        held_out,
        patient=patient,
        categories=[name for name in real.column_names if name != time and _few(real, name)],
        leave_out=leave_out,
    )
    place = [column.name for column in views.columns].index(time)
    columns = (*views.columns[:place], *views.columns[place + 1 :])
    lines = [_timeline(v, place) for v in (views.real, views.synthetic, views.holdout) if v]
    known = lines[::2]
    return Timelines(
        columns=columns,
        static=np.logical_and.reduce([~changes(line).any(axis=0) for line in known]),
        dated=views.columns[place].kind == "date",
        real=lines[0],
        synthetic=lines[1],
        held_out=lines[2] if held_out is not None else None,
    )


def changes(line: Timeline) -> NDArray[np.bool_]:
    """Say in which columns each of `later` differs from the visit before, shape (N - P, D)."""
    now, before = line.values[line.later], line.values[line.later - 1]
    return ~((now == before) | (np.isnan(now) & np.isnan(before)))


def _timeline(view: View, place: int) -> Timeline:
    times = view.values[:, place]
    values = np.delete(view.values, place, axis=1)
    as_written = np.argsort(view.patients, kind="stable")
    order = np.lexsort((times, view.patients))
    same = np.diff(view.patients[as_written]) == 0
    counts = np.bincount(view.patients)
    return Timeline(
        np.asfortranarray(values[order]),
        times[order],
        np.concatenate([[0], np.cumsum(counts)]),
        np.diff(times[as_written])[same],
    )


def _check_keys(which: str, table: pa.Table, patient: str, time: str) -> None:
    for name, what in ((patient, "names the patient"), (time, "says when a visit was")):
        if name not in table.column_names:
            raise InputError(
                f"the {which} table lacks {shown(name)}, which {what}",
                hint=nearest(name, tuple(table.column_names)),
            )
    kind = table.schema.field(time).type
    if not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_temporal(kind)
    ):
        raise InputError(
            f"column {shown(time)} of the {which} table says when a visit was and holds {kind}",
            hint="times are numbers (days, hours) or dates",
        )
    nulls = int(compute.sum(compute.is_null(table.column(time), nan_is_null=True)).as_py() or 0)
    if nulls:
        raise InputError(
            f"column {shown(time)} says when a visit was and is null in {nulls} visits of the "
            f"{which} table",
            hint="fill it, or drop those visits",
        )


def _few(table: pa.Table, name: str) -> bool:
    """Say whether a column holds numbers of which there are few."""
    kind = table.schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return False
    return compute.count_distinct(table.column(name), mode="only_valid").as_py() <= FEW_VALUES
