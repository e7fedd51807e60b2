"""`synthehr fit`."""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthehr.commands import options
from synthehr.commands.console import beside, put_json, say
from synthehr.commands.reading import read_table
from synthehr.commands.spending import note_spending

if TYPE_CHECKING:
    from synthehr.run.preparation import Preparation
    from synthehr.synthesizer import Synthesizer


def fit(
    table: options.Table,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The model file.", show_default="TABLE.synthehr"),
    ] = None,
    schema: options.SchemaFile = None,
    model: Annotated[
        str, typer.Option("--model", help="auto, autoregressive, vae, gan or cgan.")
    ] = "auto",
    reading: options.Read = None,
    patient: options.Patient = None,
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
    config: Annotated[
        Path | None, typer.Option("--config", help="A TOML file of settings.")
    ] = None,
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
    """Learn a table and write a model file."""
    from synthehr.io import check_target
    from synthehr.privacy.config import asked
    from synthehr.run.choices import settings_of
    from synthehr.schema.listing import schema_grid
    from synthehr.synthesizer import Synthesizer

    target = output or beside(table, ".synthehr")
    if not dry_run:
        check_target(target, force)
    if resume and seed is None:
        seed = seed_of(checkpoint_of(target))
    synthesizer = Synthesizer(model, seed=seed, settings=settings_of(model, setting or (), config))
    prepared = synthesizer.prepare(
        read_table(table, reading),
        schema,
        patient,
        holdout=holdout,
        max_minutes=max_minutes,
        on_text=on_text.value,
        pii=None if pii is None else pii.value,
        privacy=asked(epsilon, delta, public_rows, discover),
        rules=rules,
    )
    for warning in prepared.warnings:
        say(f"warning: {warning}", quiet=quiet)
    say(f"{schema_grid(prepared.schema)}\n\n{plan_text(prepared)}", quiet=quiet)
    result = prepared.plan()
    if result["privacy"] is not None and not dry_run:
        note_spending(target, table, result["privacy"])
    if not dry_run:
        result = _train(synthesizer, prepared, target, resume=resume, force=force, quiet=quiet)
    if json:
        put_json(result)


def checkpoint_of(target: Path) -> Path:
    """Say where the state of an unfinished fit is kept."""
    return target.with_name(target.name + ".checkpoint")


def seed_of(checkpoint: Path) -> int | None:
    """Find the seed of the fit that left a checkpoint; None where there is none."""
    from synthehr.train.checkpoint import note_of

    return note_of(checkpoint).get("seed")


def plan_text(prepared: Preparation) -> str:
    """Say what a fit is about to do, before it does it."""
    from synthehr.privacy.listing import ledger_grid

    plan = prepared.plan()
    text = (
        f"plan: {plan['model']} with {plan['weights']:,} weights, at most {plan['steps']:,} steps "
        f"of {plan['batch_size']} records on {plan['fitted_records']:,} records "
        f"({plan['held_out_records']:,} held out), about {plan['memory_mib']:,} MiB more memory, "
        f"seed {plan['seed']}"
    )
    if plan["privacy"] is None:
        return text
    return f"{text}\n\n{ledger_grid(plan['privacy'])}"


def _train(
    synthesizer: Synthesizer,
    prepared: Preparation,
    target: Path,
    *,
    resume: bool,
    force: bool,
    quiet: bool,
) -> dict[str, Any]:
    from synthehr.io.lock import locked
    from synthehr.train.callbacks import progress

    checkpoint = checkpoint_of(target)
    started = time.monotonic()
    try:
        with locked(target), nullcontext() if quiet else progress() as callback:
            synthesizer.train(
                prepared,
                callbacks=[callback] if callback else [],
                checkpoint=checkpoint,
                resume=resume,
            )
            synthesizer.save(target, force=force)
    except KeyboardInterrupt:
        left = f"its state is in {checkpoint}; go on with --resume" if checkpoint.exists() else ""
        say(f"\ninterrupted; {target} was not written{'; ' + left if left else ''}")
        raise typer.Exit(130) from None
    checkpoint.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    say(summary_text(synthesizer.record, seconds), quiet=quiet)
    say(f"wrote {target}\nnext: synthehr sample {target} -o synthetic.parquet", quiet=quiet)
    return {"output": str(target), "seconds": round(seconds, 3), **synthesizer.record}


def summary_text(record: dict[str, Any], seconds: float) -> str:
    """Say in one line how well a fit went."""
    line = (
        f"fitted in {seconds:.1f} s, {record['steps']:,} steps (stopped by {record['stopped_by']})"
    )
    if record["privacy"] is not None:
        return "\n".join([line, *record["privacy"]["claim"]])
    score = record["held_out"]
    if score is None:
        return f"{line}; no records were held out, so nothing says how good it is"
    loss = "" if score["loss"] is None else f"loss {score['loss']:.2f}, "
    return (
        f"{line}\nheld out ({score['records']:,} records): {loss}independent columns "
        f"{score['independent']:.2f} nats a record; shape {score['shape']:.3f} "
        f"(real records {score['shape_ceiling']:.3f})"
    )
