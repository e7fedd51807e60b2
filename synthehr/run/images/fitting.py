"""Training a model of images, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from synthehr.encode.config import EncodeConfig
from synthehr.errors import ConfigError, TrainingError
from synthehr.models.image_base import signed
from synthehr.models.image_likeness import DRAWN, likeness
from synthehr.privacy.ledger import Ledger
from synthehr.run.declared import ENCODING, refuse_resume
from synthehr.run.fitting import versions
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.preparation import ImagePreparation
from synthehr.run.images.private_training import train_private_images
from synthehr.run.images.scoring import unusual
from synthehr.seeds import CHECK, RESAMPLING, TRAINING, derived
from synthehr.train import Callback, History, Runtime, train

LEAST_USUAL = 40
"""Fewer held-out images say little of what is usual."""


def run_images(
    prepared: ImagePreparation,
    runtime: Runtime,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
) -> tuple[ImageArtifact, History]:
    """Train the model and score it on the held-out images.

    Under differential privacy there is neither a score nor a checkpoint.

    Raises
    ------
    ConfigError
        If a private fit is to be resumed.
    TrainingError
        If the loss stops being a number, or the memory does not suffice.
    """
    model, options, ledger = prepared.model, prepared.options, None
    try:
        if prepared.private is not None:
            refuse_resume(resume)
            history, ledger = train_private_images(prepared, runtime, callbacks)
            model.cpu().eval()
        else:
            model.begin(prepared.codes, _random(options.seed, RESAMPLING))
            history = train(
                model,
                prepared.codes,
                prepared.held_out,
                prepared.training,
                seed=derived(options.seed, TRAINING),
                runtime=runtime,
                max_minutes=options.max_minutes,
                callbacks=callbacks,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
                note={"seed": options.seed},
            )
            model.cpu().eval()
            model.finish(prepared.codes)
    except (MemoryError, torch.OutOfMemoryError):
        raise TrainingError(
            "the memory does not suffice for this fit",
            hint="train on smaller batches: --set train.batch_size=16",
        ) from None
    record = _record(prepared, history, ledger)
    artifact = ImageArtifact(model, prepared.encoder, prepared.schema, record, prepared.config)
    return artifact, history


def _random(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived(seed, stream))


def _score(prepared: ImagePreparation, history: History) -> dict[str, Any] | None:
    """Score what was held out; None where nothing was."""
    held = prepared.held_out.some(DRAWN)
    if not len(held):
        return None
    score = {"records": len(prepared.held_out), "loss": history.best_held_out, "likeness": None}
    if prepared.model.draws:
        drawn = prepared.model.sample(len(held), _random(prepared.options.seed, CHECK))
        real, fitted = signed(held.pixels), prepared.codes.some(len(held))
        score["likeness"] = likeness(real, signed(drawn.pixels))
        score["likeness_floor"] = likeness(real, signed(fitted.pixels))
    return score


def _usual_scores(prepared: ImagePreparation) -> list[float] | None:
    """Quantiles of how unusual held-out images are; None where the model cannot tell."""
    held, model = prepared.held_out, prepared.model
    if len(held) < LEAST_USUAL:
        return None
    pixels = signed(held.pixels)
    try:
        rebuilt = model.rebuild(model.embed(pixels, held.codes.long()), held.codes.long())
    except ConfigError:
        return None
    shares = torch.linspace(0.05, 0.95, 19)
    return unusual(pixels, rebuilt).quantile(shares).tolist()


def _record(prepared: ImagePreparation, history: History, ledger: Ledger | None) -> dict[str, Any]:
    options = prepared.options
    record = {
        "versions": versions(),
        "seed": options.seed,
        "records": prepared.images,
        "held_out_records": len(prepared.held_out),
        "patients": prepared.patients,
        "holdout": options.share_held_out,
        "split": prepared.as_told,
        "max_minutes": options.max_minutes,
        "layout": prepared.source.layout.to_json(),
        "training": asdict(prepared.training),
        "encoding": asdict(EncodeConfig() if ledger is None else ENCODING),
        "raster": asdict(prepared.raster),
        "steps": history.steps,
        "free_steps": history.steps if ledger is not None and prepared.model.looks_once else 0,
        "best_step": history.best_step,
        "stopped_by": history.stopped_by,
        "precision": history.precision,
        "device": history.device.split(":")[0],
        "held_out": _score(prepared, history),
        "usual_scores": _usual_scores(prepared),
        "privacy": None if ledger is None else ledger.to_json(),
        "rules": None,
    }
    return json.loads(json.dumps(record))
