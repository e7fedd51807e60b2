"""Guessing a schema, taking the user's answers, and holding a table against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pyarrow as pa

from synthehr.arrow_types import arrow_type, is_supported
from synthehr.errors import SchemaError
from synthehr.schema.checks import check, complete
from synthehr.schema.column import Answer, Column, nearest, shown
from synthehr.schema.identifiers import suspicion
from synthehr.schema.kinds import count_distinct, guess
from synthehr.schema.table import Schema
from synthehr.schema.words import names_a_patient

__all__ = ["arrow_type", "check", "complete", "infer", "refuse_open", "resolve"]

_SAY_PII = (
    "Say --pii drop (leave out), --pii surrogate (replace by made-up ids) or --pii keep (model as "
    'they are), or set "pii" of each in schema.json.'
)


def infer(
    table: pa.Table,
    *,
    patient: str | None = None,
    time: str | None = None,
    on_text: Literal["refuse", "drop"] = "refuse",
    pii: Answer | None = None,
    pandas_types: Mapping[str, str] | None = None,
    open_questions: Literal["refuse", "keep"] = "refuse",
) -> Schema:
    """Guess kind and role of every column, with a reason for each.

    Parameters
    ----------
    table : pyarrow.Table
        As `synthehr.io.read` gives it.
    patient, time : str or None
        Columns that say whose record it is and when it was taken. Without `patient`, a
        column named like one and with many values is taken, and the reason says so.
    on_text : {"refuse", "drop"}
        What to do with free text.
    pii : {"drop", "keep", "surrogate"} or None
        The answer for every column that may identify a person; None asks.
    pandas_types : mapping from column name to text, or None
        As `synthehr.io.read` gives them.
    open_questions : {"refuse", "keep"}
        "keep" returns a schema that still has free text, unanswered suspicions and
        columns that cannot be modelled (these with the role drop), for a person to edit.

    Returns
    -------
    Schema
        One column for each of the table's, in its order.

    Raises
    ------
    SchemaError
        If a named column does not exist, a type cannot be modelled, or a question is open.
    """
    for name in (patient, time):
        if name is not None and name not in table.column_names:
            raise SchemaError(
                f"the table has no column {shown(name)}",
                hint=f"Check the name; {nearest(name, tuple(table.column_names))}.",
            )
    columns: list[Column] = []
    for name in table.column_names:
        column = _column(name, table.column(name), (pandas_types or {}).get(name))
        if column.role == "drop" and open_questions == "refuse":
            raise _unsupported(column)
        columns.append(column)
    schema = Schema(_with_roles(columns, table, patient, time))
    schema = resolve(schema, on_text=on_text, pii=pii)
    if open_questions == "refuse":
        refuse_open(schema)
    return schema


def resolve(
    schema: Schema, *, on_text: Literal["refuse", "drop"] = "refuse", pii: Answer | None = None
) -> Schema:
    """Apply one answer to every open suspicion, and drop free text where that is wanted."""
    columns = []
    for column in schema:
        if pii is not None and column.is_suspicious:
            column = column.answered(pii)
        if on_text == "drop" and column.kind == "text" and column.role in ("feature", "time"):
            column = replace(column, role="drop")
        columns.append(column)
    return Schema(tuple(columns))


def refuse_open(schema: Schema) -> None:
    """Refuse a schema with unanswered suspicions or with free text among its features.

    Raises
    ------
    SchemaError
        Naming the columns and what they look like.
    """
    suspects = [column for column in schema if column.is_suspicious]
    if suspects:
        told = _listed([f"{shown(c.name)} ({c.identifier})" for c in suspects])
        verb = "may identify a person" if len(suspects) == 1 else "may identify persons"
        raise SchemaError(f"{_columns(suspects)} {verb}: {told}", hint=_SAY_PII)
    texts = [column for column in schema.features if column.kind == "text"]
    if texts:
        told = _listed([f"{shown(c.name)} ({c.reason})" for c in texts])
        raise SchemaError(
            f"{_columns(texts)} cannot be modelled as text: {told}",
            hint="Leave free text out with --on-text drop, or set kind or role in schema.json.",
        )


def _column(name: str, cells: pa.ChunkedArray, pandas_type: str | None) -> Column:
    common = Column(
        name=name,
        kind="text",
        arrow_type=str(cells.type),
        pandas_type=pandas_type,
        nullable=cells.null_count > 0,
    )
    if not is_supported(cells.type):
        return replace(common, role="drop", reason=f"{_type_name(cells.type)} cannot be modelled")
    found = guess(name, cells)
    column = replace(common, kind=found.kind, reason=found.reason)
    identifier = suspicion(name, cells, found)
    if identifier is None:
        return column
    column = replace(
        column, identifier=identifier.what, reason=f"{column.reason}; {identifier.reason}"
    )
    # A random key says nothing of a person, and ids are always made up anew.
    return column.answered("surrogate") if identifier.what == "uuid" else column


def _with_roles(
    columns: list[Column], table: pa.Table, patient: str | None, time: str | None
) -> tuple[Column, ...]:
    guessed = patient is None
    if guessed:
        patient = _find_patient(columns, table)
    new = []
    for column in columns:
        if column.name == patient:
            why = "named like a patient's id" if guessed else "named by the user"
            column = replace(column, kind="id", role="patient", reason=f"{column.reason}; {why}")
        elif column.name == time:
            column = replace(column, role="time", reason=f"{column.reason}; named by the user")
        new.append(column)
    return tuple(new)


def _find_patient(columns: list[Column], table: pa.Table) -> str | None:
    found = []
    for column in columns:
        alike = names_a_patient(column.name)
        whole = (
            column.kind in ("id", "integer", "categorical") and "double" not in column.arrow_type
        )
        if not alike or not whole or column.nullable or column.role == "drop":
            continue
        if count_distinct(table.column(column.name)) >= 20:
            found.append(column.name)
    return found[0] if len(found) == 1 else None


def _type_name(data_type: pa.DataType) -> str:
    if isinstance(data_type, pa.BaseExtensionType):
        return f"extension type {data_type.extension_name}"
    kinds = pa.types
    if kinds.is_nested(data_type):
        return f"nested type {str(data_type).split('<')[0]}"
    return f"type {data_type}"


def _unsupported(column: Column) -> SchemaError:
    hint = 'Give it the role "drop" in schema.json, or leave it out of the file.'
    if "nested" in column.reason:
        hint = "Spread it over columns or rows first, or give it the role drop in schema.json."
    if "binary" in column.reason:
        hint = "Images and bytes belong in files of their own; leave the column out."
    return SchemaError(f"column {shown(column.name)}: {column.reason}", hint=hint)


def _columns(columns: list[Column]) -> str:
    return f"{len(columns)} column" + ("" if len(columns) == 1 else "s")


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - 8} more" if len(texts) > 8 else ""
    return ", ".join(texts[:8]) + more
