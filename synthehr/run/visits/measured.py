"""What is measured of visits under differential privacy, and what is made up from it.

Columns that patients have once are measured as those of any table; those of visits patient by
patient, so that each of a patient's visits counts the less the more he has. From their noisy
marginals, and from that of the numbers of visits, patients are made up on whom the ordinary
encoders are fitted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import value_type
from synthehr.encode.config import EncodeConfig
from synthehr.encode.gaps import VisitClock, elapsed_knots
from synthehr.encode.sequence import SequenceCodes, SequenceEncoder
from synthehr.encode.visit_columns import beginnings, once_and_each, put_gaps
from synthehr.errors import InputError
from synthehr.io.visits import VisitTable
from synthehr.models.sequence_base import Sequences
from synthehr.privacy.domain import LevelDomain, NumberDomain
from synthehr.privacy.ledger import Entry
from synthehr.privacy.measure import axis_bounds, domains_of, measure, questions
from synthehr.run.declared import encoder_of
from synthehr.schema.table import Schema

Domains = Mapping[str, LevelDomain | NumberDomain]

NUMBER, SPAN = "number\n", "span\n"
"""Of a patient's visits, and the time from the first to the last: columns of no table."""


class Part(NamedTuple):
    """Columns of one kind: what patients have once, or what visits have.

    Attributes
    ----------
    schema : Schema
        What they are.
    table : Table
        Their records.
    domains : mapping
        What each may hold, in public.
    owners : ndarray of shape (N,), or None
        Patient of each record; None where each is one.
    """

    schema: Schema
    table: pa.Table
    domains: Domains
    owners: NDArray[np.int64] | None

    @classmethod
    def of(cls, schema: Schema, table: pa.Table, owners: NDArray[np.int64] | None) -> Part:
        """Find the domains.

        Raises
        ------
        ConfigError
            Naming the columns whose bounds or levels are not declared.
        """
        return cls(schema, table, domains_of(schema, table.schema), owners)

    @property
    def questions(self) -> int:
        """Number of histograms that are asked for."""
        return questions(self.domains, False)


class VisitParts(NamedTuple):
    """Both kinds of columns, and how times become gaps."""

    once: Part
    each: Part
    clock: VisitClock

    @property
    def questions(self) -> int:
        """Number of histograms that are asked for."""
        return self.once.questions + self.each.questions

    @property
    def once_columns(self) -> int:
        """Number of columns that patients have once, in public."""
        return len(self.once.domains) - 2


class MadeUp(NamedTuple):
    """What was measured, as patients that are nobody.

    Attributes
    ----------
    encoder : SequenceEncoder
        Fitted on them.
    course : Sequences
        They themselves; nothing but single columns and numbers of visits is right.
    entries : tuple of Entry
        What it cost.
    """

    encoder: SequenceEncoder
    course: Sequences
    entries: tuple[Entry, ...]


