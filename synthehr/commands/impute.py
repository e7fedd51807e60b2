"""`synthehr impute`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.filling import Filling
from synthehr.commands.progress import counted
from synthehr.commands.reading import read_table

if TYPE_CHECKING:
    from synthehr.io import Source


def impute(
    model: options.ModelFile,
    table: Annotated[
        Path,
        typer.Argument(
            help="The table: Parquet, CSV, Arrow or Feather; or images.", show_default=False
        ),
    ],
    output: options.TableOut = "filled.parquet",
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            metavar="M",
            help="Fill every record M times, with a column draw; 0 gives point estimates.",
        ),
    ] = 1,
    columns: Annotated[
        str | None,
        typer.Option("--columns", metavar="A,B", help="Fill these columns only."),
    ] = None,
    keep_null: Annotated[
        str | None,
        typer.Option(
            "--keep-null", metavar="A,B", help="Columns whose nulls mean something, and stay."
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            "--mask",
            metavar="IMAGES",
            help="Of images: 0 where nothing is missing; else whole images are cleaned.",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", metavar="M", help="Begin no draw that would end later."),
    ] = None,
    seed: options.Seed = None,
    reading: options.Read = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Fill the nulls of a table or of visits, or repair images, from a model file."""
    from synthehr.artifact import family_at
    from synthehr.commands.images import impute_images
    from synthehr.commands.visits import impute_visits
    from synthehr.families import IMAGES, VISITS
    from synthehr.io import check_target

    family = family_at(model)
    if family is IMAGES:
        return impute_images(model, table, mask, output, seed, force=force, json=json, quiet=quiet)
    if output != "-":
        check_target(Path(output), force)
    wanted = Filling(
        output,
        draws,
        None if columns is None else options.names(columns),
        options.names(keep_null or ""),
        max_minutes,
        seed,
        force,
        json,
        quiet,
    )
    fill = impute_visits if family is VISITS else _impute_table
    fill(model, read_table(table, reading), wanted)


def _impute_table(model: Path, source: Source, wanted: Filling) -> None:
    from synthehr.artifact import load
    from synthehr.io import write_table
    from synthehr.modes.holes import find_holes
    from synthehr.run import imputing
    from synthehr.seeds import settled

    output, draws, quiet = wanted.output, wanted.draws, wanted.quiet
    settled_seed, count = settled(wanted.seed), imputing.Draws()
    artifact = load(model)
    holes = find_holes(
        source.table, artifact.encoder, wanted.columns, wanted.keep_null, artifact.rules
    )
    for warning in (*source.warnings, *holes.warnings):
        say(f"warning: {warning}", quiet=quiet)
    filled = imputing.impute(artifact, holes, settled_seed, draws, wanted.max_minutes, count)
    total = imputing.blocks(holes, draws)
    shown = counted(filled, total, "filling")
    written = write_table(shown, output, force=wanted.force, pandas_types=source.pandas_types)
    done = "point estimates" if draws == 0 else f"{count.complete} of {draws} draws"
    say(
        f"{holes.cells:,} cells in {len(holes.filled)} columns, {done}, seed {settled_seed}",
        quiet=quiet,
    )
    if count.unlawful:
        say(
            f"warning: filled cells of {count.unlawful:,} records break a rule still, perhaps for "
            "what is known of them",
            quiet=quiet,
        )
    if wanted.json and output != "-":
        cells = {name: int(mask.sum()) for name, mask in holes.filled.items()}
        told = {"output": output, "records": written, "cells": cells, "seed": settled_seed}
        counts = {"draws": count.complete if draws else 0, "unlawful": count.unlawful}
        put_json(told | counts)
    if output != "-":
        say(f"wrote {output}", quiet=quiet)
