"""`synthehr forecast`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.visits import visit_data


def forecast(
    model: options.ModelFile,
    visits: options.Tables,
    steps: Annotated[int, typer.Option("--steps", help="How many visits ahead.")] = 1,
    draws: Annotated[
        int, typer.Option("--draws", metavar="M", help="How often each patient is continued.")
    ] = 100,
    output: options.TableOut = "forecast.parquet",
    seed: options.Seed = None,
    reading: options.Read = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Continue given patients: medians and 80 and 95 % bands of their next visits."""
    from synthehr.artifact import load_sequences
    from synthehr.io import check_target, write_table
    from synthehr.run.visits.forecasting import forecast as forecasted
    from synthehr.seeds import settled

    if output != "-":
        check_target(Path(output), force)
    settled_seed = settled(seed)
    found = forecasted(
        load_sequences(model), visit_data(visits, reading), steps, draws, settled_seed
    )
    written = write_table([found], output, force=force)
    say(
        f"{written // steps:,} patients continued by {steps} visits, {draws} draws each, seed "
        f"{settled_seed}",
        quiet=quiet,
    )
    if output == "-":
        return
    if json:
        told = {"output": output, "patients": written // steps, "steps": steps, "draws": draws}
        put_json(told | {"seed": settled_seed})
    say(f"wrote {output}", quiet=quiet)
