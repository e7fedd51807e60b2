"""Coarse cells of a column's tokens: few enough that two columns can be counted together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.fields import Field


def coarse_cells(field: Field, most: int) -> NDArray[np.int64]:
    """Give each token of a column its coarse cell, in ascending numbers from 0.

    Null is a cell of its own. The tokens of an ordered column are merged with their
    neighbours, and levels with levels as rare as they are, until few enough are left; common
    tokens stay alone. Only the field's shares decide, so it costs nothing where these are
    noised.

    Parameters
    ----------
    field : Field
        The column.
    most : int
        Most cells, null not counted.

    Returns
    -------
    ndarray of shape (size,)
    """
    first = 0 if field.null is None else 1
    shares = field.shares[first:]
    order = np.arange(len(shares))
    if field.positions is None:
        order = np.argsort(-shares, kind="stable")
    starts = _merged(shares[order], most)
    cells = np.zeros(field.size, dtype=np.int64)
    cells[first + order] = first + np.cumsum(starts) - 1
    return cells


def _merged(shares: NDArray[np.float64], most: int) -> NDArray[np.bool_]:
    """Merge the two neighbours that hold least together, until few enough are left; (n,).

    Gives which of the shares start a group.
    """
    starts = np.ones(len(shares), dtype=bool)
    at, held = np.arange(len(shares)), shares.copy()
    while len(held) > most:
        least = int(np.argmin(held[:-1] + held[1:]))
        starts[at[least + 1]] = False
        held[least] += held[least + 1]
        at, held = np.delete(at, least + 1), np.delete(held, least + 1)
    return starts
