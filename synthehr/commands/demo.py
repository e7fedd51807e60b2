"""`synthehr demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options


def demo(
    folder: Annotated[Path, typer.Argument(help="Where everything is written.")] = Path("demo"),
    patients: Annotated[int, typer.Option("--patients", min=100, help="How many.")] = 4000,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulation.")] = 0,
    force: options.Force = False,
) -> None:
    """Simulate a cohort and take it through fit, sample and report."""
    from synthehr.demo import run_demo

    run_demo(folder, patients=patients, seed=seed, force=force)
