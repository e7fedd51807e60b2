"""`synthehr sample`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.run.drawing import Tally
    from synthehr.run.fairness import ParityGaps


def sample(
    model: options.ModelFile,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            "-n",
            help="How many records, patients or images; else as many as fitted.",
        ),
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
    parity: Annotated[
        str | None,
        typer.Option(
            "--parity", metavar="TARGET|GROUP", help="The target shall not hang on the group."
        ),
    ] = None,
    seed: options.Seed = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw synthetic records, patients with their visits, or images, from a model file."""
    from synthehr.artifact import family_at
    from synthehr.commands.images import sample_images
    from synthehr.commands.visits import sample_visits
    from synthehr.families import IMAGES, TABLES, VISITS

    draw = {TABLES: _sample_table, VISITS: sample_visits, IMAGES: sample_images}[family_at(model)]
    draw(model, rows, output, given, parity, seed, force=force, json=json, quiet=quiet)


def _sample_table(
    model: Path,
    rows: int | None,
    output: str,
    given: str | None,
    parity: str | None,
    seed: int | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    from synthehr.artifact import load
    from synthehr.io import check_target, write_table
    from synthehr.modes.given import wished
    from synthehr.modes.parity import Parity
    from synthehr.run.drawing import Tally, draw
    from synthehr.run.fairness import ParityGaps
    from synthehr.seeds import settled

    if output != "-":
        check_target(Path(output), force)
    settled_seed, tally, artifact = settled(seed), Tally(), load(model)
    asked = None if parity is None else Parity.parse(parity)
    if asked is not None and given is not None:
        raise ConfigError("--parity and --given both say what records hold", hint="give one")
    wish = wished(artifact, rows, given if asked is None else asked, settled_seed)
    records = draw(artifact, wish, settled_seed, tally)
    gaps = None if asked is None else ParityGaps(artifact, asked, settled_seed)
    records = records if gaps is None else gaps.watched(records)
    write_table(records, output, force=force, pandas_types=artifact.schema.pandas_types)
    say(f"{wish.n:,} records, seed {settled_seed}", quiet=quiet)
    for sentence in _told(tally, len(artifact.rules.rules), gaps):
        say(sentence, quiet=quiet)
    if json and output != "-":
        put_json(
            {
                "output": output,
                "records": wish.n,
                "seed": settled_seed,
                "drawn": tally.drawn or None,
                "kept": tally.kept or None,
                "rules": len(artifact.rules.rules),
                "values_redrawn": tally.repairs.values,
                "records_redrawn": tally.repairs.records,
                "parity": None if gaps is None else gaps.to_json(),
            }
        )
    if output != "-":
        say(f"wrote {output}\nnext: synthehr report REAL {output} --model {model}", quiet=quiet)


def _told(tally: Tally, rules: int, gaps: ParityGaps | None) -> Iterator[str]:
    """Say what conditions, parity and rules cost."""
    if tally.drawn:
        share = tally.kept / tally.drawn
        yield (
            f"{tally.kept:,} of {tally.drawn:,} drawn records satisfied the conditions "
            f"({share:.2%})"
        )
    if gaps is not None:
        yield gaps.sentence()
    if rules:
        yield (
            f"{rules} rules kept: {tally.repairs.values:,} records had values drawn anew, "
            f"{tally.repairs.records:,} records were drawn anew"
        )
