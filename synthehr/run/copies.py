"""Telling drawn records that copy a real one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.rare import holders
from synthehr.encode.table import TableEncoder
from synthehr.modes.holes import Holes, known_codes

COPIED = 10
"""A record that so many patients share is nobody's."""


@dataclass(frozen=True)
class CopyGuard:
    """Knows the real records, to tell copies of them.

    Attributes
    ----------
    encoder : TableEncoder
        Of the fitted model.
    present : tuple of str
        The columns that the model and the real table share.
    codes : ndarray of shape (N, 2 * D), int64
        The real records.
    owners : ndarray of shape (N,), or None
        Their patients.
    """

    encoder: TableEncoder
    present: tuple[str, ...]
    codes: NDArray[np.int64]
    owners: NDArray[np.int64] | None

    @classmethod
    def of(
        cls, table: pa.Table, encoder: TableEncoder, owners: NDArray[np.int64] | None
    ) -> CopyGuard:
        """Encode the real records."""
        present = tuple(name for name in encoder.modelled if name in table.column_names)
        return cls(encoder, present, _codes(table.select(present), encoder), owners)

    def copies(self, drawn: pa.Table) -> NDArray[np.bool_]:
        """Say which drawn records share every token and part with one of a few patients; (M,).

        Where no column is cut into parts, records are combinations of levels, many of which
        few patients hold, and agreeing with one says nothing: then none counts as a copy.
        """
        if not any(f.has_parts for f in self.encoder.fields if f.column in self.present):
            return np.zeros(drawn.num_rows, dtype=bool)
        n = len(self.codes)
        both = np.concatenate([self.codes, _codes(drawn.select(self.present), self.encoder)])
        pattern = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        held = holders(pattern[:n], int(pattern.max()) + 1, self.owners)[pattern[n:]]
        return (held > 0) & (held < COPIED)


def _codes(table: pa.Table, encoder: TableEncoder) -> NDArray[np.int64]:
    return known_codes(Holes(table, {}), encoder, 0, table.num_rows).flatten(1).numpy()
