"""`synthehr schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put, put_json, say
from synthehr.commands.reading import read_table


def schema(
    table: options.Table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here, to be edited.")
    ] = None,
    reading: options.Read = None,
    patient: options.Patient = None,
    on_text: options.OnTextOption = options.OnText.refuse,
    pii: options.PiiOption = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Show what is believed about each column, and why."""
    from synthehr.io import check_target
    from synthehr.schema.infer import infer
    from synthehr.schema.listing import schema_grid

    if output is not None:
        check_target(output, force)

    source = read_table(table, reading)
    for warning in source.warnings:
        say(f"warning: {warning}")
    found = infer(
        source.table,
        patient=patient,
        on_text=on_text.value,
        pii=None if pii is None else pii.value,
        pandas_types=source.pandas_types,
        open_questions="keep",
    )
    put_json(found.to_json()) if json else put(schema_grid(found))
    if output is not None:
        found.write(output, force=force)
        say(f"\nwrote {output}\nnext: synthehr fit {table} --schema {output}")
