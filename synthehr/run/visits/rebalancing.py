"""Adding synthetic patients of rare classes, with all their visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from synthehr.artifact import SequenceArtifact
from synthehr.encode.axis import combined
from synthehr.encode.identifier import IdColumn, Rows
from synthehr.errors import ConditionError, ConfigError
from synthehr.io.visits import folded
from synthehr.kernels import compute
from synthehr.modes.classes import RATIO, classes_of, refuse_few, to_add
from synthehr.modes.prior import PriorCorrection
from synthehr.run.rebalancing import MARK, Rebalanced
from synthehr.run.visits.drawing import asked_of_patients, draw_patients
from synthehr.run.visits.given import given_visits
from synthehr.schema.column import nearest, shown
from synthehr.seeds import REBALANCING, generator


def rebalance_patients(
    artifact: SequenceArtifact,
    data: Any,
    targets: str | Sequence[str],
    to: float | Mapping[str, float] = RATIO,
    *,
    seed: int,
    allow_few: bool = False,
) -> Rebalanced:
    """Add whole patients of rare classes, drawn under the condition that they are in the class.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    data : path or table, two of them, a folder, or a VisitTable
        The visits, with the columns that were fitted.
    targets : str or sequence of str
        Columns that patients have once, whose levels, together, are the classes.
    to : float, or mapping from the name of a class
        How large classes shall be beside the largest one, in patients; see `to_add`.
    seed : int
        Equal seeds give equal patients.
    allow_few : bool
        Whether classes of fewer than 20 patients may grow.

    Returns
    -------
    Rebalanced
        Its table has a row a visit, its weights speak of visits, and all numbers of patients.

    Raises
    ------
    SynthehrError
        A column is not there, not one that patients have once, or a class is too small.
    """
    visits = given_visits(artifact, data).visits
    table, encoder = visits.table, artifact.encoder
    if MARK in table.column_names:
        raise ConfigError(
            f"the table has a column {MARK!r}, which is to mark added visits", hint="rename it"
        )
    targets = [targets] if isinstance(targets, str) else list(targets)
    for name in targets:
        if name not in encoder.static.modelled:
            raise ConditionError(
                f"column {shown(name)} is none that patients have once",
                hint=nearest(name, encoder.static.modelled or encoder.names),
            )
    starts = visits.offsets()
    patients = table.select([visits.patient, *targets]).take(pa.array(starts[:-1]))
    classes = classes_of(patients, targets, np.arange(patients.num_rows))
    wanted = to_add(classes, to)
    if not allow_few:
        refuse_few(classes, wanted)
    of_added = np.repeat(np.arange(len(wanted)), wanted)
    drawn, counts = table.slice(0, 0), np.zeros(0, dtype=np.int64)
    if len(of_added):
        wish = asked_of_patients(artifact, None, classes.levels.take(pa.array(of_added)))
        drawn, counts = _named(artifact, draw_patients(artifact, wish, seed), table, seed)
    before = classes.records / classes.records.sum()
    after = (classes.records + wanted) / (classes.records + wanted).sum()
    of_patient = np.concatenate([classes.of_record, of_added])
    everyone = np.repeat(of_patient, np.concatenate([np.diff(starts), counts]))
    marks = np.repeat([False, True], [table.num_rows, drawn.num_rows])
    return Rebalanced(
        table=folded(pa.concat_tables([table, drawn]), visits.details).append_column(
            MARK, pa.array(marks)
        ),
        weights=np.where(everyone < 0, 1.0, (before / after)[everyone]),
        prior=PriorCorrection(before, after),
        levels=classes.levels,
        added=wanted,
        redrawn=0,
        left_out=0,
    )


def _named(
    artifact: SequenceArtifact, blocks: Any, table: pa.Table, seed: int
) -> tuple[pa.Table, Any]:
    """Give drawn visits the columns of a table, and patients whom nobody in it is."""
    drawn = pa.concat_tables(blocks)
    encoder = artifact.encoder
    ids = combined(drawn[encoder.patient]).dictionary_encode()
    owners = ids.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    counts = np.bincount(owners)
    column = encoder.static.plan[encoder.patient]
    assert isinstance(column, IdColumn)
    rng, taken = generator(seed, REBALANCING), combined(table[encoder.patient])
    first = table.num_rows
    while True:
        numbers = first + 1 + np.arange(len(counts))
        fresh = combined(column.generate(Rows(numbers, numbers, rng)))
        if not compute.any(compute.is_in(fresh, value_set=taken.cast(fresh.type))).as_py():
            break
        first *= 2
    place = drawn.column_names.index(encoder.patient)
    drawn = drawn.set_column(place, encoder.patient, fresh.take(pa.array(owners)))
    columns = [
        drawn[field.name].cast(field.type)
        if field.name in drawn.column_names
        else pa.nulls(drawn.num_rows, field.type)
        for field in table.schema
    ]
    return pa.table(columns, schema=table.schema), counts
