"""Filling the holes of a table block by block, as often as is asked for.

Block b of draw m has random numbers of its own, made from the seed, m and b, and a record's
hang on its place in the block: what is drawn for it hangs on no other record's holes, unless
it has to be drawn anew for a rule.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from synthehr.artifact import Artifact
from synthehr.encode.fields import Fields
from synthehr.errors import ConfigError
from synthehr.io import as_shape, read, shape_of
from synthehr.models.base import Legal, Model
from synthehr.modes.constraints import Rules
from synthehr.modes.holes import Holes, find_holes, known_codes, put_in
from synthehr.modes.point import point_estimates
from synthehr.modes.rule_masks import masks_of
from synthehr.run.ruling import refilled, with_computed, with_increments
from synthehr.seeds import IMPUTATION, derived, generator
from synthehr.train.runtime import find_runtime

BLOCK = 1024
"""Records of a block."""
COMPLETIONS = 32
"""Draws by which chances are counted, where the model cannot compute them."""
DRAW = "draw"
"""The column that says which draw a record is of."""


@dataclass
class Draws:
    """How many draws are complete, and in how many records filled cells break a rule still."""

    complete: int = 0
    unlawful: int = 0


class _Stream(NamedTuple):
    """Which block of which draw; `doubtful` where it is one of several."""

    seed: int
    draw: int
    block: int
    doubtful: bool

    @property
    def path(self) -> tuple[int, ...]:
        """Path of the seeds of its random numbers."""
        return self.seed, IMPUTATION, self.draw, self.block

    @property
    def of_model(self) -> int:
        """Number of the draw as the model counts: 0 for its best estimate alone."""
        return self.draw + 1 if self.doubtful else 0


class _Law(NamedTuple):
    """The rules of a fit that speak of a table's columns, and the masks of all."""

    rules: Rules
    legal: Legal | None


