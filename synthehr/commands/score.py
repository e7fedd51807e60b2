"""`synthehr score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table


def score(
    model: options.ModelFile,
    table: options.Table,
    output: options.TableOut = "scores.parquet",
    column: Annotated[
        str | None,
        typer.Option(
            "--column", metavar="COL", help="Its chances, given all other columns, level by level."
        ),
    ] = None,
    reading: options.Read = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score records: how likely each is, or how likely each level of one column is."""
    import pyarrow as pa

    from synthehr.artifact import load
    from synthehr.io import check_target, write_table
    from synthehr.run.asking import log_prob, predict_proba

    if output != "-":
        check_target(Path(output), force)
    artifact, source = load(model), read_table(table, reading)
    if column is None:
        scores = pa.table({"log_prob": log_prob(artifact, source)})
    else:
        chances = predict_proba(artifact, source, column)
        scores = pa.table({f"{column}={level}": chances[level] for level in chances})
    written = write_table(iter([scores]), output, force=force)
    if output == "-":
        return
    if json:
        put_json({"output": output, "records": written, "columns": scores.column_names})
    say(f"{written:,} records, in the order of {table.name}\nwrote {output}", quiet=quiet)
