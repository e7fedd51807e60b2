"""`synthehr sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say


def sample(
    model: options.ModelFile,
    rows: Annotated[
        int | None,
        typer.Option("--rows", "-n", help="How many; by default as many as were fitted."),
    ] = None,
    output: options.TableOut = "synthetic.parquet",
    given: Annotated[
        str | None,
        typer.Option(
            "--given",
            metavar="CONDITIONS",
            help="'sex=F, age=60:80, unit=a|b, diagnosis=null', or a table of partial records.",
        ),
    ] = None,
    seed: options.Seed = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw synthetic records from a model file."""
    from synthehr.artifact import load
    from synthehr.io import check_target, write_table
    from synthehr.modes.given import wished
    from synthehr.run.drawing import Tally, draw
    from synthehr.seeds import settled

    if output != "-":
        check_target(Path(output), force)
    settled_seed, tally = settled(seed), Tally()
    artifact = load(model)
    wish = wished(artifact, rows, given)
    records = draw(artifact, wish, settled_seed, tally)
    write_table(records, output, force=force, pandas_types=artifact.schema.pandas_types)
    say(f"{wish.n:,} records, seed {settled_seed}", quiet=quiet)
    if tally.drawn:
        say(
            f"{tally.kept:,} of {tally.drawn:,} drawn records satisfied the conditions "
            f"({tally.kept / tally.drawn:.2%})",
            quiet=quiet,
        )
    repairs = tally.repairs
    if artifact.rules.rules:
        say(
            f"{len(artifact.rules.rules)} rules kept: {repairs.values:,} records had values drawn "
            f"anew, {repairs.records:,} records were drawn anew",
            quiet=quiet,
        )
    if json and output != "-":
        put_json(
            {
                "output": output,
                "records": wish.n,
                "seed": settled_seed,
                "drawn": tally.drawn or None,
                "kept": tally.kept or None,
                "rules": len(artifact.rules.rules),
                "values_redrawn": repairs.values,
                "records_redrawn": repairs.records,
            }
        )
    if output != "-":
        say(f"wrote {output}\nnext: synthehr report REAL {output} --model {model}", quiet=quiet)
