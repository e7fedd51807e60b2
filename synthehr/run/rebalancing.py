"""Adding synthetic records of rare classes to a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import Artifact
from synthehr.encode.axis import combined
from synthehr.encode.identifier import IdColumn, Rows
from synthehr.encode.table import TableEncoder
from synthehr.errors import ConfigError
from synthehr.kernels import compute
from synthehr.modes.classes import RATIO, classes_of, refuse_few, to_add
from synthehr.modes.given import wished
from synthehr.modes.holes import put_in
from synthehr.modes.prior import PriorCorrection
from synthehr.run.anchors import Anchors, settled_keep
from synthehr.run.copies import CopyGuard
from synthehr.run.drawing import draw
from synthehr.schema.column import shown
from synthehr.seeds import REBALANCING, derived, generator
from synthehr.split import patients_of

MARK = "synthetic"
"""The column that says which records were added."""
ROUNDS = 5
"""How often copies are drawn anew before they are left out."""


@dataclass(frozen=True)
class Rebalanced:
    """A table with records added to its rare classes.

    Attributes
    ----------
    table : Table of N + M rows
        The given records as they were, then the added ones, with a column ``synthetic``.
    weights : ndarray of shape (N + M,)
        By which the classes weigh as much as they did in the given records.
    prior : PriorCorrection
        Restores probabilities; its classes are in the order of `levels`.
    levels : Table of K rows
        The levels of the targets in each class.
    added : ndarray of shape (K,), int64
        How many records each class got.
    redrawn, left_out : int
        Drawn records that were copies of a real one: those drawn anew, and those given up.
    """

    table: pa.Table
    weights: NDArray[np.float64]
    prior: PriorCorrection
    levels: pa.Table
    added: NDArray[np.int64]
    redrawn: int
    left_out: int


def rebalance(
    artifact: Artifact,
    table: pa.Table,
    targets: str | Sequence[str],
    to: float | Mapping[str, float] = RATIO,
    *,
    seed: int,
    allow_few: bool = False,
    keep: float | None = None,
) -> Rebalanced:
    """Add records of rare classes, drawn under the condition that they are in the class.

    Each is drawn around a real record of its class, some cells of which stay. Where a column
    names the patient, whole patients are added, with identifiers that nobody in the table has,
    and records as many as patients have.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    table : Table of N rows
        The records; columns that the model does not know are null in added ones.
    targets : str or sequence of str
        The columns whose levels, together, are the classes.
    to : float, or mapping from the name of a class
        How large classes shall be beside the largest one, see `to_add`.
    seed : int
        Equal seeds give equal records.
    allow_few : bool
        Whether classes of fewer than 20 patients may grow.
    keep : float, optional
        The chance with which a cell of the real record stays, in [0, 1), a number to within
        its part; 0 draws added records from the model alone. By default .5, and 0 under
        differential privacy and of models that cannot draw around known cells.

    Raises
    ------
    SynthehrError
        A column is not there or not modelled, or a class is too small.
    """
    if MARK in table.column_names:
        raise ConfigError(
            f"the table has a column {MARK!r}, which is to mark added records", hint="rename it"
        )
    targets = [targets] if isinstance(targets, str) else targets
    chance = settled_keep(artifact, keep)
    for name in targets:
        artifact.encoder.field_index(name)
    patient = artifact.schema.patient
    owners = patients_of(table, patient if patient in table.column_names else None)
    classes = classes_of(table, targets, owners)
    wanted = to_add(classes, to)
    if not allow_few:
        refuse_few(classes, wanted)
    of_added = np.repeat(np.arange(len(wanted)), wanted)
    guard = CopyGuard.of(table, artifact.encoder, owners)
    anchors = Anchors.of(table, guard.codes, classes, owners, artifact.rules, chance)
    sample = partial(_sampled, artifact, classes.levels)
    drawn, redrawn, copied = _drawn(sample, anchors, guard, of_added, seed)
    of_added = of_added[~copied]
    rows = _as_rows(drawn.filter(pa.array(~copied)), of_added, table, artifact.encoder, seed)
    marks = np.repeat([False, True], [table.num_rows, len(of_added)])
    added = np.bincount(of_added, minlength=len(wanted))
    before = classes.records / classes.records.sum()
    after = (classes.records + added) / (classes.records + added).sum()
    everyone = np.concatenate([classes.of_record, of_added])
    return Rebalanced(
        table=pa.concat_tables([table, rows]).append_column(MARK, pa.array(marks)),
        weights=np.where(everyone < 0, 1.0, (before / after)[everyone]),
        prior=PriorCorrection(before, after),
        levels=classes.levels,
        added=added,
        redrawn=redrawn,
        left_out=int(copied.sum()),
    )


def _drawn(
    sample: Callable[[Anchors, NDArray[np.int64], int], pa.Table],
    anchors: Anchors,
    guard: CopyGuard,
    of_added: NDArray[np.int64],
    seed: int,
) -> tuple[pa.Table, int, NDArray[np.bool_]]:
    """Draw a record for each of M classes; those that copy a real one, anew and around none.

    Returns
    -------
    drawn : Table of M rows
    redrawn : int
        Records that were drawn anew.
    copied : ndarray of shape (M,), bool
        Records that copy a real one to the last.
    """
    drawn = sample(anchors, of_added, seed)
    copied = guard.copies(drawn)
    redrawn, nobody = 0, replace(anchors, keep=0.0)
    for attempt in range(ROUNDS):
        places = np.flatnonzero(copied)
        if not len(places):
            break
        redrawn += len(places)
        anew = sample(nobody, of_added[places], derived(seed, REBALANCING, attempt))
        order = np.arange(len(of_added))
        order[places] = len(of_added) + np.arange(len(places))
        drawn = pa.concat_tables([drawn, anew]).take(order)
        copied[places] = guard.copies(anew)
    return drawn, redrawn, copied


def _sampled(
    artifact: Artifact, levels: pa.Table, anchors: Anchors, of_added: NDArray[np.int64], seed: int
) -> pa.Table:
    """Draw a record of each of these classes, around real ones."""
    if not len(of_added):
        empty = np.zeros((0, 2, len(artifact.encoder.fields)), dtype=np.int16)
        return artifact.encoder.decode(empty, np.random.default_rng(0))
    wish = wished(artifact, None, levels.take(of_added))
    assert wish.given.codes is not None
    codes = anchors.around(wish.given.codes, of_added, seed)
    wish = replace(wish, given=replace(wish.given, codes=codes))
    return pa.concat_tables(draw(artifact, wish, seed))


def _as_rows(
    drawn: pa.Table,
    of_added: NDArray[np.int64],
    table: pa.Table,
    encoder: TableEncoder,
    seed: int,
) -> pa.Table:
    """Give drawn records the columns of a table, and identifiers that nobody in it has."""
    n, rng = drawn.num_rows, generator(seed, REBALANCING)
    dealt = np.arange(n)
    if encoder.visits is not None:
        # Class by class: a patient who is added is in one class.
        starts = np.flatnonzero(np.diff(of_added, prepend=-1))
        sizes = np.diff(np.append(starts, n)).tolist()
        parts = [encoder.visits.draw(size, rng) for size in sizes]
        dealt = np.concatenate([dealt[:0], *parts]) + np.repeat(starts, sizes)
    for column in encoder.plan.values():
        if isinstance(column, IdColumn) and column.name in table.column_names:
            ids = _fresh(column, table[column.name], dealt, rng)
            drawn = drawn.set_column(drawn.column_names.index(column.name), column.name, ids)
    return _typed(drawn, table)


def _fresh(
    column: IdColumn, real: pa.ChunkedArray, dealt: NDArray[np.int64], rng: np.random.Generator
) -> pa.Array:
    """Make up identifiers that are not in use."""
    n = len(dealt)
    first = len(real)
    for _ in range(ROUNDS):
        rows = Rows(first + 1 + np.arange(n), first + 1 + dealt, rng)
        ids = combined(column.generate(rows))
        if not compute.any(compute.is_in(ids, value_set=combined(real).cast(ids.type))).as_py():
            return column.generate(rows)
        first *= 16
    raise ConfigError(
        f"no identifiers are left for column {shown(column.name)} that are not in use",
        hint="drop the column",
    )


def _typed(drawn: pa.Table, table: pa.Table) -> pa.Table:
    """Give drawn records the columns and types of a table; what was not drawn is null."""
    columns = []
    for field in table.schema:
        if field.name not in drawn.column_names:
            columns.append(pa.nulls(drawn.num_rows, field.type))
            continue
        everyone = np.ones(drawn.num_rows, dtype=bool)
        blank = pa.chunked_array([pa.nulls(drawn.num_rows, field.type)])
        columns.append(put_in(blank, everyone, combined(drawn[field.name])))
    return pa.table(columns, schema=table.schema)
