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
    table: Annotated[
        Path,
        typer.Argument(
            help="The table: Parquet, CSV, Arrow or Feather; or images.", show_default=False
        ),
    ],
    output: options.TableOut = "scores.parquet",
    column: Annotated[
        str | None,
        typer.Option(
            "--column", metavar="COL", help="Its chances, given all other columns, level by level."
        ),
    ] = None,
    heat: Annotated[
        Path | None,
        typer.Option(
            "--heat", metavar="FOLDER", help="Of images: where each is unusual, as pictures."
        ),
    ] = None,
    reading: options.Read = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score records: how likely each is, or each level of one column; or how unusual images are."""
    import pyarrow as pa

    from synthehr.artifact import family_at, load
    from synthehr.commands.images import score_images
    from synthehr.families import IMAGES
    from synthehr.io import check_target, write_table
    from synthehr.run.asking import log_prob, predict_proba

    if output != "-":
        check_target(Path(output), force)
    if family_at(model) is IMAGES:
        return score_images(model, table, output, heat, force=force, json=json, quiet=quiet)
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
