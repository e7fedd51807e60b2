"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

SAFETY = "What may be learned"
RUN = "Run"


class Audit(StrEnum):
    """How hard the attacks of a report try."""

    quick = "quick"
    deep = "deep"


class OnText(StrEnum):
    """What to do with columns of free text."""

    refuse = "refuse"
    drop = "drop"


class Pii(StrEnum):
    """What to do with columns that look like direct identifiers."""

    drop = "drop"
    keep = "keep"
    surrogate = "surrogate"


Table = Annotated[
    Path, typer.Argument(help="The table: Parquet, CSV, Arrow or Feather.", show_default=False)
]
SchemaFile = Annotated[
    Path | None,
    typer.Option("--schema", help="A schema file, perhaps edited; else columns are inferred."),
]
Read = Annotated[
    list[str] | None,
    typer.Option(
        "--read",
        metavar="KEY=VALUE",
        help="How a table is read: encoding, delimiter, nulls, decimal, dayfirst or infinity.",
    ),
]
Patient = Annotated[
    str | None, typer.Option("--patient", metavar="COL", help="The column that names the patient.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed; without one it is fresh, and told.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
OnTextOption = Annotated[
    OnText,
    typer.Option("--on-text", help="Refuse or drop columns of free text.", rich_help_panel=SAFETY),
]
PiiOption = Annotated[
    Pii | None,
    typer.Option(
        "--pii",
        help="Drop, keep or make up columns that look like names, numbers or addresses of people.",
        rich_help_panel=SAFETY,
    ),
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="NAME=VALUE",
        help="Exit with code 3 if this figure of the report is worse than the value.",
    ),
]
