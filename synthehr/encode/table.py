"""A whole table as codes, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from synthehr.encode.axis import combined, has_axis, value_type
from synthehr.encode.categorical import CategoricalColumn, fit_categorical
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Fields
from synthehr.encode.identifier import IdColumn, Rows, fit_identifier
from synthehr.encode.numeric import Interval, NumericColumn, fit_numeric
from synthehr.encode.rare import patient_codes
from synthehr.encode.state import pack, unpack
from synthehr.encode.visits import Visits, fit_visits
from synthehr.errors import ConditionError, SchemaError
from synthehr.schema.column import Column, shown
from synthehr.schema.table import Schema

AnyColumn = NumericColumn | CategoricalColumn | IdColumn
NUMERIC_KINDS = frozenset({"numeric", "integer", "datetime", "date", "duration"})


@final
class TableEncoder:
    """Turns a table into codes and codes into a table.

    Columns with one token only (constants) are not modelled and come back; ids are made
    up; columns whose every value is rare come back null.

    Parameters
    ----------
    plan : mapping of str to column
        How each column of the synthetic table is made, in order.
    visits : Visits or None
        How many records a patient has, where a column says whose they are.
    notes : sequence of str
        What was suppressed and why, without values.

    Attributes
    ----------
    modelled : tuple of str
        Names of the columns that the models see.
    columns : tuple of NumericColumn or CategoricalColumn
        Their encoders, in the same order.
    fields : tuple of Field
        What the models see of them.
    """

    def __init__(
        self, plan: Mapping[str, AnyColumn], visits: Visits | None, notes: Sequence[str] = ()
    ) -> None:
        self.plan = dict(plan)
        self.visits = visits
        self.notes = tuple(notes)
        self.columns = tuple(
            column
            for column in self.plan.values()
            if not isinstance(column, IdColumn) and column.field.size > 1
        )
        self.fields: Fields = tuple(column.field for column in self.columns)
        self.modelled = tuple(field.column for field in self.fields)

    @classmethod
    def fit(
        cls,
        table: pa.Table,
        schema: Schema,
        *,
        patients: ArrayLike | None,
        config: EncodeConfig,
        rng: np.random.Generator,
    ) -> TableEncoder:
        """Learn how to encode every column that the schema does not drop.

        Parameters
        ----------
        table : Table
            The records to learn from, N rows.
        schema : Schema
            What the columns are.
        patients : array of shape (N,), or None
            Whose each record is; None where each record is a patient.
        config : EncodeConfig
            Limits.
        rng : Generator
            Not used yet: nothing here is random without differential privacy.

        Raises
        ------
        SchemaError
            If a column has a type that cannot be modelled.
        """
        owners = None if patients is None else patient_codes(patients)
        plan: dict[str, AnyColumn] = {}
        notes: list[str] = []
        for column in schema.columns:
            if column.role == "drop" or column.pii == "drop":
                continue
            plan[column.name] = _fit_column(column, table[column.name], owners, config, notes)
        visits = None
        if owners is not None and any(column.role == "patient" for column in schema.columns):
            visits = fit_visits(owners, config.rare_patients)
        return cls(plan, visits, notes)

    def encode(self, table: pa.Table) -> NDArray[np.int16]:
        """Turn a table into codes.

        Values that were not learned go to the nearest unit of a numeric column, or to the
        pooled or the likeliest level of a categorical one.

        Returns
        -------
        ndarray of shape (N, 2, D), int16
        """
        codes = np.zeros((table.num_rows, 2, len(self.columns)), dtype=np.int16)
        for place, column in enumerate(self.columns):
            cells = _cast(table[column.field.column], column)
            codes[:, 0, place], codes[:, 1, place] = column.encode(cells)
        return codes

    def decode(
        self,
        codes: NDArray[np.integer],
        rng: np.random.Generator,
        *,
        bounds: Mapping[str, tuple[Interval, ...]] | None = None,
        first: int = 0,
    ) -> pa.Table:
        """Turn codes into a table with the columns, order and types that were fitted.

        Parameters
        ----------
        codes : ndarray of shape (n, 2, D)
            Tokens and parts.
        rng : Generator
            Draws the places within parts, the levels of pooled tokens, and uuids.
        bounds : mapping from column to intervals, or None
            Closed intervals on a numeric column's axis, outside of which nothing is drawn.
        first : int
            Number of records decoded before these, so that ids go on.
        """
        n = len(codes)
        numbers = first + 1 + np.arange(n)
        dealt = np.arange(n) if self.visits is None else self.visits.draw(n, rng)
        rows = Rows(numbers, first + 1 + dealt, rng)
        places = {name: place for place, name in enumerate(self.modelled)}
        none = np.zeros(n, dtype=np.int64)
        arrays = []
        for name, column in self.plan.items():
            if isinstance(column, IdColumn):
                arrays.append(column.generate(rows))
                continue
            place = places.get(name)
            tokens, parts = (none, none) if place is None else codes[:, :, place].T
            within = None if bounds is None else bounds.get(name)
            arrays.append(column.decode(tokens, parts, rng, within))
        return pa.table(arrays, names=list(self.plan))

    def field_index(self, column: str) -> int:
        """Place of a modelled column among the fields.

        Raises
        ------
        ConditionError
            If the column is not modelled.
        """
        if column not in self.modelled:
            raise ConditionError(
                f"column {shown(column)} is not modelled",
                hint=f"{len(self.modelled)} of {len(self.plan)} columns are; see synthehr inspect",
            )
        return self.modelled.index(column)

    def token_of(self, column: str, value: Any) -> int | None:
        """Token of a kept level or an atom; None for any other value."""
        return self.columns[self.field_index(column)].token_of(value)

    def allowed(
        self,
        column: str,
        *,
        values: Sequence[Any] = (),
        intervals: Sequence[Interval] = (),
        null: bool = False,
    ) -> NDArray[np.float64]:
        """Weigh each part of each token of a column by the fraction that a condition allows.

        Parameters
        ----------
        column : str
            Name of a modelled column.
        values : sequence
            Levels, or numbers on the column's axis.
        intervals : sequence of (low, high)
            Closed intervals on a numeric column's axis.
        null : bool
            Whether null is allowed.

        Returns
        -------
        ndarray of shape (size, parts.max())
        """
        found = self.columns[self.field_index(column)]
        if isinstance(found, NumericColumn):
            points = [(float(value), float(value)) for value in values]
            return found.allowed([*intervals, *points], null)
        return found.allowed(values, null)

    def describe(self) -> list[dict[str, Any]]:
        """Say of each column how it is made and count its tokens, without values."""
        rows = []
        for name, column in self.plan.items():
            row: dict[str, Any] = {"column": name, "type": str(column.data_type)}
            if isinstance(column, IdColumn):
                made = "suppressed" if column.shape == "null" else "made up"
                rows.append(row | {"made": made} | column.describe())
                continue
            made = "numeric" if isinstance(column, NumericColumn) else "levels"
            null = column.field.null
            share = 0.0 if null is None else float(column.field.shares[null])
            row["made"] = made if column.field.size > 1 else "constant"
            row |= {"tokens": column.field.size, "null_share": share}
            rows.append(row | column.describe())
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give everything learned as JSON-ready values and arrays; inverse of `from_state`."""
        return pack(self.plan, self.visits, self.notes)

    @classmethod
    def from_state(
        cls, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> TableEncoder:
        """Rebuild an encoder from what `state` gave.

        Raises
        ------
        ArtifactError
            If the state does not fit together.
        """
        return cls(*unpack(content, arrays))


def _cast(cells: pa.ChunkedArray, column: NumericColumn | CategoricalColumn) -> pa.ChunkedArray:
    """Give cells of another table the unit and width of the fitted ones."""
    wanted = value_type(column.data_type)
    if value_type(cells.type) == wanted:
        return cells
    try:
        return combined(cells).cast(wanted)
    except pa.ArrowException:
        raise SchemaError(
            f"column {shown(column.field.column)} has type {cells.type} and was fitted as {wanted}",
            hint="give it the type that the fitted table has",
        ) from None


def _fit_column(
    column: Column,
    cells: pa.ChunkedArray,
    owners: NDArray[np.int64] | None,
    config: EncodeConfig,
    notes: list[str],
) -> AnyColumn:
    """Learn one column; where nothing may be kept of it, it comes back null."""
    k = config.rare_patients
    if column.role == "patient" or column.kind == "id" or column.pii == "surrogate":
        return fit_identifier(
            column.name,
            cells,
            owners,
            identifier=column.identifier if column.pii == "surrogate" else None,
            is_patient=column.role == "patient",
            k=k,
        )
    if column.kind == "text":
        raise SchemaError(
            f"column {shown(column.name)} holds free text, which is not modelled",
            hint='set "role": "drop" for it in the schema file, or fit with --on-text drop',
        )
    if cells.null_count == len(cells):
        return IdColumn(column.name, cells.type, "null")
    constant = column.kind == "constant" and has_axis(value_type(cells.type))
    if column.kind in NUMERIC_KINDS or constant:
        fitted = fit_numeric(column.name, cells, owners, config)
    else:
        order = column.levels if column.kind == "ordinal" else None
        fitted = fit_categorical(
            column.name,
            cells,
            owners,
            config,
            is_ordinal=column.kind == "ordinal",
            order=order,
        )
    if fitted is None:
        notes.append(
            f"column {shown(column.name)} comes back null: no value is held by {k} patients"
        )
        return IdColumn(column.name, cells.type, "null")
    drawn = isinstance(fitted, CategoricalColumn) and fitted.rare == "draw"
    if config.rare == "mark" and drawn:
        notes.append(f"column {shown(column.name)} is no text: its rare levels are drawn")
    return fitted
