"""`synthehr score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table

if TYPE_CHECKING:
    import pyarrow as pa


def score(
    model: options.ModelFile,
    table: Annotated[
        Path,
        typer.Argument(
            help="The table: Parquet, CSV, Arrow or Feather; or visits, or images.",
            show_default=False,
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
    """Score records: how likely each is, or each level of one column.

    Of visits: how likely each patient is. Of images: how unusual each is, and where.
    """
    from synthehr.artifact import family_at
    from synthehr.commands.images import score_images
    from synthehr.commands.visits import score_visits
    from synthehr.families import IMAGES, VISITS
    from synthehr.io import check_target, write_table

    if output != "-":
        check_target(Path(output), force)
    family = family_at(model)
    if family is IMAGES:
        return score_images(model, table, output, heat, force=force, json=json, quiet=quiet)
    if family is VISITS:
        scores, unit = score_visits(model, table, reading, column), "patients of"
    else:
        scores, unit = _records(model, table, reading, column), "records, in the order of"
    written = write_table(iter([scores]), output, force=force)
    if output == "-":
        return
    if json:
        put_json({"output": output, "records": written, "columns": scores.column_names})
    say(f"{written:,} {unit} {table.name}\nwrote {output}", quiet=quiet)


def _records(model: Path, table: Path, reading: list[str] | None, column: str | None) -> pa.Table:
    import pyarrow as pa

    from synthehr.artifact import load
    from synthehr.run.asking import log_prob, predict_proba

    artifact, source = load(model), read_table(table, reading)
    if column is None:
        return pa.table({"log_prob": log_prob(artifact, source)})
    chances = predict_proba(artifact, source, column)
    return pa.table({f"{column}={level}": chances[level] for level in chances})
