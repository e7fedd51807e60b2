"""Filling the holes of visits, given what is known before and after them.

Block b of draw m has random numbers of its own, made from the seed, m and b.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from synthehr.artifact import SequenceArtifact
from synthehr.encode.sequence import SequenceEncoder
from synthehr.errors import ConfigError
from synthehr.io import as_shape, shape_of
from synthehr.io.visits import folded
from synthehr.models.sequence_base import Sequences
from synthehr.modes.holes import Holes, find_holes, known_codes, put_in
from synthehr.modes.point import point_estimates
from synthehr.run.ruling import with_computed
from synthehr.run.visits.given import given_visits, random_of, some_patients
from synthehr.seeds import IMPUTATION, generator
from synthehr.train.runtime import find_runtime

BLOCK = 256
"""Patients of a block."""


def imputed_visits(
    artifact: SequenceArtifact,
    data: Any,
    draws: int,
    columns: Sequence[str] | None,
    keep_null: Sequence[str],
    seed: int,
) -> Any:
    """Fill the nulls of visits; every other cell comes back as it was, sorted by patient and time.

    Cells of one visit are drawn together. Those of different visits are each drawn given all
    that is known of the patient, before and after. Null itself is never drawn.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    data : path or table, two of them, a folder, or a VisitTable
        The visits, fitted or not.
    draws : int
        How many completed tables; 0 for point estimates (means, and likeliest levels).
    columns : sequence of str or None
        The columns to be filled; None for all that visits have.
    keep_null : sequence of str
        Columns whose nulls mean something, and stay.
    seed : int
        Equal seeds give equal cells.

    Returns
    -------
    table, or list of tables where `draws` is 2 or more
        Of the type of `data`; a pandas DataFrame after a path.

    Raises
    ------
    SynthehrError
        A column cannot be read as what was fitted, or the model cannot fill holes.
    """
    if draws < 0:
        raise ConfigError("--draws must be 0 or more", hint="0 gives point estimates")
    given = given_visits(artifact, data)
    table, encoder = given.visits.table, artifact.encoder
    holes = visit_holes(encoder, table, given.visits.offsets(), columns, keep_null)
    codes = known_codes(holes, encoder.visits, 0, table.num_rows)
    # The gap before a first visit is null, and known to be.
    gap = encoder.fields.gap
    codes[:, :, gap] = given.codes.visits[:, :, gap].long()
    known = Sequences(given.codes.static, codes, given.codes.starts)
    shape = shape_of(data[-1] if isinstance(data, list | tuple) else data)
    rules = artifact.rules.about(table.column_names)
    filled = []
    for draw in range(max(draws, 1)):
        path = (seed, IMPUTATION, draw)
        cells = _filled(artifact, table, holes, known, path, point=draws == 0)
        whole = folded(with_computed(rules, cells), given.visits.details)
        filled.append(as_shape(whole, shape, given.visits.pandas_types))
    return filled if draws > 1 else filled[0]


def visit_holes(
    encoder: SequenceEncoder,
    table: pa.Table,
    starts: Any,
    columns: Sequence[str] | None = None,
    keep_null: Sequence[str] = (),
) -> Holes:
    """Find the cells of visits that are to be filled; parameters as of `imputed_visits`.

    A column that climbs is left as it is: a step says nothing of what is known after it.
    """
    visits = encoder.with_steps(table, starts)
    visits = visits.select([name for name in visits.column_names if name in encoder.visits.plan])
    return find_holes(visits, encoder.visits, columns, (encoder.time, *encoder.climbs, *keep_null))


def _filled(
    artifact: SequenceArtifact,
    table: pa.Table,
    holes: Holes,
    known: Sequences,
    path: tuple[int, ...],
    *,
    point: bool,
) -> pa.Table:
    """Fill all holes once."""
    encoder = artifact.encoder.visits
    draw = _estimates if point else _drawn
    runtime = find_runtime("cpu")
    with runtime.autocast(runtime.precision("auto")):
        blocks = [
            draw(artifact, some_patients(known, start, min(start + BLOCK, len(known))), stream)
            for stream, start in _streams(path, len(known))
        ]
    for place, name in enumerate(encoder.modelled):
        if name in holes.filled:
            cells = pa.concat_arrays([block[place] for block in blocks])
            at = table.column_names.index(name)
            merged = put_in(table[name], holes.filled[name], cells)
            table = table.set_column(at, table.schema.field(at), merged)
    return table


def _streams(path: tuple[int, ...], patients: int) -> Iterator[tuple[tuple[int, ...], int]]:
    for block, start in enumerate(range(0, patients, BLOCK)):
        yield (*path, block), start


def _drawn(artifact: SequenceArtifact, known: Sequences, path: tuple[int, ...]) -> list[pa.Array]:
    drawn = artifact.model.complete(known, _nulls(artifact), random_of(*path)).numpy()
    return [
        column.decode(drawn[:, 0, place], drawn[:, 1, place], generator(*path, place))
        for place, column in enumerate(artifact.encoder.visits.columns)
    ]


def _estimates(
    artifact: SequenceArtifact, known: Sequences, path: tuple[int, ...]
) -> list[pa.Array]:
    chances = artifact.model.token_chances(known, _nulls(artifact), random_of(*path))
    columns = artifact.encoder.visits.columns
    return [
        point_estimates(column, np.asarray(chance.float()))
        for column, chance in zip(columns, chances, strict=True)
    ]


def _nulls(artifact: SequenceArtifact) -> dict[int, torch.Tensor]:
    """Bar null in every column: what is missing has a value, though nobody saw it."""
    return {
        place: torch.arange(field.size) == field.null
        for place, field in enumerate(artifact.encoder.fields.visits)
        if field.null is not None and place != artifact.encoder.fields.gap
    }
