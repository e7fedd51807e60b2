"""From a prepared fit to a model file: tell the plan, train, write, say how it went."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from synthehr.commands.console import put_json, say
from synthehr.commands.spending import note_spending

UNITS = ("patients", "images", "records")
"""What a fit may learn."""


@dataclass(frozen=True)
class How:
    """How a fit is carried out; as the options of the same names."""

    dry_run: bool
    resume: bool
    force: bool
    json: bool
    quiet: bool


def finish_fit(synthesizer: Any, prepared: Any, table: Path, target: Path, how: How) -> None:
    """Train what was prepared and write the model file; with a dry run only tell the plan.

    Parameters
    ----------
    synthesizer : Synthesizer or SequenceSynthesizer
    prepared : Preparation or SequencePreparation
        What its `prepare` gave.
    table, target : Path
        What is learned, and where the model file goes.
    how : How
        How it is carried out.
    """
    from synthehr.schema.listing import schema_grid

    for warning in prepared.warnings:
        say(f"warning: {warning}", quiet=how.quiet)
    result = prepared.plan()
    columns = f"{schema_grid(prepared.schema)}\n\n" if prepared.schema.columns else ""
    say(columns + plan_text(result), quiet=how.quiet)
    if result["privacy"] is not None and not how.dry_run:
        note_spending(target, table, result["privacy"])
    if not how.dry_run:
        result = _train(synthesizer, prepared, target, how)
    if how.json:
        put_json(result)


def checkpoint_of(target: Path) -> Path:
    """Say where the state of an unfinished fit is kept."""
    return target.with_name(target.name + ".checkpoint")


def seed_of(checkpoint: Path) -> int | None:
    """Find the seed of the fit that left a checkpoint; None where there is none."""
    from synthehr.train.checkpoint import note_of

    return note_of(checkpoint).get("seed")


def plan_text(plan: dict[str, Any]) -> str:
    """Say what a fit is about to do, before it does it."""
    from synthehr.privacy.listing import ledger_grid

    unit = next(unit for unit in UNITS if f"fitted_{unit}" in plan)
    visits = f" with {plan['visits']:,} visits" if "visits" in plan else ""
    text = (
        f"plan: {plan['model']} with {plan['weights']:,} weights, at most {plan['steps']:,} steps "
        f"of {plan['batch_size']} {unit} on {plan[f'fitted_{unit}']:,} {unit} "
        f"({plan[f'held_out_{unit}']:,} held out){visits}, about {plan['memory_mib']:,} MiB more "
        f"memory, seed {plan['seed']}"
    )
    if plan["privacy"] is None:
        return text
    return f"{text}\n\n{ledger_grid(plan['privacy'])}"


def _train(synthesizer: Any, prepared: Any, target: Path, how: How) -> dict[str, Any]:
    from synthehr.io.lock import locked
    from synthehr.train.callbacks import progress

    checkpoint = checkpoint_of(target)
    started = time.monotonic()
    try:
        with locked(target), nullcontext() if how.quiet else progress() as callback:
            synthesizer.train(
                prepared,
                callbacks=[callback] if callback else [],
                checkpoint=checkpoint,
                resume=how.resume,
            )
            synthesizer.save(target, force=how.force)
    except KeyboardInterrupt:
        left = f"its state is in {checkpoint}; go on with --resume" if checkpoint.exists() else ""
        say(f"\ninterrupted; {target} was not written{'; ' + left if left else ''}")
        raise typer.Exit(130) from None
    checkpoint.unlink(missing_ok=True)
    seconds = time.monotonic() - started
    say(summary_text(synthesizer.record, seconds), quiet=how.quiet)
    say(f"wrote {target}\nnext: {_next(prepared.plan(), target)}", quiet=how.quiet)
    return {"output": str(target), "seconds": round(seconds, 3), **synthesizer.record}


def _next(plan: dict[str, Any], target: Path) -> str:
    if plan["model"] == "cyclegan":
        return f"synthehr translate {target} IMAGES -o translated"
    output = "synthetic" if "fitted_images" in plan else "synthetic.parquet"
    return f"synthehr sample {target} -o {output}"


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
    if "likeness" in score:
        return f"{line}\n{_images_text(score)}"
    unit = "patient" if "held_out_patients" in record else "record"
    loss = "" if score["loss"] is None else f"loss {score['loss']:.2f}, "
    return (
        f"{line}\nheld out ({score['records']:,} {unit}s): {loss}independent columns "
        f"{score['independent']:.2f} nats a {unit}; shape {score['shape']:.3f} "
        f"(real {unit}s {score['shape_ceiling']:.3f})"
    )


def _images_text(score: dict[str, Any]) -> str:
    text = f"held out ({score['records']:,} images): loss {score['loss']:.3g}"
    if score["likeness"] is None:
        return text
    return (
        f"{text}; kernel distance of drawn images {score['likeness']:.3g} "
        f"(real images {score['likeness_floor']:.3g})"
    )