def blocks(holes: Holes, draws: int) -> int:
    """Count the blocks that are to be filled."""
    return max(draws, 1) * -(-holes.table.num_rows // BLOCK)


def impute(
    artifact: Artifact,
    holes: Holes,
    seed: int,
    draws: int = 1,
    max_minutes: float | None = None,
    count: Draws | None = None,
) -> Iterator[pa.Table]:
    """Fill the holes of a table, a block at a time.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    holes : Holes
        What is to be filled.
    seed : int
        Equal seeds give equal cells.
    draws : int
        How often all records are filled, each time with a column ``draw`` that counts from 1;
        1 gives one table without it, and 0 one table of point estimates.
    max_minutes : float, optional
        No further draw begins that would end after this.
    count : Draws, optional
        Counts what is done.

    Raises
    ------
    ConfigError
        The model cannot fill holes, or a column that is needed is taken.
    """
    if draws < 0:
        raise ConfigError("--draws must be 0 or more", hint="0 gives point estimates")
    if draws > 1 and DRAW in holes.table.column_names:
        raise ConfigError(
            f"the table has a column {DRAW!r}, which is to say which draw a record is of",
            hint="rename it, or ask for one draw",
        )
    count = Draws() if count is None else count
    rules = artifact.rules
    law = _Law(rules.about(holes.table.column_names), masks_of(rules, artifact.encoder))
    began = time.monotonic()
    for draw in range(max(draws, 1)):
        taken = time.monotonic() - began
        if max_minutes is not None and draw and taken * (draw + 1) / draw > 60 * max_minutes:
            return
        for block, start in enumerate(range(0, holes.table.num_rows, BLOCK)):
            stream = _Stream(seed, draw, block, doubtful=draws > 1)
            table, left = _filled(artifact, law, holes, start, stream, point=draws == 0)
            count.unlawful += left
            if draws > 1:
                numbers = pa.array(np.full(table.num_rows, draw + 1, dtype=np.int32))
                table = table.append_column(DRAW, numbers)
            yield table
        count.complete = draw + 1


def imputed(
    artifact: Artifact,
    data: Any,
    draws: int,
    columns: Sequence[str] | None,
    keep_null: Sequence[str],
    max_minutes: float | None,
    seed: int,
) -> Any:
    """Fill the nulls of a table; every other cell comes back as it was.

    All missing cells of a record are drawn together, given all that are there. Null itself is
    never drawn: what is missing is taken to have a value.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    data : path, or pandas, polars or pyarrow table
        The records, fitted or not.
    draws : int
        How many completed tables: several for analyses that `synthehr.pool` brings together, 0
        for point estimates (means, and likeliest levels), which vary less than patients do.
    columns : sequence of str or None
        The columns to be filled; None for all that the model knows.
    keep_null : sequence of str
        Columns whose nulls mean something, and stay.
    max_minutes : float or None
        No further draw begins that would end after this.
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
    source = read(data)
    holes = find_holes(source.table, artifact.encoder, columns, keep_null, artifact.rules)
    tables = pa.concat_tables(impute(artifact, holes, seed, draws, max_minutes))
    if draws > 1:
        tables = tables.drop_columns([DRAW])
    n, shape = holes.table.num_rows, shape_of(data)
    filled = [
        as_shape(tables.slice(start, n), shape, source.pandas_types)
        for start in range(0, tables.num_rows, n)
    ]
    return filled if draws > 1 else filled[0]


def _filled(
    artifact: Artifact,
    law: _Law,
    holes: Holes,
    start: int,
    stream: _Stream,
    *,
    point: bool,
) -> tuple[pa.Table, int]:
    """Fill one block, with random numbers of its own; count what breaks a rule still."""
    part = holes.table.slice(start, BLOCK)
    masks = {name: mask[start : start + BLOCK] for name, mask in holes.filled.items()}
    masks = {name: mask for name, mask in masks.items() if mask.any()}
    if not masks:
        return with_computed(law.rules, part), 0
    encoder, path = artifact.encoder, stream.path
    known = known_codes(holes, encoder, start, start + part.num_rows)
    # A whole block, so that a record's random numbers hang on its place alone.
    codes = functional.pad(known, (0, 0, 0, 0, 0, BLOCK - len(known)))
    random = torch.Generator().manual_seed(derived(*path))
    if point:
        columns = dict(zip(encoder.modelled, encoder.columns, strict=True))
        found = token_chances(artifact.model, encoder.fields, codes, random)
        chances = dict(zip(encoder.modelled, found, strict=True))
        cells = {name: point_estimates(columns[name], chances[name].numpy()) for name in masks}
        return with_computed(law.rules, _merged(part, masks, cells)), 0

    def again(rows: NDArray[np.int64], nth: int) -> pa.Table:
        chosen = {name: mask[rows] for name, mask in masks.items()}
        other = (*path, len(encoder.columns) + nth)
        some = codes[torch.from_numpy(rows)]
        cells = _drawn(artifact, law, some, chosen, random, other, stream.of_model)
        return _merged(part.take(pa.array(rows)), chosen, cells)

    cells = _drawn(artifact, law, codes, masks, random, path, stream.of_model)
    filled, left = _merged(part, masks, cells), 0
    between = law.rules.kept_while_drawing
    if between.rules:
        filled, left = refilled(between, filled, masks, again)
    return with_computed(law.rules, filled), left


def _drawn(
    artifact: Artifact,
    law: _Law,
    codes: Tensor,
    masks: Mapping[str, NDArray[np.bool_]],
    random: torch.Generator,
    path: tuple[int, ...],
    draw: int,
) -> dict[str, pa.Array]:
    """Draw the cells of the columns that have holes."""
    encoder = artifact.encoder
    with _quick():
        nulls = _nulls(encoder.fields)
        drawn = artifact.model.complete(codes, nulls, random, law.legal, draw).numpy()
    cells = {
        # each column by numbers of its own, whether others have holes here or not
        name: column.decode(drawn[:, 0, place], drawn[:, 1, place], generator(*path, place))
        for place, (name, column) in enumerate(zip(encoder.modelled, encoder.columns, strict=True))
        if name in masks
    }
    return with_increments(law.rules, cells)


def _merged(
    part: pa.Table, masks: Mapping[str, NDArray[np.bool_]], cells: Mapping[str, pa.Array]
) -> pa.Table:
    """Put drawn cells into their holes."""
    for name, mask in masks.items():
        place = part.column_names.index(name)
        merged = put_in(part[name], mask, cells[name].slice(0, part.num_rows))
        part = part.set_column(place, part.schema.field(place), merged)
    return part


def token_chances(
    model: Model, fields: Fields, codes: Tensor, random: torch.Generator
) -> tuple[Tensor, ...]:
    """Say how likely each token but null of each open cell is; D times (n, size).

    By the model, or counted in draws.
    """
    barred = _nulls(fields)
    with _quick():
        found = model.token_chances(codes, barred)
        if found is not None:
            return found
        drawn = [model.complete(codes, barred, random)[:, 0] for _ in range(COMPLETIONS)]
    counted = torch.stack(drawn, 2)
    return tuple(
        functional.one_hot(counted[:, column], field.size).float().mean(1)
        for column, field in enumerate(fields)
    )


def _nulls(fields: Fields) -> dict[int, Tensor]:
    """Bar null in every column: what is missing has a value, though nobody saw it."""
    return {
        place: torch.arange(field.size) == field.null
        for place, field in enumerate(fields)
        if field.null is not None
    }


def _quick() -> AbstractContextManager[object]:
    runtime = find_runtime("cpu")
    return runtime.autocast(runtime.precision("auto"))
