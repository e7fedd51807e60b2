"""The way of the data in a fit: read, split, encode, train, finish, score."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from synthehr import __version__
from synthehr.artifact import Artifact
from synthehr.config import apply
from synthehr.encode.config import EncodeConfig
from synthehr.encode.table import TableEncoder
from synthehr.errors import InputError, TrainingError
from synthehr.models.base import NOTHING_GIVEN
from synthehr.privacy.ledger import Ledger
from synthehr.run.choices import Options
from synthehr.run.declared import refuse_resume
from synthehr.run.lawful import broken_unruled, learned_rules, learned_schema, rule_warnings
from synthehr.run.memory import check_memory
from synthehr.run.preparation import (
    Preparation,
    built,
    refuse_privacy_settings,
    settle_schema,
)
from synthehr.run.private import prepare_private, train_private
from synthehr.run.summary import HeldOut, independent_loss, shape
from synthehr.schema.doubts import doubts
from synthehr.schema.table import Schema
from synthehr.seeds import CHECK, ENCODER, RESAMPLING, TRAINING, derived, generator
from synthehr.split import held_out, patients_of
from synthehr.train import Callback, History, Runtime, train

if TYPE_CHECKING:
    from synthehr.io import Source

CHECKED = 4096
"""Records that are sampled for the shape figure at the end of a fit."""


def prepare(source: Source, schema: Schema | None, options: Options) -> Preparation:
    """Split off whole patients, fit the encoder, encode, and build the model.

    Raises
    ------
    SynthehrError
        If the table, the schema or a setting cannot be used.
    """
    if options.privacy is not None:
        return prepare_private(source, schema, options)
    refuse_privacy_settings(options)
    table = source.table
    settled = settle_schema(source, schema, options)
    learned = learned_schema(options.rules, settled, table)
    patients = patients_of(table, settled.patient)
    aside = held_out(table.num_rows, patients, options.share_held_out, options.seed)
    fitted = table.filter(~aside)
    encoding = apply(EncodeConfig(), options.settings.get("encode", {}))
    owners = None if patients is None else patients[~aside]
    encoder = TableEncoder.fit(
        fitted,
        learned,
        patients=owners,
        config=encoding,
        rng=generator(options.seed, ENCODER),
    )
    if not encoder.modelled:
        k = encoding.rare_patients
        raise InputError(
            f"no column of the {fitted.num_rows} fitted records has values that {k} patients hold",
            hint="give more records; what fewer patients hold is not learned",
        )
    codes = encoder.encode(fitted)
    model, config = built(encoder.fields, len(codes), options)
    training = model.train_config(encoder.fields, len(codes), config)
    prepared = Preparation(
        schema=settled,
        encoder=encoder,
        codes=codes,
        held_out=encoder.encode(table.filter(aside)),
        model=model,
        config=config,
        encoding=encoding,
        training=apply(training, options.settings.get("train", {})),
        patients=None if patients is None else int(patients.max()) + 1,
        owners=owners,
        options=options,
        warnings=(
            *source.warnings,
            *doubts(settled, table),
            *encoder.notes,
            *rule_warnings(options.rules, table),
        ),
        rules=learned_rules(options.rules, fitted, owners, encoding.rare_patients),
    )
    check_memory(prepared.memory, 128)
    return prepared


def run(
    prepared: Preparation,
    runtime: Runtime,
    *,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
) -> tuple[Artifact, History]:
    """Train the model and score it on the held-out records.

    Under differential privacy there is neither a score nor a checkpoint.

    Raises
    ------
    ConfigError
        If a private fit is to be resumed.
    TrainingError
        If the loss stops being a number, or the memory does not suffice.
    """
    model, ledger = prepared.model, None
    try:
        if prepared.private is not None:
            refuse_resume(resume)
            history, ledger = train_private(prepared, runtime, callbacks)
        else:
            history = _train(
                prepared,
                runtime,
                callbacks=callbacks,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
            )
    except (MemoryError, torch.OutOfMemoryError):
        raise TrainingError(
            "the memory does not suffice for this fit",
            hint="train on smaller batches: --set train.batch_size=128",
        ) from None
    model.cpu().eval()
    record = _record(prepared, history, _score(prepared, history), ledger)
    artifact = Artifact(model, prepared.encoder, prepared.schema, record, prepared.config)
    return artifact, history


def _train(
    prepared: Preparation,
    runtime: Runtime,
    *,
    callbacks: Sequence[Callback],
    checkpoint: Path | None,
    checkpoint_every: float,
    resume: bool,
) -> History:
    codes, options = torch.from_numpy(prepared.codes), prepared.options
    owners = None if prepared.owners is None else torch.from_numpy(prepared.owners)
    random = torch.Generator().manual_seed(derived(options.seed, RESAMPLING))
    prepared.model.begin(codes, owners, random)
    history = train(
        prepared.model,
        codes,
        torch.from_numpy(prepared.held_out),
        prepared.training,
        seed=derived(options.seed, TRAINING),
        runtime=runtime,
        fields=prepared.encoder.fields,
        max_minutes=options.max_minutes,
        callbacks=callbacks,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        note={"seed": options.seed},
    )
    prepared.model.finish(codes)
    return history


def _score(prepared: Preparation, history: History) -> HeldOut | None:
    if not len(prepared.held_out):
        return None
    fields = prepared.encoder.fields
    n_checked = min(CHECKED, max(len(prepared.codes), 256))
    random = torch.Generator().manual_seed(derived(prepared.options.seed, CHECK))
    sampled = prepared.model.sample(n_checked, NOTHING_GIVEN, random).cpu().numpy()
    return HeldOut(
        records=len(prepared.held_out),
        loss=history.best_held_out,
        independent=independent_loss(fields, prepared.held_out, len(prepared.codes)),
        shape=shape(fields, sampled, prepared.held_out),
        shape_ceiling=shape(fields, prepared.codes, prepared.held_out),
    )


def _without_rules(prepared: Preparation) -> dict[str, Any]:
    random = torch.Generator().manual_seed(derived(prepared.options.seed, CHECK))
    codes = prepared.model.sample(CHECKED, NOTHING_GIVEN, random).cpu().numpy()
    drawn = prepared.encoder.decode(codes, generator(prepared.options.seed, CHECK))
    return broken_unruled(prepared.rules, prepared.schema, drawn)


def _record(
    prepared: Preparation, history: History, score: HeldOut | None, ledger: Ledger | None
) -> dict[str, Any]:
    options = prepared.options
    record = {
        "versions": versions(),
        "seed": options.seed,
        "records": prepared.records,
        "held_out_records": len(prepared.held_out),
        "patients": prepared.patients,
        "holdout": options.share_held_out,
        "max_minutes": options.max_minutes,
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
        record["drawn_without_rules"] = _without_rules(prepared)
    return json.loads(json.dumps(record))


def versions() -> dict[str, str]:
    """Versions of Python, of synthehr and of the libraries that a fit depends on."""
    found = {library: version(library) for library in ("torch", "numpy", "pyarrow")}
    return {"python": platform.python_version(), "synthehr": __version__, **found}