def first_visits(
    table: pa.Table, starts: NDArray[np.int64], most: int
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Keep the first visits of every patient, and say where each one's begin."""
    counts = np.diff(starts)
    place = np.arange(table.num_rows) - np.repeat(starts[:-1], counts)
    kept = np.concatenate([[0], np.cumsum(np.minimum(counts, most))])
    return table.filter(pa.array(place < most)), kept


def parts_of(
    visits: VisitTable, table: pa.Table, starts: NDArray[np.int64], schema: Schema, most: int
) -> VisitParts:
    """Part what patients have once from what visits have.

    The declared bounds of time hold for first visits, and their distance for gaps.

    Parameters
    ----------
    visits : VisitTable
        Names of patient, time and static columns.
    table : Table
        The visits that count.
    starts : ndarray of shape (P + 1,), int64
        Where each patient's begin.
    schema : Schema
        The columns.
    most : int
        No patient has more visits, in public.

    Raises
    ------
    ConfigError
        Naming the columns whose bounds or levels are not declared.
    """
    clock = VisitClock.public(table.schema.field(visits.time).type)
    once, each = once_and_each(schema, visits.static, {visits.time: clock.gap_type})
    low, high = axis_bounds(schema[visits.time], value_type(clock.data_type))
    longest = (high - low) / clock.unit
    each = each.with_columns(replace(each[visits.time], bounds=(0.0, longest)))
    gaps = clock.gaps(table[visits.time], visits.time, starts)
    owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    persons = Part.of(once, table.take(pa.array(starts[:-1])), None)
    course = np.concatenate([[0], np.cumsum(np.asarray(gaps.fill_null(0)))])
    both = (
        (NumberDomain(NUMBER, pa.int64(), 1, most), np.diff(starts)),
        (NumberDomain(SPAN, clock.gap_type, 0, longest), np.diff(course[starts])),
    )
    for domain, values in both:
        cells = pa.chunked_array([pa.array(values, domain.data_type)])
        persons = persons._replace(
            table=persons.table.append_column(domain.name, cells),
            domains={**persons.domains, domain.name: domain},
        )
    return VisitParts(persons, Part.of(each, put_gaps(table, visits.time, gaps), owners), clock)


def measure_visits(
    parts: VisitParts,
    schema: Schema,
    *,
    rows: int,
    multiplier: float,
    config: EncodeConfig,
    rng: np.random.Generator,
) -> MadeUp:
    """Measure every column by itself, and make up patients that say the same.

    Parameters
    ----------
    parts : VisitParts
        The columns and their records.
    schema : Schema
        All of them.
    rows : int
        Patients to make up, in public.
    multiplier : float
        Noise multiplier of all of this together.
    config : EncodeConfig
        Limits of the encoders.
    rng : Generator
        Makes up what was not measured.

    Raises
    ------
    SynthehrError
        If the noise leaves nothing of any column.
    """
    once, each = (
        measure(
            part.table,
            part.domains,
            part.owners,
            rows=rows,
            # The noise of every count is that of one mechanism for both.
            multiplier=multiplier * math.sqrt(parts.questions / part.questions),
            rng=rng,
            with_numbers=False,
        )
        for part in (parts.once, parts.each)
    )
    time, patient = schema.time, schema.patient
    assert time is not None and patient is not None
    starts, spans = _courses(once.table, rng)
    dealt = each.table.take(pa.array(_dealt(each.table[time], starts, rng)))
    dealt = put_gaps(dealt, time, _stretched(dealt[time], starts, spans))
    gaps = np.asarray(dealt[time].combine_chunks().fill_null(0), np.float64)
    mean_gap = max(gaps.sum() / max(len(gaps) - rows, 1), 1e-9)
    static = encoder_of(once.table, None, parts.once.schema, parts.once.table.schema, config)
    begins = beginnings(static, once.table[time], time)
    knots = elapsed_knots(gaps, begins, starts, config.rare_patients) / mean_gap
    encoder = SequenceEncoder(
        tuple(column.name for column in schema.kept),
        patient,
        time,
        parts.clock,
        static,
        encoder_of(each.table, None, parts.each.schema, parts.each.table.schema, config),
        knots.astype(np.float32),
        mean_gap,
        float(starts[-1] / rows),
    )
    codes = encoder.static.encode(once.table), encoder.visits.encode(dealt), starts
    entries = (
        replace(
            once.entry,
            what=f"one-way marginals of {parts.once_columns} columns that patients have "
            "once, numbers and spans of visits",
        ),
        replace(each.entry, what=f"{each.entry.what} of visits"),
    )
    return MadeUp(encoder, Sequences.of(SequenceCodes(*codes)), entries)


def _courses(
    table: pa.Table, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Make up how many visits patients have and for how long: who has more, has them longer."""
    numbers = np.sort(np.asarray(table[NUMBER].combine_chunks().fill_null(1)))
    spans = np.sort(np.asarray(table[SPAN].combine_chunks().fill_null(0)).astype(np.float64))
    order = rng.permutation(len(numbers))
    return np.concatenate([[0], np.cumsum(numbers[order])]), spans[order]


def _stretched(
    gaps: pa.ChunkedArray, starts: NDArray[np.int64], spans: NDArray[np.float64]
) -> pa.Array:
    """Stretch the gaps between each patient's visits until they add up to a span."""
    cells = gaps.combine_chunks()
    lengths = np.asarray(cells.fill_null(0)).astype(np.float64)
    sums = np.add.reduceat(lengths, starts[:-1])
    lengths *= np.repeat(spans / np.maximum(sums, 1e-9), np.diff(starts))
    if pa.types.is_integer(cells.type):
        lengths = np.rint(lengths).astype(np.int64)
    return pa.array(lengths, cells.type, mask=~np.asarray(cells.is_valid()))


def _dealt(
    gaps: pa.ChunkedArray, starts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal made-up visits out to patients, those without a gap as first ones; (V,)."""
    has_gap = gaps.is_valid().to_numpy().astype(bool)
    first, later = np.flatnonzero(~has_gap), np.flatnonzero(has_gap)
    if not len(first) or not len(later):
        raise InputError(
            "the noise leaves nothing of the time between visits",
            hint="allow a larger ε, or give more patients",
        )
    dealt = later[rng.integers(len(later), size=starts[-1])]
    dealt[starts[:-1]] = first[rng.integers(len(first), size=len(starts) - 1)]
    return dealt
