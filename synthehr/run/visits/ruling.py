"""Rules on drawn patients: values are drawn anew within their parts, then whole patients.

What ends a patient's visits (a last one, a date that none may pass) cuts off what was drawn
after it: visits are drawn one after the other, so that those before are as if nothing more had
been drawn. Other rules are kept as in `synthehr.run.ruling`, visit by visit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import SequenceArtifact
from synthehr.encode.climbs import earlier, replaced
from synthehr.encode.layout import Interval
from synthehr.encode.sequence import SequenceCodes, SequenceEncoder
from synthehr.errors import ConditionError
from synthehr.modes.constraints import Order, Rule, Rules
from synthehr.modes.rule_checks import all_hold, any_broken, broken
from synthehr.modes.rules_over_time import Last, Monotone
from synthehr.run.ruling import Repairs, finished, first_lawful
from synthehr.schema.column import shown
from synthehr.schema.table import Schema

VALUES_AGAIN = (12, 120)
"""Values that are drawn anew within a visit's parts, the first lawful ones of which count."""
MOST_VALUES = 30_000
"""... but no more than so many at a time, beyond the first of these numbers."""
PATIENTS_AGAIN = 2
"""Patients that are drawn anew for one that breaks a rule."""
MOST_ROUNDS = 40
"""How often patients are drawn anew."""
PATIENCE = 3072
"""... and how many are drawn, if none has kept the rules yet."""

Starts = NDArray[np.int64]


class LawfulPatients(NamedTuple):
    """Decoded patients, made as lawful as they can be.

    Attributes
    ----------
    table : Table
        Their visits.
    starts : ndarray of shape (P + 1,)
        Where each patient's begin.
    """

    table: pa.Table
    starts: Starts


@dataclass(frozen=True)
class VisitLaw:
    """The rules of a fit of visits, sorted by how they are kept.

    Attributes
    ----------
    rules : Rules
    schema : Schema
        Of the fitted visits, with the columns that are computed.
    encoder : SequenceEncoder
    """

    rules: Rules
    schema: Schema
    encoder: SequenceEncoder

    @classmethod
    def of(cls, artifact: SequenceArtifact) -> VisitLaw:
        """Take the rules of a model file."""
        return cls(artifact.rules, artifact.schema, artifact.encoder)

    @cached_property
    def limits(self) -> tuple[Order, ...]:
        """Pairs of the time and a column that patients have once, which no visit may pass."""
        return tuple(body for body in _pairs(self.rules) if self._is_limit(body))

    @cached_property
    def within(self) -> Rules:
        """What a visit keeps by itself."""
        kept = [
            rule for rule in self.rules.rules if not isinstance(rule.body, Order | Last | Monotone)
        ]
        pairs = [Rule("", body) for body in _pairs(self.rules) if not self._is_limit(body)]
        return Rules((*kept, *pairs))

    @cached_property
    def once(self) -> Rules:
        """What binds the columns that patients have once, and the first time."""
        return self.rules.narrowed({*self.encoder.static.plan} - {*self.encoder.climbs})

    def _is_limit(self, body: Order) -> bool:
        encoder = self.encoder
        first, second = body.columns
        return first == encoder.time and second in {*encoder.static.plan} - {*encoder.climbs}

    def decoded(
        self,
        codes: SequenceCodes,
        rng: np.random.Generator,
        once: Callable[[NDArray[np.int64]], pa.Table],
        count: Repairs,
    ) -> LawfulPatients:
        """Decode patients, as lawful as they can be made.

        Parameters
        ----------
        codes : SequenceCodes
        rng : Generator
            Draws the places within parts.
        once : callable
            Decodes what the patients at these places of the codes have once.
        count : Repairs
            Counts what is done.
        """
        static = self._settled(once, len(codes.static))
        steps = self.encoder.visits.decode(codes.visits, rng)
        whole = self.encoder.assembled(static, steps, codes.starts)
        table = finished(self.rules, self.schema, whole)
        return self._cut(self._repaired(table, codes.visits, rng, count), codes.starts)

    def _settled(self, once: Callable[[NDArray[np.int64]], pa.Table], n: int) -> pa.Table:
        """Draw what patients have once anew within its parts where it breaks a rule."""
        static = once(np.arange(n))
        for each in VALUES_AGAIN:
            checked = finished(self.once, self.schema, static)
            wrong = np.flatnonzero(any_broken(self.once, checked))
            if not len(wrong):
                break
            rows = _again(wrong, each)
            drawn = once(rows)
            lawful = ~any_broken(self.once, finished(self.once, self.schema, drawn))
            static, _ = first_lawful(static, drawn, rows, lawful)
        return static

    def _repaired(
        self, table: pa.Table, codes: NDArray[np.integer], rng: np.random.Generator, count: Repairs
    ) -> pa.Table:
        """Draw values of visits anew within their parts where they break a rule."""
        encoder = self.encoder.visits
        spoken = {name for rule in self.within.rules for name in rule.body.columns}
        part = table.select([name for name in table.column_names if name in spoken])
        free = spoken & {*encoder.modelled} - {self.encoder.time, *self.encoder.climbs}
        for again, each in enumerate(VALUES_AGAIN):
            wrong = np.flatnonzero(any_broken(self.within, part))
            count.values += len(wrong) if not again else 0
            if not len(wrong) or not free:
                break
            rows = _again(wrong, each)
            fresh = {
                field.column: column.decode(codes[rows, 0, place], codes[rows, 1, place], rng)
                for place, (field, column) in enumerate(
                    zip(encoder.fields, encoder.columns, strict=True)
                )
                if field.column in free
            }
            drawn = replaced(part.take(pa.array(rows)), fresh)
            drawn = finished(self.within, self.schema, drawn)
            part, _ = first_lawful(part, drawn, rows, ~any_broken(self.within, drawn))
        return replaced(table, {name: part[name] for name in part.column_names})

    def _cut(self, table: pa.Table, starts: Starts) -> LawfulPatients:
        """End each patient's visits where they must end; one visit stays in any case."""
        gone = np.full(table.num_rows, False)
        for body in self.limits:
            wrong = broken(body, table)
            gone |= wrong | earlier(wrong, starts)
        for rule in self.rules.rules:
            if isinstance(rule.body, Last):
                gone |= earlier(all_hold(rule.body.when, table), starts)
        gone[starts[:-1]] = False
        counts = np.add.reduceat(~gone, starts[:-1])
        return LawfulPatients(table.filter(pa.array(~gone)), np.r_[0, np.cumsum(counts)])

    def wrong(self, drawn: LawfulPatients) -> NDArray[np.bool_]:
        """Say which patients break a rule; (P,)."""
        found = any_broken(self.rules, drawn.table, drawn.starts)
        return np.logical_or.reduceat(found, drawn.starts[:-1])


