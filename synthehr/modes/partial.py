"""Partial records: what is given in them is kept, what is null or absent is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from synthehr.arrow_types import arrow_type
from synthehr.encode.axis import combined
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConditionError
from synthehr.kernels import compute
from synthehr.models.base import OPEN
from synthehr.schema.column import nearest, shown

if TYPE_CHECKING:
    from synthehr.encode.table import TableEncoder
    from synthehr.schema.table import Schema


def partial_rows(given: Any, schema: Schema) -> pa.Table:
    """Read partial records and give their columns the fitted types.

    Raises
    ------
    ConditionError
        If a column is unknown or its values cannot have the fitted type.
    """
    from synthehr.io import read

    table = read(given).table
    columns = {}
    for name in table.column_names:
        if name not in schema or schema[name].role == "drop":
            raise ConditionError(
                f"the partial records have a column {shown(name)} that the model does not",
                hint=nearest(name, schema.names),
            )
        wanted = arrow_type(schema[name].arrow_type)
        try:
            columns[name] = _as_type(combined(table[name]), wanted)
        except pa.ArrowException:
            raise ConditionError(
                f"column {shown(name)} of the partial records cannot be read as {wanted}",
                hint="give it the type that the fitted table has",
            ) from None
    return pa.table(columns)


def partial_codes(rows: pa.Table, encoder: TableEncoder) -> Tensor:
    """Encode partial records, shape (n, 2, D), int64; OPEN where a cell is null or absent.

    Raises
    ------
    ConditionError
        If a cell holds a level that was not learned, in a column without rare levels.
    """
    codes = np.full((rows.num_rows, 2, len(encoder.modelled)), OPEN, dtype=np.int64)
    for place, (name, column) in enumerate(zip(encoder.modelled, encoder.columns, strict=True)):
        if name not in rows.column_names:
            continue
        cells = combined(rows[name])
        valid = cells.is_valid().to_numpy(zero_copy_only=False)
        if not isinstance(column, NumericColumn) and column.rare is None:
            found = compute.unique(cells.drop_null()).to_pylist()
            unknown = sum(column.token_of(level) is None for level in found)
            if unknown:
                raise ConditionError(
                    f"column {shown(name)} of the partial records has {unknown} levels that "
                    "were not learned",
                    hint="leave those cells null, so that they are drawn",
                )
        tokens, parts = column.encode(cells)
        codes[valid, 0, place] = tokens[valid]
        codes[valid, 1, place] = parts[valid]
    return torch.from_numpy(codes)


def keep_given(drawn: pa.Table, rows: pa.Table) -> pa.Table:
    """Put the given cells of partial records back as they were."""
    for name in rows.column_names:
        place = drawn.column_names.index(name)
        field = drawn.schema.field(place)
        cells = compute.coalesce(combined(rows[name]), combined(drawn[name]))
        drawn = drawn.set_column(place, field, _as_type(cells, field.type))
    return drawn


def _as_type(cells: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(wanted):
        return cells.cast(wanted.value_type).dictionary_encode().cast(wanted)
    return cells.cast(wanted)
