"""`synthehr rebalance`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthehr.commands import options
from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.run.rebalancing import Rebalanced


def rebalance(
    model: options.ModelFile,
    table: options.Table,
    target: Annotated[
        str,
        typer.Option("--target", metavar="A,B", help="The columns whose levels are the classes."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SIZE",
            help="How large classes become beside the largest: 0.5 for all, or 'LEVEL=0.3, …'; "
            "above 1 a number of records.",
        ),
    ] = "0.5",
    output: options.TableOut = "balanced.parquet",
    allow_few: Annotated[
        bool,
        typer.Option("--allow-few", help="Grow classes that fewer than 20 patients hold, too."),
    ] = False,
    keep: Annotated[
        float | None,
        typer.Option(
            "--keep",
            help="Chance that a cell of the real record stays around which one is added; 0: drawn "
            "from the model alone. By default 0.5, and 0 under differential privacy.",
        ),
    ] = None,
    seed: options.Seed = None,
    reading: options.Read = None,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Add synthetic records of rare classes, or patients with their visits, to a table.

    A column synthetic marks them.
    """
    from synthehr.io import check_target, write_table
    from synthehr.seeds import settled

    if output != "-":
        check_target(Path(output), force)
    settled_seed, size = settled(seed), size_of(to)
    source = read_table(table, reading)
    balanced = _balanced(
        model, source.table, options.names(target), size, settled_seed, allow_few, keep
    )
    for warning in source.warnings:
        say(f"warning: {warning}", quiet=quiet)
    write_table(iter([balanced.table]), output, force=force, pandas_types=source.pandas_types)
    grown = int((balanced.added > 0).sum())
    say(
        f"{int(balanced.added.sum()):,} records added to {grown} of {len(balanced.added)} "
        f"classes, seed {settled_seed}",
        quiet=quiet,
    )
    if balanced.redrawn:
        say(
            f"{balanced.redrawn:,} draws that copied a real record were made anew, and "
            f"{balanced.left_out:,} left out",
            quiet=quiet,
        )
    if json and output != "-":
        put_json({"output": output, **figures(balanced), "seed": settled_seed})
    if output != "-":
        say(f"wrote {output}", quiet=quiet)


def _balanced(
    model: Path,
    table: pa.Table,
    targets: list[str],
    size: float | dict[str, float],
    seed: int,
    allow_few: bool,
    keep: float | None,
) -> Rebalanced:
    from synthehr.artifact import family_at, load, load_sequences
    from synthehr.families import VISITS
    from synthehr.run.rebalancing import rebalance
    from synthehr.run.visits.rebalancing import rebalance_patients

    if family_at(model) is VISITS:
        if keep:
            raise ConfigError(
                "--keep is for records, and added patients with visits are drawn whole",
                hint="leave --keep out",
            )
        visits = load_sequences(model)
        return rebalance_patients(visits, table, targets, size, seed=seed, allow_few=allow_few)
    return rebalance(load(model), table, targets, size, seed=seed, allow_few=allow_few, keep=keep)


def figures(balanced: Rebalanced) -> dict[str, Any]:
    """Say what was added, class by class."""
    rows = zip(
        balanced.levels.to_pylist(),
        balanced.added.tolist(),
        balanced.prior.before.tolist(),
        balanced.prior.after.tolist(),
        strict=True,
    )
    names = ("level", "added", "share_before", "share_after")
    return {
        "records": balanced.table.num_rows,
        "added": int(balanced.added.sum()),
        "classes": [dict(zip(names, row, strict=True)) for row in rows],
        "redrawn": balanced.redrawn,
        "left_out": balanced.left_out,
    }


def size_of(text: str) -> float | dict[str, float]:
    """Read a size, or sizes of classes.

    Raises
    ------
    ConfigError
        It is neither.
    """
    try:
        if "=" not in text:
            return float(text)
        pairs = [pair.rpartition("=") for pair in options.names(text)]
        return {name.strip(): float(size) for name, _, size in pairs}
    except ValueError:
        raise ConfigError(
            "--to must be a number, or levels with numbers",
            hint="for example --to 0.5, or --to 'rare=0.3, rarer=0.2'",
        ) from None
