"""`synthehr schema`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put, put_json, say
from synthehr.commands.reading import read_table
from synthehr.errors import InputError

if TYPE_CHECKING:
    from synthehr.io import Source


def schema(
    table: options.Table,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it here, to be edited.")
    ] = None,
    reading: options.Read = None,
    patient: options.Patient = None,
    labels: options.Labels = None,
    image_column: options.ImageColumn = None,
    on_text: options.OnTextOption = options.OnText.refuse,
    pii: options.PiiOption = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Show what is believed about each column, and why; of images, about what is known of each."""
    from synthehr.io import check_target
    from synthehr.io.images import is_images
    from synthehr.schema.infer import infer
    from synthehr.schema.listing import schema_grid

    if output is not None:
        check_target(output, force)

    of_images = labels is not None or image_column is not None or is_images(table)
    if of_images:
        source = _beside_images(table, labels, image_column, patient)
    else:
        source = read_table(table, reading)
    for warning in source.warnings:
        say(f"warning: {warning}")
    found = infer(
        source.table,
        patient=None if of_images else patient,
        on_text=on_text.value,
        pii=None if pii is None else pii.value,
        pandas_types=source.pandas_types,
        open_questions="keep",
    )
    put_json(found.to_json()) if json else put(schema_grid(found))
    if output is not None:
        found.write(output, force=force)
        say(f"\nwrote {output}\nnext: synthehr fit {table} --schema {output}")


def _beside_images(
    path: Path, labels: Path | None, image_column: str | None, patient: str | None
) -> Source:
    """Read what is known of each image."""
    from synthehr.io import Source
    from synthehr.io.images import read_images
    from synthehr.run.images.preparation import columns_of

    images = read_images(path, labels=labels, image_column=image_column, patient=patient)
    known = columns_of(images)
    if not known.num_columns:
        raise InputError(
            "nothing is known of these images beside their pixels",
            hint="give a table with --labels, or sort the images into a folder for each class",
        )
    return Source(known, {}, images.warnings)
