"""Tables with holes: which cells are to be filled, and what is known of the others.

A hole is a null, or a number that is none. Every other cell comes back as it was, bit by bit,
whatever the model makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.encode.axis import combined, encoded, has_axis, to_axis, value_type
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConditionError, InputError
from synthehr.kernels import compute
from synthehr.models.base import OPEN
from synthehr.modes.constraints import NO_RULES, Rules
from synthehr.modes.rule_checks import demanded_nulls
from synthehr.schema.column import nearest, shown

if TYPE_CHECKING:
    from synthehr.encode.categorical import CategoricalColumn
    from synthehr.encode.table import TableEncoder


@dataclass(frozen=True)
class Holes:
    """A table, and which of its cells are to be filled.

    Attributes
    ----------
    table : Table
        As it was given.
    filled : mapping from name to ndarray of shape (N,), bool
        The holes of each column that is to be filled and has some.
    warnings : tuple of str
        What was left as it is, and why; no values.
    """

    table: pa.Table
    filled: Mapping[str, NDArray[np.bool_]]
    warnings: tuple[str, ...] = ()

    @property
    def cells(self) -> int:
        """Number of cells to be filled."""
        return int(sum(mask.sum() for mask in self.filled.values()))


def find_holes(
    table: pa.Table,
    encoder: TableEncoder,
    columns: Sequence[str] | None = None,
    keep_null: Sequence[str] = (),
    rules: Rules = NO_RULES,
) -> Holes:
    """Find the cells of a table that are to be filled.

    Parameters
    ----------
    table : Table
        The records; it may lack columns of the model, and have others, which stay as they are.
    encoder : TableEncoder
        Of the fitted model.
    columns : sequence of str, optional
        The columns to be filled; by default all that the model knows.
    keep_null : sequence of str
        Columns whose nulls mean something, and stay.
    rules : Rules
        Nulls that a rule demands stay, too.

    Raises
    ------
    SynthehrError
        A column is not known, cannot be read as what was fitted, or none is left to be filled.
    """
    _check_names(table, encoder, (*(columns or ()), *keep_null))
    table = _with_types(table, encoder).unify_dictionaries()
    warnings = []
    filled: dict[str, NDArray[np.bool_]] = {}
    demanded = demanded_nulls(rules.about(table.column_names), table)
    for name in table.column_names:
        if name not in encoder.plan:
            continue
        if name not in encoder.modelled:
            if combined(table[name]).null_count:
                warnings.append(f"column {shown(name)} is not modelled, so its nulls stay")
            continue
        mask = _is_hole(cells_of(table, encoder, name))
        if name in demanded:
            mask &= ~demanded[name]
        if (columns is None or name in columns) and name not in keep_null and mask.any():
            filled[name] = mask
    ours = {*encoder.plan, *rules.computed}
    others = [name for name in table.column_names if name not in ours]
    if others:
        listed = ", ".join(shown(name) for name in others[:5])
        warnings.append(f"{len(others)} columns are not the model's, and stay: {listed}")
    return Holes(table, filled, (*warnings, *_unknown_levels(table, encoder)))


def known_codes(holes: Holes, encoder: TableEncoder, start: int, stop: int) -> Tensor:
    """Encode what is known of some records; (stop - start, 2, D), int64, else `OPEN`.

    A null that stays is known to be one where the model has learned nulls. A level that it has
    not learned says nothing.
    """
    part = holes.table.slice(start, stop - start)
    codes = np.full((part.num_rows, 2, len(encoder.modelled)), OPEN, dtype=np.int64)
    for place, (name, column) in enumerate(zip(encoder.modelled, encoder.columns, strict=True)):
        if name not in part.column_names:
            continue
        cells = cells_of(part, encoder, name)
        known = ~_is_hole(cells)
        if column.field.null is not None:
            known |= True if name not in holes.filled else ~holes.filled[name][start:stop]
        known &= ~_is_unknown(cells, column)
        tokens, parts = column.encode(cells)
        codes[known, 0, place] = tokens[known]
        codes[known, 1, place] = parts[known]
    return torch.from_numpy(codes)


def put_in(cells: pa.ChunkedArray, mask: NDArray[np.bool_], drawn: pa.Array) -> pa.Array:
    """Put drawn cells where the mask says, in the type that the column has.

    Parameters
    ----------
    cells : ChunkedArray of N cells
        The column.
    mask : ndarray of shape (N,), bool
        Its holes.
    drawn : Array of N cells
        In the type that was fitted.
    """
    wanted = value_type(cells.type)
    values = combined(drawn)
    if values.type != wanted:
        if pa.types.is_floating(values.type) and not pa.types.is_floating(wanted):
            values = compute.round(values)
        values = values.cast(wanted, safe=False)
    if not pa.types.is_dictionary(cells.type):
        return compute.if_else(pa.array(mask), values, combined(cells))
    whole = encoded(cells)
    new = compute.unique(values.filter(pa.array(mask))).drop_null()
    new = new.filter(compute.invert(compute.is_in(new, value_set=whole.dictionary)))
    levels = pa.concat_arrays([whole.dictionary, new])
    places = compute.index_in(values, value_set=levels).cast(whole.indices.type)
    merged = compute.if_else(pa.array(mask), places, whole.indices)
    return pa.DictionaryArray.from_arrays(merged, levels, ordered=cells.type.ordered)


def cells_of(table: pa.Table, encoder: TableEncoder, name: str) -> pa.Array:
    """Give a column the type that was fitted.

    Raises
    ------
    InputError
        It cannot have it.
    """
    wanted = value_type(encoder.plan[name].data_type)
    cells = combined(table[name])
    if cells.type == wanted:
        return cells
    try:
        if pa.types.is_floating(cells.type):
            # A table that gained holes in pandas has floats where it had whole numbers.
            cells = compute.if_else(compute.is_finite(cells), cells, None)
        return cells.cast(wanted)
    except pa.ArrowException:
        raise InputError(
            f"column {shown(name)} has type {cells.type} and was fitted as {wanted}",
            hint="give it the type that the fitted table has",
        ) from None


def _with_types(table: pa.Table, encoder: TableEncoder) -> pa.Table:
    """Give columns that are null throughout, and so have no type, the fitted one."""
    for place, field in enumerate(table.schema):
        if pa.types.is_null(field.type) and field.name in encoder.modelled:
            wanted = encoder.plan[field.name].data_type
            table = table.set_column(place, field.name, pa.nulls(table.num_rows, wanted))
    return table


def _is_hole(cells: pa.Array) -> NDArray[np.bool_]:
    if has_axis(cells.type):
        return ~to_axis(cells, "").valid
    return cells.is_null().to_numpy(zero_copy_only=False)


def _is_unknown(cells: pa.Array, column: NumericColumn | CategoricalColumn) -> NDArray[np.bool_]:
    """Say which cells hold a level that was not learned, where none was pooled; (N,)."""
    if isinstance(column, NumericColumn) or column.rare is not None or column.is_ordinal:
        return np.zeros(len(cells), dtype=bool)
    return ~compute.is_in(cells, value_set=column.kept_values(), skip_nulls=False).to_numpy(
        zero_copy_only=False
    ) & cells.is_valid().to_numpy(zero_copy_only=False)


def _unknown_levels(table: pa.Table, encoder: TableEncoder) -> list[str]:
    found = []
    for name, column in zip(encoder.modelled, encoder.columns, strict=True):
        if name in table.column_names:
            unknown = int(_is_unknown(cells_of(table, encoder, name), column).sum())
            if unknown:
                found.append(
                    f"{unknown:,} cells of column {shown(name)} hold levels that were not "
                    "learned; they stay, and nothing is concluded from them"
                )
    return found


def _check_names(table: pa.Table, encoder: TableEncoder, named: Sequence[str]) -> None:
    for name in named:
        if name not in table.column_names:
            raise ConditionError(
                f"the table has no column {shown(name)}",
                hint=nearest(name, tuple(table.column_names)),
            )
        if name not in encoder.modelled:
            raise ConditionError(
                f"column {shown(name)} is not modelled, so nothing is known of its cells",
                hint=nearest(name, encoder.modelled),
            )
    if not any(name in encoder.modelled for name in table.column_names):
        raise InputError(
            "the table has none of the columns that were fitted",
            hint="the first of them are " + ", ".join(shown(name) for name in encoder.modelled[:5]),
        )
