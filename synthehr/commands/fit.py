"""`synthehr fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthehr.commands import options
from synthehr.commands.console import beside
from synthehr.commands.fitting import How, checkpoint_of, finish_fit, seed_of
from synthehr.commands.learning import Learned


def fit(
    tables: options.Tables,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The model file.", show_default="TABLE.synthehr"),
    ] = None,
    schema: options.SchemaFile = None,
    model: Annotated[str, typer.Option("--model", help=options.MODELS)] = "auto",
    reading: options.Read = None,
    patient: options.Patient = None,
    visit_time: options.VisitTime = None,
    visit_format: options.VisitFormat = None,
    static: options.Static = None,
    labels: options.Labels = None,
    image_column: options.ImageColumn = None,
    rules: options.RulesFile = None,
    holdout: options.Holdout = None,
    max_minutes: options.MaxMinutes = None,
    seed: options.Seed = None,
    on_text: options.OnTextOption = options.OnText.refuse,
    pii: options.PiiOption = None,
    epsilon: options.Epsilon = None,
    delta: options.Delta = None,
    public_rows: options.PublicRows = None,
    discover: options.Discover = False,
    setting: options.Setting = None,
    config: options.ConfigFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show schema and plan; train and write nothing.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a fit of this output was cut off.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Learn a table, with --time the visits of patients, or images; write a model file."""
    from synthehr.families import synthesizer_of
    from synthehr.io import check_target
    from synthehr.privacy.config import asked
    from synthehr.run.choices import settings_of

    target = output or beside(tables[-1], ".synthehr")
    if not dry_run:
        check_target(target, force)
    seed = seed_of(checkpoint_of(target)) if resume and seed is None else seed
    once = None if static is None else options.names(static)
    what = Learned(tables, reading, visit_time, visit_format, once, labels, image_column)
    chosen = settings_of(model, setting or (), config, family=what.family)
    synthesizer = synthesizer_of(what.family)(model, seed=seed, settings=chosen)
    common = {
        "patient": patient,
        "holdout": holdout,
        "max_minutes": max_minutes,
        "on_text": on_text.value,
        "pii": None if pii is None else pii.value,
        "privacy": asked(epsilon, delta, public_rows, discover),
        "rules": rules,
    }
    how = How(dry_run, resume, force, json, quiet)
    prepared = what.prepared(synthesizer, schema, common)
    finish_fit(synthesizer, prepared, tables[-1], target, how)
