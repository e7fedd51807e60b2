"""`synthehr translate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options


def translate(
    model: options.ModelFile,
    images: Annotated[
        Path, typer.Argument(help="A folder or .npz file of images.", show_default=False)
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="A folder for the translated images.")
    ] = "translated",
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="DOMAIN", help="The domain to translate to; else the other one."
        ),
    ] = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Turn images of one domain into images of the other, by a cyclegan."""
    from synthehr.commands.images import translate_images

    translate_images(model, images, to, output, force=force, json=json, quiet=quiet)
