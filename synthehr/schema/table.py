"""What a table is believed to hold: a `Schema` of frozen `Column`s.

A schema is inferred (`synthehr.schema.infer`), shown, edited by a person as JSON, and
checked against the table. It holds names, kinds, types and what the user declared;
no value of a patient is ever put into it by inference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from synthehr.errors import SchemaError
from synthehr.io.atomic import write_text
from synthehr.schema.column import (
    ANSWERS,
    KINDS,
    ROLES,
    Answer,
    Column,
    Kind,
    Level,
    Role,
    nearest,
    shown,
)
from synthehr.schema.interchange import (
    columns_from_json,
    columns_from_sdv,
    columns_to_json,
    columns_to_sdv,
    read_json,
)

__all__ = [
    "ANSWERS", "KINDS", "ROLES", "Answer", "Column", "Kind", "Level", "Role", "Schema",
    "nearest", "shown",
]  # fmt: skip


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Raises
    ------
    SchemaError
        If a name occurs twice, or more than one column is the patient or the time.
    """

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        for name in names:
            if names.count(name) > 1:
                raise SchemaError(
                    f"the schema lists column {shown(name)} {names.count(name)} times",
                    hint="Keep one entry for each column.",
                )
        for role in ("patient", "time"):
            holders = [shown(column.name) for column in self.columns if column.role == role]
            if len(holders) > 1:
                raise SchemaError(
                    f"{len(holders)} columns have the role {role}: {', '.join(holders[:5])}",
                    hint=f"Give the role {role} to one column at most.",
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def patient(self) -> str | None:
        """Name of the column that says whose record it is."""
        return next((column.name for column in self.columns if column.role == "patient"), None)

    @property
    def time(self) -> str | None:
        """Name of the column that says when the record was taken."""
        return next((column.name for column in self.columns if column.role == "time"), None)

    @property
    def features(self) -> tuple[Column, ...]:
        """Columns that describe a record: all but the patient's and the dropped ones."""
        return tuple(column for column in self.columns if column.role in ("feature", "time"))

    @property
    def kept(self) -> tuple[Column, ...]:
        """Columns that a synthetic table has: all but the dropped ones."""
        return tuple(column for column in self.columns if column.role != "drop")

    @property
    def pandas_types(self) -> dict[str, str]:
        """The pandas dtypes to restore, by name, where the table came from pandas."""
        return {column.name: column.pandas_type for column in self.columns if column.pandas_type}

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(
            f"the schema has no column {shown(name)}",
            hint=f"It has {len(self.columns)} columns; {nearest(name, self.names)}.",
        )

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def with_columns(self, *columns: Column) -> Schema:
        """Return a schema in which these columns replace those of the same name."""
        new = {column.name: column for column in columns}
        for name in new:
            self[name]
        return Schema(tuple(new.get(column.name, column) for column in self.columns))

    def to_json(self) -> dict[str, Any]:
        """Return the schema as JSON-ready values; what is empty is left out."""
        return columns_to_json(self.columns)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Schema:
        """Build a schema from what `to_json` gave, or from SDV metadata V2.

        Raises
        ------
        SchemaError
            If a key, kind, role or answer is unknown, or a value has the wrong type.
        """
        return cls(columns_from_json(content))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Schema:
        """Read a schema file, ours or SDV metadata V2.

        Raises
        ------
        SchemaError
            If the file cannot be read, is not strict JSON, or is not a schema.
        """
        return cls(columns_from_json(read_json(path)))

    def write(self, path: str | PathLike[str], *, force: bool = False) -> None:
        """Write the schema as JSON for a person to edit; atomic, no overwriting without `force`."""
        text = json.dumps(self.to_json(), indent=2, ensure_ascii=False)
        write_text(path, text + "\n", force=force)

    def to_sdv(self, table: str = "table") -> dict[str, Any]:
        """Return the schema as SDV metadata V2 of one table, without the dropped columns."""
        return columns_to_sdv(self.kept, table)

    @classmethod
    def from_sdv(cls, metadata: Mapping[str, Any]) -> Schema:
        """Build a schema from SDV metadata V2 of one table; types come from the table later.

        Raises
        ------
        SchemaError
            If the metadata is not V2, or describes more than one table.
        """
        return cls(columns_from_sdv(metadata))
