"""`synthehr report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put, say
from synthehr.commands.reading import read_table


def report(
    real: Annotated[Path, typer.Argument(help="The real table.", show_default=False)],
    synthetic: Annotated[Path, typer.Argument(help="The synthetic table.", show_default=False)],
    model: Annotated[
        Path | None,
        typer.Option("--model", help="The model file: it says which records were held out."),
    ] = None,
    holdout: Annotated[
        Path | None, typer.Option("--holdout", help="Real records that were not fitted.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COL", help="The column to predict.")
    ] = None,
    audit: Annotated[
        options.Audit,
        typer.Option("--audit", help="deep trains shadow models: some times as long as the fit."),
    ] = options.Audit.quick,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The report, one HTML file.")
    ] = Path("report.html"),
    json: Annotated[
        str | None, typer.Option("--json", help="The same figures as JSON; - for stdout.")
    ] = None,
    schema: options.SchemaFile = None,
    reading: options.Read = None,
    patient: options.Patient = None,
    fail_under: options.FailUnder = None,
    seed: options.Seed = None,
    force: options.Force = False,
) -> None:
    """Say how faithful a synthetic table is, and how exposed the patients are."""
    from synthehr.gates import assess, check_gates, limits_of
    from synthehr.io import check_target

    limits = limits_of(fail_under or ())
    for path in (output, *([Path(json)] if json not in (None, "-") else [])):
        check_target(path, force)
    found = assess(
        read_table(real, reading),
        read_table(synthetic, reading),
        model=model,
        holdout=None if holdout is None else read_table(holdout, reading),
        target=target,
        schema=schema,
        patient=patient,
        seed=seed,
        audit=audit.value,
        tell=say,
    )
    found.to_html(output, force=force)
    if json == "-":
        put(found.to_json())
    elif json is not None:
        found.to_json(json, force=force)
    say("\n".join(found.summary()))
    say(f"\nwrote {output}\nnext: open it in a browser")
    check_gates(found, limits)
