"""What is told in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synthehr.schema.column import shown
from synthehr.schema.table import Schema


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
