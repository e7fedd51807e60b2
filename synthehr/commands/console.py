"""Talk goes to stderr, data to stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthehr.schema import Schema


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user something, on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def put(text: str) -> None:
    """Give the user what was asked for, on stdout."""
    print(text, flush=True)


def put_json(value: Any) -> None:
    """Give a script what it asked for, on stdout."""
    put(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay rows out in columns."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def schema_grid(schema: Schema) -> str:
    """Show what is believed about each column, and why."""
    from synthehr.column import shown

    rows = [
        (
            shown(column.name),
            column.kind + (" or null" if column.nullable else ""),
            column.role,
            column.arrow_type,
            column.reason,
        )
        for column in schema.columns
    ]
    return grid(("column", "kind", "role", "type", "why"), rows)


def beside(path: Path, suffix: str) -> Path:
    """Name an output after an input: same stem, in the working folder."""
    return Path(path.name).with_suffix(suffix)
