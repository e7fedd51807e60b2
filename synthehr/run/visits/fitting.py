"""Training a model of visits, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthehr.artifact import SequenceArtifact
from synthehr.encode.fields import Fields
from synthehr.errors import TrainingError
from synthehr.models.sequence_base import Sequences
from synthehr.privacy.ledger import Ledger
from synthehr.run.declared import refuse_resume
from synthehr.run.fitting import versions
from synthehr.run.lawful import broken_unruled
from synthehr.run.summary import HeldOut, independent_loss, shape
from synthehr.run.visits.preparation import SequencePreparation
from synthehr.run.visits.private import train_private_visits
from synthehr.seeds import CHECK, RESAMPLING, TRAINING, derived, generator
from synthehr.train import Callback, History, Runtime, train

CHECKED = 1024
"""Patients that are sampled for the shape figure at the end of a fit."""


def run_sequences(
    prepared: SequencePreparation,
    runtime: Runtime,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
) -> tuple[SequenceArtifact, History]:
    """Train the model and score it on the held-out patients.

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
            history, ledger = train_private_visits(prepared, runtime, callbacks)
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
            model.finish(prepared.codes.to(runtime.device))
            model.cpu().adjust(prepared.codes)
    except (MemoryError, torch.OutOfMemoryError):
        raise TrainingError(
            "the memory does not suffice for this fit",
            hint="train on smaller batches: --set train.batch_size=16",
        ) from None
    model.cpu().eval()
    record = _record(prepared, history, ledger)
    artifact = SequenceArtifact(model, prepared.encoder, prepared.schema, record, prepared.config)
    return artifact, history


def _random(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(derived(seed, stream))


def _score(prepared: SequencePreparation, history: History, drawn: Sequences) -> HeldOut | None:
    """Score what was held out, patient by patient; None where nothing was."""
    held = prepared.held_out
    if not len(held):
        return None
    fields, fitted = prepared.encoder.fields, prepared.codes
    parts = [(fields.visits, 1), (fields.static, 0)] if fields.static else [(fields.visits, 1)]
    visits = fields.mean_visits
    losses = [
        independent_loss(of, _codes(held, part), len(_codes(fitted, part))) * (visits**part)
        for of, part in parts
    ]
    return HeldOut(
        records=len(held),
        loss=history.best_held_out,
        independent=sum(losses) + np.log(visits) * visits,
        shape=_shape(parts, drawn, held),
        shape_ceiling=_shape(parts, fitted, held),
    )


def _without_rules(prepared: SequencePreparation, drawn: Sequences) -> dict[str, Any]:
    codes = drawn.codes()
    table = prepared.encoder.decode(codes, generator(prepared.options.seed, CHECK))
    return broken_unruled(prepared.rules, prepared.schema, table, codes.starts)


def _codes(sequences: Sequences, part: int) -> Any:
    return sequences.tensors[part].cpu().numpy()


def _shape(parts: list[tuple[Fields, int]], first: Sequences, second: Sequences) -> float:
    columns = [len(of) for of, _ in parts]
    agreed = [shape(of, _codes(first, part), _codes(second, part)) for of, part in parts]
    return float(np.average(agreed, weights=columns))


def _record(
    prepared: SequencePreparation, history: History, ledger: Ledger | None
) -> dict[str, Any]:
    options, visits = prepared.options, prepared.visits
    n = min(CHECKED, max(len(prepared.codes), 256))
    drawn = prepared.model.sample(n, _random(options.seed, CHECK))
    score = _score(prepared, history, drawn)
    record = {
        "versions": versions(),
        "seed": options.seed,
        "records": prepared.records,
        "patients": prepared.patients,
        "held_out_records": len(prepared.held_out.visits),
        "held_out_patients": len(prepared.held_out),
        "holdout": options.share_held_out,
        "max_minutes": options.max_minutes,
        "layout": visits.layout,
        "layout_details": visits.details,
        "static": [name for name in visits.static if name in prepared.schema.names],
        "training": asdict(prepared.training),
        "encoding": asdict(prepared.encoding),
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped_by": history.stopped_by,
        "precision": history.precision,
        "device": history.device.split(":")[0],
        "held_out": None if score is None else asdict(score),
        "privacy": None if ledger is None else ledger.to_json(),
        "rules": None,
        "drawn_without_rules": None,
    }
    if prepared.rules.rules:
        record["rules"] = prepared.rules.to_json()
        record["drawn_without_rules"] = _without_rules(prepared, drawn)
    return json.loads(json.dumps(record))
