"""A whole table as codes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from synthehr.encode.axis import combined
from synthehr.encode.categorical import CategoricalColumn, fit_categorical
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Field, Fields
from synthehr.encode.numeric import NumericColumn, fit_numeric
from synthehr.encode.rare import patient_codes

NUMERIC_KINDS = {"numeric", "integer", "datetime", "date", "duration"}


@final
class TableEncoder:
    """Turns a table into codes and codes into a table.

    Attributes
    ----------
    fields : tuple of Field
        The modelled columns, as the models see them.
    modelled : tuple of str
        Their names.
    notes : tuple of str
        What was suppressed and why, without values.
    """

    def __init__(self, columns: Sequence[NumericColumn | CategoricalColumn]) -> None:
        self.columns = tuple(columns)
        self.fields: Fields = tuple(column.field for column in self.columns)
        self.modelled = tuple(field.column for field in self.fields)

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        schema: Any,
        *,
        patients: ArrayLike | None,
        config: EncodeConfig,
        rng: np.random.Generator,
    ) -> TableEncoder:
        """Learn how to encode every column."""
        owners = None if patients is None else patient_codes(patients)
        columns = []
        for column in schema.columns:
            array = combined(table[column.name])
            if column.kind in NUMERIC_KINDS:
                fitted = fit_numeric(column.name, array, owners, config)
            else:
                fitted = fit_categorical(column.name, array, owners, config)
            if fitted is not None:
                columns.append(fitted)
        return cls(columns)

    def encode(self, table: pa.Table) -> NDArray[np.int16]:
        """Turn a table into codes of shape (N, 2, D)."""
        codes = np.zeros((table.num_rows, 2, len(self.columns)), dtype=np.int16)
        for place, column in enumerate(self.columns):
            array = combined(table[column.field.column])
            codes[:, 0, place], codes[:, 1, place] = column.encode(array)
        return codes

    def decode(
        self,
        codes: NDArray[np.integer],
        rng: np.random.Generator,
        *,
        bounds: Mapping[str, tuple[tuple[float, float], ...]] | None = None,
    ) -> pa.Table:
        """Turn codes into a table of the types that were fitted."""
        arrays = {}
        for place, column in enumerate(self.columns):
            name = column.field.column
            within = None if bounds is None else bounds.get(name)
            arrays[name] = column.decode(codes[:, 0, place], codes[:, 1, place], rng, within)
        return pa.table(arrays)
