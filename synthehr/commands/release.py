"""`synthehr release`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table
from synthehr.commands.spending import note_spending


def release(
    table: options.Table,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to make.")],
    schema: options.SchemaFile = None,
    reading: options.Read = None,
    model: Annotated[
        str, typer.Option("--model", help="auto, autoregressive, vae, gan or cgan.")
    ] = "auto",
    patient: options.Patient = None,
    target: options.Target = None,
    rows: Annotated[
        int | None, typer.Option("--rows", "-n", help="How many; by default as many as fitted.")
    ] = None,
    max_minutes: options.MaxMinutes = None,
    seed: options.Seed = None,
    on_text: options.OnTextOption = options.OnText.refuse,
    pii: options.PiiOption = None,
    epsilon: options.Epsilon = None,
    delta: options.Delta = None,
    public_rows: options.PublicRows = None,
    discover: options.Discover = False,
    setting: options.Setting = None,
    fail_under: options.FailUnder = None,
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Put the model file into the folder too.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Fit, sample, report, and write a folder to hand over if every gate holds."""
    from synthehr import release as releasing
    from synthehr.gates import limits_of
    from synthehr.privacy.config import asked
    from synthehr.run.choices import settings_of
    from synthehr.synthesizer import Synthesizer

    done = releasing.release(
        read_table(table, reading),
        output,
        Synthesizer(model, seed=seed, settings=settings_of(model, setting or ())),
        schema=schema,
        patient=patient,
        target=target,
        n=rows,
        max_minutes=max_minutes,
        on_text=on_text.value,
        pii=None if pii is None else pii.value,
        privacy=asked(epsilon, delta, public_rows, discover),
        limits=limits_of(fail_under or ()),
        with_model=with_model,
        force=force,
        tell=say,
    )
    if done["record"]["privacy"] is not None:
        note_spending(output, table, done["record"]["privacy"])
    if json:
        put_json(done)
