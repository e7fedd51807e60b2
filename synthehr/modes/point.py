"""Point estimates of missing cells: the mean of a number, the likeliest level.

One figure for a cell says nothing of how sure it is, and a table of such figures varies less
than patients do. Draws are what analyses need; these are for those who must.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import from_axis
from synthehr.encode.categorical import CategoricalColumn
from synthehr.encode.numeric import NumericColumn
from synthehr.errors import ConditionError
from synthehr.schema.column import shown

MIDDLE = 0.5


def point_estimates(
    column: NumericColumn | CategoricalColumn, chances: NDArray[np.floating]
) -> pa.Array:
    """Estimate the cells of a column from the chances of its tokens.

    Parameters
    ----------
    column : NumericColumn or CategoricalColumn
        The column.
    chances : ndarray of shape (n, size)
        Rows sum to 1; null has none.

    Returns
    -------
    Array of n cells
        In the type that was fitted: means on the column's grid, or the likeliest levels. A
        pooled level is none.
    """
    if isinstance(column, NumericColumn):
        values = chances.astype(np.float64) @ token_means(column)
        layout = column.layout
        if layout.grid is not None:
            values = layout.grid.value(layout.grid.index(values))
        elif layout.float_type is None:
            values = np.rint(values)
        return from_axis(values, np.ones(len(values), dtype=bool), column.data_type)
    levels = chances[:, : len(column.levels) + column.first_level].copy()
    tokens = levels.argmax(axis=1)
    return column.decode(tokens, np.zeros_like(tokens), np.random.default_rng(0))


def token_means(column: NumericColumn) -> NDArray[np.float64]:
    """Mean of the values of each token, about: parts count by their middle; (size,)."""
    layout, field = column.layout, column.field
    places = np.arange(layout.n_parts)
    middles = layout.draw(places, np.full(layout.n_parts, MIDDLE)) if layout.n_parts else places
    values = np.concatenate([layout.atoms, middles]).astype(np.float64)
    weights = np.ones(len(values))
    if field.part_shares is not None:
        weights = field.part_shares[column.unit_tokens, column.unit_parts]
    return np.bincount(column.unit_tokens, weights * values, field.size).astype(np.float64)


def levels_of(column: NumericColumn | CategoricalColumn) -> list[Any]:
    """Give the values of a column's tokens, null and a pooled rest left out, in their order.

    Raises
    ------
    ConditionError
        A token stands for many values.
    """
    if isinstance(column, CategoricalColumn):
        return list(column.levels)
    field, n_atoms = column.field, len(column.atoms)
    first = 0 if field.null is None else 1
    if n_atoms < field.size - first:
        raise ConditionError(
            f"column {shown(field.column)} has no levels, but numbers of any size",
            hint="impute it with draws=0 for its mean given all else",
        )
    tokens = np.argsort(column.unit_tokens[:n_atoms])
    values = from_axis(column.atoms[tokens], np.ones(n_atoms, dtype=bool), column.data_type)
    return values.to_pylist()
