"""A schema as JSON: our own form, and SDV metadata V2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from os import PathLike
from pathlib import Path
from typing import Any, cast

from synthehr.errors import SchemaError
from synthehr.schema.column import (
    ANSWERS,
    KINDS,
    ROLES,
    Answer,
    Bounds,
    Column,
    Kind,
    Level,
    nearest,
    shown,
)

VERSION = 1
_KEYS = tuple(field.name for field in fields(Column))
_MAX_BYTES = 64 * 2**20
_SDV_KINDS: dict[str, Kind] = {
    "numerical": "numeric",
    "datetime": "datetime",
    "categorical": "categorical",
    "ordinal": "ordinal",
    "boolean": "boolean",
    "id": "id",
}
_TO_SDV: dict[str, str] = {
    "numeric": "numerical",
    "integer": "numerical",
    "duration": "numerical",
    "boolean": "boolean",
    "categorical": "categorical",
    "ordinal": "ordinal",
    "datetime": "datetime",
    "date": "datetime",
    "id": "id",
    "constant": "categorical",
    "text": "unknown",
}


Columns = tuple[Column, ...]


def columns_to_json(columns: Columns) -> dict[str, Any]:
    """Return a schema's columns as JSON-ready values; what is empty is left out."""
    return {
        "format": "synthehr schema",
        "version": VERSION,
        "columns": [_column_to_json(column) for column in columns],
    }


def columns_from_json(content: Mapping[str, Any]) -> Columns:
    """Build columns from `columns_to_json`'s values, or from SDV metadata V2.

    Raises
    ------
    SchemaError
        If a key, kind, role or answer is unknown, or a value has the wrong type.
    """
    if "METADATA_SPEC_VERSION" in content:
        return columns_from_sdv(content)
    if content.get("format") != "synthehr schema":
        raise _wrong(
            "the file is not a synthehr schema", 'It starts with {"format": "synthehr schema"}.'
        )
    if content.get("version") != VERSION:
        raise _wrong(
            f"the schema's version is not {VERSION}",
            "Write it anew with `synthehr schema`, or update synthehr.",
        )
    _only_known(content, ("format", "version", "columns"), "the schema")
    columns = content.get("columns")
    if not isinstance(columns, list) or not all(isinstance(each, dict) for each in columns):
        raise _wrong("the schema's columns are not a list of objects", "See `synthehr schema`.")
    return tuple(_column_from_json(each, i) for i, each in enumerate(columns, 1))


