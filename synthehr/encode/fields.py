"""What a model knows of a column: a `Field`; and of a table: codes.

A table of N records and D modelled columns becomes one integer matrix of
shape (N, 2, D): ``codes[:, 0]`` holds the *token* of each cell (a level, an
atom, a bin, or null), ``codes[:, 1]`` the *part* of a bin in which the value
lies (0 where a token has one part only). Both are drawn by the model; a
value is rebuilt from them by the column's encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Field:
    """One modelled column, as the models see it.

    Attributes
    ----------
    column : str
        Name of the column.
    shares : ndarray of shape (size,), float64
        Share of the fitted records that hold each token; sums to 1.
    parts : ndarray of shape (size,), int64
        Into how many parts each token is cut; 1 for levels, atoms and null.
    null : int or None
        The token that means null, where the column has one; always 0.
    positions : ndarray of shape (size, parts.max()), float64, or None
        For ordered columns the mean rank in (0, 1) of the values in each part
        (0.5 for null; the last valid part repeated to fill a row), and None
        for columns without an order. Tokens other than null ascend.
    part_shares : ndarray of shape (size, parts.max()), float64, or None
        For columns with parts, the share of the token's records in each part
        (0 beyond the valid ones; rows sum to 1).
    """

    column: str
    shares: NDArray[np.float64]
    parts: NDArray[np.int64]
    null: int | None = None
    positions: NDArray[np.float64] | None = None
    part_shares: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """Number of tokens."""
        return len(self.shares)

    @property
    def has_parts(self) -> bool:
        """Whether any token is cut into parts."""
        return bool(self.parts.max(initial=1) > 1)


Fields = tuple[Field, ...]
