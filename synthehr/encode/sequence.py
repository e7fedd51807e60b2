"""A table of visits as codes, and back: one record for each patient, one for each visit.

What is constant within every patient is encoded once a patient, the rest once a visit. Time is
two columns of the codes: among the static ones the time of a patient's first visit, among the
visits' the gap since the visit before, null at the first. So time never runs backwards, and a
patient's clock can start anywhere. Columns that never fall, or never rise, are two in the same
way: see `synthehr.encode.climbs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.categorical import CategoricalColumn
from synthehr.encode.climbs import Climb, climbed, replaced
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Fields
from synthehr.encode.gaps import VisitClock, elapsed_knots, gap_values
from synthehr.encode.layout import Interval
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.table import TableEncoder
from synthehr.encode.visit_columns import beginnings, first_time, once_and_each
from synthehr.errors import SchemaError
from synthehr.schema.table import Schema


class SequenceFields(NamedTuple):
    """What a model sees of a table of visits.

    Attributes
    ----------
    static : Fields
        Columns that a patient has once; may be none.
    visits : Fields
        Columns that each visit has.
    gap : int or None
        Which of these is the gap; None where every gap is the same.
    gaps : ndarray of shape (size, parts), float32
        Length of each part of each token of the gap, in mean gaps; 0 for null.
    origin : int or None
        Which of the static columns is the time of the first visit; None where visits are told
        by dates, or all patients begin at one time: then each patient's time begins at 0.
    origins : ndarray of shape (size, parts), float32
        Time of each part of each of its tokens, in mean gaps since the earliest.
    elapsed : ndarray of shape (K,), float32
        Times by which visits are ranked, in mean gaps.
    mean_visits : float
        Mean number of visits of a patient.
    """

    static: Fields
    visits: Fields
    gap: int
    gaps: NDArray[np.float32]
    origin: int | None
    origins: NDArray[np.float32]
    elapsed: NDArray[np.float32]
    mean_visits: float


class SequenceCodes(NamedTuple):
    """Encoded patients.

    Attributes
    ----------
    static : ndarray of shape (P, 2, S), int16
        Tokens and parts of what patients have once.
    visits : ndarray of shape (V, 2, D), int16
        Tokens and parts of their visits, patient by patient in the order of time.
    starts : ndarray of shape (P + 1,), int64
        Where each patient's visits begin, and the end of the last's.
    """

    static: NDArray[np.integer]
    visits: NDArray[np.integer]
    starts: NDArray[np.int64]


@final
class SequenceEncoder:
    """Turns a table of visits into codes and codes into a table.

    Parameters
    ----------
    names : tuple of str
        All columns, in the order of the table.
    patient, time : str
        Columns that name the patient and tell when a visit was.
    clock : VisitClock
        How times become gaps and gaps times.
    static, visits : TableEncoder
        Of what patients have once, and of what each visit has.
    knots : ndarray of shape (K,), float32
        See `SequenceFields.elapsed`.
    mean_gap, mean_visits : float
        Of the fitted patients.
    climbs : mapping from name to Climb
        Columns that are encoded as steps from a first value.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        patient: str,
        time: str,
        clock: VisitClock,
        static: TableEncoder,
        visits: TableEncoder,
        knots: NDArray[np.float32],
        mean_gap: float,
        mean_visits: float,
        climbs: Mapping[str, Climb] = MappingProxyType({}),
    ) -> None:
        self.names = names
        self.patient = patient
        self.time = time
        self.clock = clock
        self.static = static
        self.visits = visits
        self.knots = knots
        self.mean_gap = mean_gap
        self.mean_visits = mean_visits
        self.climbs = dict(climbs)
        column = visits.plan[time]
        if not isinstance(column, NumericColumn):
            raise SchemaError(
                "too few patients have more than one visit to learn the time between visits",
                hint="fit without --time: each record then stands for itself",
            )
        first = first_time(static, time)
        earliest = np.zeros((1, 1)) if first is None else gap_values(first)
        self.fields = SequenceFields(
            static.fields,
            visits.fields,
            visits.modelled.index(time),
            (gap_values(column) / mean_gap).astype(np.float32),
            None if first is None else static.modelled.index(time),
            ((earliest - earliest.min()) / mean_gap).astype(np.float32),
            knots,
            mean_visits,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was suppressed and why, without values."""
        return self.static.notes + self.visits.notes

    @property
    def columns(self) -> tuple[NumericColumn | CategoricalColumn, ...]:
        """Encoders of the columns that the models see; of time, that of gaps."""
        return self.static.columns + self.visits.columns

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        schema: Schema,
        starts: NDArray[np.int64],
        static: tuple[str, ...],
        config: EncodeConfig,
        rng: np.random.Generator,
        *,
        falling: Mapping[str, bool] = MappingProxyType({}),
    ) -> SequenceEncoder:
        """Learn how to encode patients and visits.

        Parameters
        ----------
        table : Table
            The visits, patient by patient in the order of time.
        schema : Schema
            What the columns are, among them a patient and a time.
        starts : ndarray of shape (P + 1,), int64
            Where each patient's visits begin, and the end of the last's.
        static : tuple of str
            Columns that are constant within every patient.
        config : EncodeConfig
            Limits.
        rng : Generator
            Handed on to the encoders of both tables.
        falling : mapping from name to bool
            Columns of visits that never rise (true) or never fall (false).

        Raises
        ------
        SchemaError
            If a column has a type that cannot be modelled, or too few patients have more than
            one visit.
        """
        patient, time = schema.patient, schema.time
        assert patient is not None and time is not None
        clock, gaps = VisitClock.fit(table[time], time, starts)
        owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        climbs = {name: Climb(table[name].type, falls) for name, falls in falling.items()}
        kinds = {name: climb.step_type for name, climb in climbs.items()}
        once, each = once_and_each(schema, static, {time: clock.gap_type, **kinds})
        first, steps = climbed(climbs, table, starts)
        visits = TableEncoder.fit(
            replaced(steps, {time: gaps}), each, patients=owners, config=config, rng=rng
        )
        encoder = TableEncoder.fit(
            first, once, patients=np.arange(len(first)), config=config, rng=rng
        )
        values = np.asarray(gaps.fill_null(0), np.float64)
        mean_gap = max(values.sum() / max(len(values) - len(first), 1), 1e-9)
        begins = beginnings(encoder, first[time], time)
        knots = elapsed_knots(values, begins, starts, config.rare_patients) / mean_gap
        return cls(
            tuple(column.name for column in schema.columns if column.role != "drop"),
            patient,
            time,
            clock,
            encoder,
            visits,
            knots.astype(np.float32),
            mean_gap,
            len(values) / len(first),
            climbs,
        )

    def encode(self, table: pa.Table, starts: NDArray[np.int64]) -> SequenceCodes:
        """Turn visits, sorted by patient and time, into codes."""
        first, _ = climbed(self.climbs, table, starts)
        visits = self.visits.encode(self.with_steps(table, starts))
        return SequenceCodes(self.static.encode(first), visits, starts)

    def with_steps(self, table: pa.Table, starts: NDArray[np.int64]) -> pa.Table:
        """Put gaps in the place of times, and steps in that of columns that climb."""
        gaps = self.clock.gaps(table[self.time], self.time, starts)
        return replaced(climbed(self.climbs, table, starts)[1], {self.time: gaps})

    def decode(
        self,
        codes: SequenceCodes,
        rng: np.random.Generator,
        *,
        bounds: Mapping[str, tuple[Interval, ...]] | None = None,
        first: int = 0,
    ) -> pa.Table:
        """Turn codes into a table with the columns, order and types that were fitted.

        Parameters
        ----------
        codes : SequenceCodes
            Patients and their visits.
        rng : Generator
            Draws the places within parts.
        bounds : mapping from static column to intervals, or None
            As of `TableEncoder.decode`.
        first : int
            Number of patients decoded before these, so that ids go on.
        """
        static = self.static.decode(codes.static, rng, bounds=bounds, first=first)
        return self.assembled(static, self.visits.decode(codes.visits, rng), codes.starts)

    def assembled(self, static: pa.Table, visits: pa.Table, starts: NDArray[np.int64]) -> pa.Table:
        """Put together what patients have once, (P rows), and their visits with steps, (V rows)."""
        once = static.take(pa.array(np.repeat(np.arange(len(starts) - 1), np.diff(starts))))
        summed = {self.time: self.clock.times(static[self.time], visits[self.time], starts)}
        for name, climb in self.climbs.items():
            summed[name] = climb.values(static[name], visits[name], starts)
        arrays = [
            summed[name]
            if name in summed
            else (visits if name in visits.column_names else once)[name]
            for name in self.names
        ]
        return pa.table(arrays, names=list(self.names))

    def describe(self) -> list[dict[str, Any]]:
        """Say of each column how it is made and count its tokens, without values."""
        return [
            row | {"per": per}
            for per, encoder in (("patient", self.static), ("visit", self.visits))
            for row in encoder.describe()
        ]

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give everything learned as JSON-ready values and arrays; inverse of `from_state`."""
        parts = {"static": self.static.state(), "visits": self.visits.state()}
        content: dict[str, Any] = {name: part[0] for name, part in parts.items()}
        arrays = {f"{name}.{key}": a for name, part in parts.items() for key, a in part[1].items()}
        content |= {
            "names": list(self.names),
            "patient": self.patient,
            "time": self.time,
            "clock": self.clock.state(),
            "mean_gap": self.mean_gap,
            "mean_visits": self.mean_visits,
            "climbs": {name: climb.state() for name, climb in self.climbs.items()},
        }
        return content, arrays | {"elapsed": self.knots}

    @classmethod
    def from_state(
        cls, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> SequenceEncoder:
        """Rebuild an encoder from what `state` gave.

        Raises
        ------
        ArtifactError
            If the state does not fit together.
        """
        below = {
            part: {
                name.removeprefix(f"{part}."): array
                for name, array in arrays.items()
                if name.startswith(f"{part}.")
            }
            for part in ("static", "visits")
        }
        return cls(
            tuple(content["names"]),
            content["patient"],
            content["time"],
            VisitClock.from_state(content["clock"]),
            TableEncoder.from_state(content["static"], below["static"]),
            TableEncoder.from_state(content["visits"], below["visits"]),
            arrays["elapsed"],
            content["mean_gap"],
            content["mean_visits"],
            {name: Climb.from_state(each) for name, each in content.get("climbs", {}).items()},
        )