def ruled_patients(
    law: VisitLaw,
    n: int,
    draw: Callable[[NDArray[np.int64]], SequenceCodes],
    numbers: np.random.Generator,
    *,
    bounds: Mapping[str, tuple[Interval, ...]] | None,
    first: int,
    count: Repairs,
) -> LawfulPatients:
    """Draw patients that keep all rules.

    Parameters
    ----------
    law : VisitLaw
    n : int
        How many.
    draw : callable
        Draws codes of the patients at these places.
    numbers : Generator
        Draws the places within parts.
    bounds, first
        As of `synthehr.encode.sequence.SequenceEncoder.decode`.
    count : Repairs
        Counts visits of which values were drawn anew, and patients drawn anew.

    Raises
    ------
    ConditionError
        If patients that keep all rules are not found.
    """
    encoder = law.encoder.static
    named: pa.Table | None = None
    parts: list[pa.Table] = []
    owners: list[NDArray[np.int64]] = []
    places, tried = np.arange(n), 0
    for again in range(MOST_ROUNDS):
        codes = draw(places)
        tried += len(places)
        if named is None:
            whole = encoder.decode(codes.static, numbers, bounds=bounds, first=first)
            named = whole.select([x for x in whole.column_names if x not in encoder.modelled])
        assert named is not None
        once = _once(law, codes, numbers, bounds, named.take(pa.array(places)))
        drawn = law.decoded(codes, numbers, once, count)
        is_wrong = law.wrong(drawn)
        lawful = np.flatnonzero(~is_wrong)
        settled, at = np.unique(places[lawful], return_index=True)
        taken = np.isin(np.arange(len(places)), lawful[at])
        lengths = np.diff(drawn.starts)
        parts.append(drawn.table.filter(pa.array(np.repeat(taken, lengths))))
        owners.append(np.repeat(places[taken], lengths[taken]))
        left = np.setdiff1d(places, settled)
        if not len(left):
            break
        if again == MOST_ROUNDS - 1 or (tried >= PATIENCE and len(left) == n):
            raise _infeasible(law, drawn)
        count.records += len(left)
        places = np.repeat(left, PATIENTS_AGAIN)
    whose = np.concatenate(owners)
    order = np.argsort(whose, kind="stable")
    table = pa.concat_tables(parts).unify_dictionaries().take(pa.array(order))
    return LawfulPatients(table, np.r_[0, np.cumsum(np.bincount(whose, minlength=n))])


def _once(
    law: VisitLaw,
    codes: SequenceCodes,
    numbers: np.random.Generator,
    bounds: Mapping[str, tuple[Interval, ...]] | None,
    named: pa.Table,
) -> Callable[[NDArray[np.int64]], pa.Table]:
    """Decode what patients have once; who they are stays as it was."""

    def decode(rows: NDArray[np.int64]) -> pa.Table:
        table = law.encoder.static.decode(codes.static[rows], numbers, bounds=bounds)
        kept = {name: named[name].take(pa.array(rows)) for name in named.column_names}
        return replaced(table, kept)

    return decode


def _again(wrong: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    return np.repeat(wrong, min(each, max(VALUES_AGAIN[0], MOST_VALUES // len(wrong))))


def _pairs(rules: Rules) -> list[Order]:
    """Give what orders say of two columns each."""
    return [
        replace(rule.body, columns=pair)
        for rule in rules.rules
        if isinstance(rule.body, Order)
        for pair in combinations(rule.body.columns, 2)
    ]


def _infeasible(law: VisitLaw, drawn: LawfulPatients) -> ConditionError:
    """Name the rules that patients still break."""
    names = [
        shown(rule.name)
        for rule in law.rules.rules
        if broken(rule.body, drawn.table, drawn.starts).any()
    ]
    return ConditionError(
        f"no patients were found who keep the rules together: {'; '.join(names)}",
        hint="leave one of them out, or see with `synthehr rules check` whether real visits do",
    )