def read_json(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a strict JSON object: no duplicate keys, no NaN, at most 64 MiB.

    Raises
    ------
    SchemaError
        If the file cannot be read, or is not strict JSON.
    """
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise _wrong("the schema file is larger than 64 MiB", "Is it the right file?")
        text = Path(path).read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _wrong(
            f"the schema file cannot be read: {_why(error)}",
            "Write one with `synthehr schema DATA -o schema.json`.",
        ) from None
    if not isinstance(content, dict):
        raise _wrong("the schema file holds no JSON object", "See `synthehr schema`.")
    return content


def columns_to_sdv(columns: Columns, table: str) -> dict[str, Any]:
    """Return columns as SDV metadata V2 of one table."""
    entries: dict[str, dict[str, Any]] = {}
    for column in columns:
        kind = "id" if column.role == "patient" else _TO_SDV[column.kind]
        entry: dict[str, Any] = {"sdtype": kind}
        if kind == "unknown":
            entry["pii"] = column.identifier is not None
        if kind == "numerical" and column.bounds is not None:
            entry["range_min"], entry["range_max"] = column.bounds
        if kind in ("categorical", "ordinal") and column.levels:
            entry["range_values"] = list(column.levels)
        entry["range_is_nullable"] = column.nullable
        entries[column.name] = entry
    return {
        "tables": {table: {"columns": entries}},
        "relationships": [],
        "METADATA_SPEC_VERSION": "V2",
    }


def columns_from_sdv(metadata: Mapping[str, Any]) -> Columns:
    """Build columns from SDV metadata V2 of one table.

    Ranges and the values of unordered columns are not taken over: SDV fills them in
    from the data, so they may hold what a single patient has.

    Raises
    ------
    SchemaError
        If the metadata is not V2, or describes more than one table.
    """
    version = metadata.get("METADATA_SPEC_VERSION")
    tables = metadata.get("tables")
    if version != "V2" or not isinstance(tables, dict):
        raise _wrong("the file is not SDV metadata V2", "Save it anew with SDV 2.0 or later.")
    if len(tables) != 1:
        raise _wrong(f"the SDV metadata describes {len(tables)} tables", "Keep one table.")
    (table,) = tables.values()
    columns = table.get("columns") if isinstance(table, dict) else None
    if not isinstance(columns, dict) or not all(isinstance(v, dict) for v in columns.values()):
        raise _wrong("the SDV metadata has no columns", "Save it anew with SDV.")
    keys = table.get("primary_key")
    keys = {keys} if isinstance(keys, str) else set(keys or ())
    return tuple(_sdv_column(name, entry, name in keys) for name, entry in columns.items())


def _sdv_column(name: str, entry: Mapping[str, Any], key: bool) -> Column:
    sdtype = entry.get("sdtype")
    kind = "id" if key else _SDV_KINDS.get(str(sdtype))
    nullable = bool(entry.get("range_is_nullable", True))
    if kind is None:
        if sdtype == "unknown" and not entry.get("pii", True):
            return Column(
                name=name, kind="text", nullable=nullable, reason="unknown in SDV metadata"
            )
        return Column(
            name=name, kind="text", nullable=nullable, reason="personal data in SDV metadata",
            identifier=str(sdtype).replace("_", " ") if sdtype != "unknown" else "personal data",
        )  # fmt: skip
    levels = entry.get("range_values") if kind == "ordinal" else None
    return Column(
        name=name,
        kind=cast(Kind, kind),
        nullable=nullable,
        levels=tuple(levels) if isinstance(levels, list) else None,
        reason="key in SDV metadata" if key else f"{sdtype} in SDV metadata",
    )


def _column_to_json(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for key in _KEYS:
        value = getattr(column, key)
        if value in (None, "") and not (key == "pii" and column.identifier is not None):
            continue
        entry[key] = list(value) if isinstance(value, tuple) else value
    return entry


def _column_from_json(entry: Mapping[str, Any], position: int) -> Column:
    name = entry.get("name")
    if not isinstance(name, str):
        raise _wrong(f"column {position} of the schema has no name", 'Give it a "name".')
    where = f"column {shown(name)}"
    _only_known(entry, _KEYS, where)
    _one_of(entry.get("kind"), KINDS, "kind", where)
    _one_of(entry.get("role", "feature"), ROLES, "role", where)
    if entry.get("pii") is not None:
        _one_of(entry["pii"], ANSWERS, "pii", where)
    for key in ("arrow_type", "pandas_type", "unit", "reason", "identifier"):
        if not isinstance(entry.get(key, ""), str | None):
            raise _wrong(f'"{key}" of {where} is not text', "Correct or remove it.")
    if not isinstance(entry.get("nullable", False), bool):
        raise _wrong(f'"nullable" of {where} is neither true nor false', "Correct it.")
    values = {key: entry[key] for key in _KEYS if entry.get(key) is not None}
    values["levels"] = _levels(entry.get("levels"), where)
    values["bounds"] = _bounds(entry.get("bounds"), where)
    column = Column(**values)
    return column if column.pii is None else _follow(column, column.pii)


def _follow(column: Column, answer: Answer) -> Column:
    # The patient's column is always replaced by made-up ids, whatever else is answered.
    return replace(column, pii=answer) if column.role == "patient" else column.answered(answer)


def _levels(value: Any, where: str) -> tuple[Level, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise _wrong(f'"levels" of {where} are not a list of values', "List them in order.")
    if not all(isinstance(level, str | int | float | bool) for level in value):
        raise _wrong(f'"levels" of {where} hold what is neither text nor number', "Correct them.")
    if len({(type(level), level) for level in value}) != len(value):
        raise _wrong(f'"levels" of {where} name a level twice', "List each level once.")
    return tuple(value)


def _bounds(value: Any, where: str) -> Bounds | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value):
        return _dates(value, where)
    numbers = isinstance(value, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in value
    )
    if not numbers or len(value) != 2 or not value[0] <= value[1]:
        raise _wrong(f'"bounds" of {where} are not two ascending numbers', "Write [low, high].")
    return float(value[0]), float(value[1])


def _dates(value: list[str], where: str) -> Bounds:
    try:
        low, high = map(datetime.fromisoformat, value)
        if low <= high:
            return value[0], value[1]
    except (ValueError, TypeError):
        pass
    raise _wrong(
        f'"bounds" of {where} are not two ascending dates', 'Write ["2015-01-01", "2024-12-31"].'
    )


def _only_known(entry: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in entry:
        if key not in known:
            raise _wrong(f"{where} has an unknown key {shown(str(key))}", nearest(str(key), known))


def _one_of(value: Any, known: tuple[str, ...], key: str, where: str) -> None:
    if value not in known:
        raise _wrong(
            f'"{key}" of {where} is not one that exists', f"Use one of {', '.join(known)}."
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _wrong("the schema file names a key twice in one object", "Keep one of them.")
    return content


def _no_constant(_: str) -> None:
    raise _wrong("the schema file holds NaN or Infinity", "Only finite numbers are allowed.")


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON (line {error.lineno})"
    if isinstance(error, OSError):
        return str(error.strerror or "no access").lower()
    return (
        "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "it is nested too deep"
    )


def _wrong(message: str, hint: str) -> SchemaError:
    return SchemaError(message, hint=hint)
