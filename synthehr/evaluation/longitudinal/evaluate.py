"""The one call that measures synthetic visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from synthehr.errors import InputError
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.longitudinal import pictures
from synthehr.evaluation.longitudinal.copies import RUN, copied_runs
from synthehr.evaluation.longitudinal.dynamics import LAGS, autocorrelation
from synthehr.evaluation.longitudinal.effects import effects
from synthehr.evaluation.longitudinal.figures import figures, next_visit
from synthehr.evaluation.longitudinal.names import MEASURED
from synthehr.evaluation.longitudinal.patient_map import patient_map
from synthehr.evaluation.longitudinal.patients import (
    InformedOfPatients,
    Known,
    Patients,
    exposure,
    outcome,
    telling_apart,
)
from synthehr.evaluation.longitudinal.report import VisitEvaluation
from synthehr.evaluation.longitudinal.resampled import resampled
from synthehr.evaluation.longitudinal.results import VisitColumn, VisitResults
from synthehr.evaluation.longitudinal.ruled import RuledPatients, ruled
from synthehr.evaluation.longitudinal.subgroups import subgroups
from synthehr.evaluation.longitudinal.timeline import Timelines, timelines
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.prepare import at_most, left_out
from synthehr.evaluation.task import Found, figure, generator_of
from synthehr.io import read
from synthehr.io.visits import read_visits, spread
from synthehr.modes.constraints import Rules
from synthehr.schema.column import nearest, shown
from synthehr.schema.table import Schema
from synthehr.seeds import settled

FEWEST = 20
"""Patients of each table without whom nothing is measured."""


def evaluate_visits(
    real: Any,
    synthetic: Any,
    *,
    patient: str,
    time: str,
    held_out: Any = None,
    target: str | None = None,
    by: str | Sequence[str] | None = None,
    schema: Schema | None = None,
    rules: Rules | None = None,
    unruled: Mapping[str, Any] | None = None,
    informed: Mapping[str, InformedOfPatients] | None = None,
    seed: int | None = None,
) -> VisitEvaluation:
    """Compare synthetic visits with real ones, every figure beside what real ones score.

    Tables are long: one row a visit, one or more visits a patient, in any order. Columns that
    never change within a real patient count as static. Synthetic visits are compared with
    held-out ones; without them real patients are split, and one half is what synthetic and, for
    the ceiling, the other half are compared with.

    Parameters
    ----------
    real : path or table
        The visits that the synthetic ones were made from.
    synthetic : path or table
        The synthetic visits. At most as many patients are used as stand behind the ceiling.
    patient, time : str
        The columns that say whose visit it is, and when it was: a number or a date.
    held_out : path or table, optional
        Visits of other real patients. Without them attacks are not measurable.
    target : str, optional
        A static column whose prediction from the visits is scored.
    by : str or sequence of str, optional
        Static columns whose levels, or thirds, are groups with figures of their own.
    schema : Schema, optional
        What the columns are: those it drops, ids and free text are not compared.
    rules : Rules, optional
        Rules; who breaks them is counted.
    unruled : mapping, optional
        What a model file says of visits drawn without them.
    informed : mapping of str to callable, optional
        Attacks on membership that know more than the synthetic visits.
    seed : int, optional
        Seed of every split and resample; 0 by default.

    Returns
    -------
    VisitEvaluation

    Raises
    ------
    InputError
        If a table cannot be read or has fewer than 20 patients, the tables do not have the same
        columns, the target or a group column is not static, or held-out patients are real ones.
    ConfigError
        If a rule does not fit the tables.
    """
    clock, chosen = Clock(np.inf), 0 if seed is None else settled(seed)
    counted: tuple[RuledPatients, ...] = ()
    if rules is not None and rules.rules:
        given = read_visits(real, patient=patient, time=time)
        others = [
            None
            if each is None
            else read_visits(each, patient=patient, time=time, known=given.table.column_names)
            for each in (synthetic, held_out)
        ]
        assert others[0] is not None
        counted = ruled(rules, given, others[0], others[1], unruled)
    groups = [by] if isinstance(by, str) else list(by or ())
    tables = _tables(real, synthetic, held_out, patient, chosen, clock)
    lines = _lines(tables, patient, time, schema)
    _check_static(lines, [name for name in (target, *groups) if name is not None])
    patients = _roles(lines, chosen, clock)
    rows = [*figures(patients), *telling_apart(patients), *next_visit(patients)]
    predicted = Found()
    if target is not None:
        predicted = outcome(patients, target, clock)
        rows += effects(patients, target, clock)
    exposed = exposure(
        replace(patients, synthetic=lines.synthetic),
        lines.real,
        lines.held_out,
        clock,
        _known(informed or {}, tables),
    )
    rows += [*predicted.metrics, *exposed.metrics, *_copies(lines, patients)]
    sides = (lines.real, lines.synthetic, lines.held_out)
    results = VisitResults(
        rows=tuple(sorted(rows, key=lambda metric: metric.column is not None)),
        columns=_columns(lines),
        groups=tuple(group for name in groups for group in subgroups(patients, name)),
        membership=exposed.membership,
        calibration=predicted.calibration,
        histograms=pictures.shares_of_times(lines),
        bands=pictures.bands(lines, generator_of(chosen, "pictures")),
        null_map=pictures.null_map(lines),
        patient_map=patient_map(patients),
        rules=counted,
        caps=tuple(clock.caps),
        not_measurable=tuple(clock.not_measurable),
        visits=_counts([0 if line is None else line.rows for line in sides]),
        patients=_counts([0 if line is None else line.n_patients for line in sides]),
        ceiling_from="halves" if lines.held_out is None else "holdout",
        time=time,
        dated=lines.dated,
        target=target,
        seed=chosen,
        seconds=clock.spent,
    )
    return VisitEvaluation(results)


def _tables(
    real: Any, synthetic: Any, held_out: Any, patient: str, seed: int, clock: Clock
) -> dict[str, pa.Table]:
    """Read the tables, and keep a bearable number of patients."""
    tables: dict[str, pa.Table] = {}
    for name, each in (("real", real), ("synthetic", synthetic), ("held-out", held_out)):
        if each is not None:
            known = tables["real"].column_names if tables else None
            tables[name] = spread(read(each), patient, known=known)[0].table
    for k, (name, table) in enumerate(tables.items()):
        if patient not in table.column_names:
            continue
        rows = at_most(table, patient, generator_of(seed, "rows", k))
        clock.cap(f"the {name} table", len(rows), table.num_rows, "visits")
        if len(rows) < table.num_rows:
            tables[name] = table.take(pa.array(rows))
    return tables


def _lines(
    tables: Mapping[str, pa.Table], patient: str, time: str, schema: Schema | None
) -> Timelines:
    """Leave out what is not compared, and bring all to the same numbers."""
    skipped = [] if schema is None else left_out(schema, tables["synthetic"], patient)
    lines = timelines(
        tables["real"],
        tables["synthetic"],
        tables.get("held-out"),
        patient=patient,
        time=time,
        leave_out=[name for name in skipped if name != time],
    )
    for name, line in (("real", lines.real), ("synthetic", lines.synthetic),
                       ("held-out", lines.held_out)):  # fmt: skip
        if line is not None and line.n_patients < FEWEST:
            raise InputError(
                f"the {name} table has {line.n_patients} patients; {FEWEST} are needed",
                hint="give more patients; a column names them, a row is a visit",
            )
    return lines


def _known(
    informed: Mapping[str, InformedOfPatients], tables: Mapping[str, pa.Table]
) -> dict[str, Known]:
    """Ask those who know more about training and held-out patients."""
    if "held-out" not in tables:
        return {}
    found = {}
    for name, scores in informed.items():
        real, held_out = scores(tables["real"]), scores(tables["held-out"])
        if real is not None and held_out is not None:
            found[name] = (real, held_out)
    return found


def _check_static(lines: Timelines, names: list[str]) -> None:
    columns = [column.name for column in lines.columns]
    for name in names:
        if name not in columns:
            raise InputError(
                f"the tables have no column {shown(name)} to compare",
                hint=nearest(name, tuple(columns)),
            )
        if not lines.static[columns.index(name)]:
            raise InputError(
                f"column {shown(name)} changes within real patients",
                hint="give a column that says one thing of a patient, such as an outcome or sex",
            )


def _roles(lines: Timelines, seed: int, clock: Clock) -> Patients:
    """Decide which real patients stand beside the synthetic ones, and which for the ceiling."""
    rng = generator_of(seed, "halves")
    trained, unseen = lines.real, lines.held_out
    if unseen is None:
        order = rng.permutation(lines.real.n_patients)
        half = len(order) // 2
        trained, unseen = lines.real.take(order[:half]), lines.real.take(order[half:])
    n = min(trained.n_patients, lines.synthetic.n_patients)
    clock.cap("figures of visits", n, lines.synthetic.n_patients, "synthetic patients")
    return Patients(
        lines.columns,
        lines.static,
        trained.some(n, rng),
        unseen,
        lines.synthetic.some(n, rng),
        seed,
    )


def _copies(lines: Timelines, patients: Patients) -> tuple[Metric, ...]:
    """Look for runs of training patients; beside it, of held-out ones or the other half."""
    training = lines.real if lines.held_out is not None else patients.trained
    found = copied_runs(lines.synthetic, lines.real, lines.static)
    best = copied_runs(patients.unseen, training, lines.static)
    said = f"{MEASURED['copied_runs'].detail} A run: {RUN} visits that are not all equal."
    return figure("similarity", "copied_runs", found, best.value, "lower", said)


def _columns(lines: Timelines) -> tuple[VisitColumn, ...]:
    sides = [resampled(line) for line in (lines.real, lines.synthetic)]
    found = []
    for j, column in enumerate(lines.columns):
        nulls = [float(np.isnan(side.line.values[:, j]).mean()) for side in sides]
        lags = [
            tuple(float(autocorrelation(side, j, lag)[0]) for lag in LAGS)
            if column.kind != "category"
            else ()
            for side in sides
        ]
        found.append(
            VisitColumn(column.name, column.kind, bool(lines.static[j]), nulls[0], nulls[1], *lags)
        )
    return tuple(found)


def _counts(numbers: list[int]) -> tuple[int, int, int]:
    return numbers[0], numbers[1], numbers[2]
