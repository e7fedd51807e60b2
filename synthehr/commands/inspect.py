"""`synthehr inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put, put_json, say
from synthehr.commands.reading import read_table


def inspect(
    file: Annotated[Path, typer.Argument(help="A table or a model file.", show_default=False)],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="TABLE",
            help="Search the model file for values of this table that fewer than k patients hold; "
            "exit with code 1 if there is one.",
        ),
    ] = None,
    reading: options.Read = None,
    patient: options.Patient = None,
    json: options.Json = False,
) -> None:
    """List what a table or a model file holds."""
    from synthehr.inspection import describe_model, describe_table, is_model, search

    if against is not None:
        hits = search(file, read_table(against, reading), patient=patient)
        put_json([hit._asdict() for hit in hits]) if json else put("\n".join(map(str, hits)))
        say(f"{len(hits)} columns have values in the model file that few patients hold")
        raise typer.Exit(1 if hits else 0)
    if is_model(file):
        found = describe_model(file)
    else:
        found = describe_table(file, read_table(file, reading), patient=patient)
    put_json(found.facts) if json else put(found.text)
    say(f"\nnext: {found.next_step}")
