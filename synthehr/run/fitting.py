"""The way of the data in a fit: read, split, encode, train, finish, score."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr import __version__
from synthehr.artifact import Artifact, model_name
from synthehr.config import TrainConfig, apply, typed
from synthehr.encode.config import EncodeConfig
from synthehr.encode.table import TableEncoder
from synthehr.errors import InputError, TrainingError
from synthehr.models.base import NOTHING_GIVEN, Model
from synthehr.run.choices import Options, model_class
from synthehr.run.memory import available
from synthehr.run.summary import HeldOut, independent_loss, shape
from synthehr.schema.checks import check, complete
from synthehr.schema.doubts import doubts
from synthehr.schema.infer import infer, refuse_open, resolve
from synthehr.schema.table import Schema
from synthehr.seeds import CHECK, ENCODER, TRAINING, WEIGHTS, derived, generator
from synthehr.split import held_out, patients_of
from synthehr.train import Callback, History, Runtime, train

if TYPE_CHECKING:
    from synthehr.io import Source

CHECKED = 4096
"""Records that are sampled for the shape figure at the end of a fit."""
_WEIGHT_COPIES = 6
_TOKEN_COPIES = 6


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Everything that a fit needs, before the first step.

    Attributes
    ----------
    schema : Schema
        What the columns are.
    encoder : TableEncoder
        Fitted on the records that are not held out.
    codes, held_out : ndarray of shape (N, 2, D) and (M, 2, D), int16
        The encoded records.
    model : Model
        Freshly built.
    config : dataclass
        The model's settings.
    training : TrainConfig
        How it is trained.
    encoding : EncodeConfig
        How the encoder was fitted.
    patients : int or None
        Number of patients; None where each record is one.
    options : Options
        What the user chose.
    warnings : tuple of str
        What looks odd in the table; no cell value is in it.
    """

    schema: Schema
    encoder: TableEncoder
    codes: NDArray[np.int16]
    held_out: NDArray[np.int16]
    model: Model
    config: Any
    training: TrainConfig
    encoding: EncodeConfig
    patients: int | None
    options: Options
    warnings: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def memory(self) -> int:
        """Predicted memory in bytes that training takes beyond what is taken now."""
        tokens = sum(item.size + int(item.parts.max(initial=1)) for item in self.encoder.fields)
        batch = min(self.training.batch_size, len(self.codes))
        # Gradient, two moments, average, best weights and their like, in single precision.
        states = _WEIGHT_COPIES * 4 * self.weights
        activations = _TOKEN_COPIES * 4 * batch * tokens
        return states + activations + self.codes.nbytes + self.held_out.nbytes

    def plan(self) -> dict[str, Any]:
        """Say what the fit is about to do, in JSON values."""
        return {
            "model": model_name(type(self.model)),
            "weights": self.weights,
            "steps": self.training.steps,
            "batch_size": min(self.training.batch_size, len(self.codes)),
            "fitted_records": len(self.codes),
            "held_out_records": len(self.held_out),
            "modelled_columns": len(self.encoder.modelled),
            "memory_mib": self.memory >> 20,
            "seed": self.options.seed,
            "schema": self.schema.to_json(),
        }


def settle_schema(source: Source, schema: Schema | None, options: Options) -> Schema:
    """Check the schema against the table, or infer one.

    Raises
    ------
    SchemaError
        If the schema does not fit the table.
    """
    if schema is None:
        settled = infer(
            source.table,
            patient=options.patient,
            on_text=options.on_text,
            pii=options.pii,
            pandas_types=source.pandas_types,
        )
    else:
        completed = complete(schema, source.table, source.pandas_types)
        if options.patient is not None:
            named = replace(completed[options.patient], role="patient", kind="id")
            completed = completed.with_columns(named)
        settled = resolve(completed, on_text=options.on_text, pii=options.pii)
        refuse_open(settled)
    check(settled, source.table)
    return settled


def prepare(source: Source, schema: Schema | None, options: Options) -> Preparation:
    """Split off whole patients, fit the encoder, encode, and build the model.

    Raises
    ------
    SynthehrError
        If the table, the schema or a setting cannot be used.
    """
    table = source.table
    settled = settle_schema(source, schema, options)
    patients = patients_of(table, settled.patient)
    aside = held_out(table.num_rows, patients, options.holdout, options.seed)
    fitted = table.filter(~aside)
    encoding = apply(EncodeConfig(), options.settings.get("encode", {}))
    encoder = TableEncoder.fit(
        fitted,
        settled,
        patients=None if patients is None else patients[~aside],
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
    cls = model_class(options.model)
    changes = typed(cls.Config, options.settings.get("model", {}), "model")
    config = cls.sized(encoder.fields, len(codes), changes)
    training = cls.train_config(encoder.fields, len(codes), config)
    with torch.random.fork_rng():
        torch.manual_seed(derived(options.seed, WEIGHTS))
        model = cls.build(encoder.fields, config)
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
        options=options,
        warnings=(*source.warnings, *doubts(settled, table), *encoder.notes),
    )
    _check_memory(prepared)
    return prepared


def _check_memory(prepared: Preparation) -> None:
    left = available()
    if left is not None and prepared.memory > left:
        raise TrainingError(
            f"this fit needs about {prepared.memory / 2**30:.1f} GiB more memory, and "
            f"{left / 2**30:.1f} GiB are left",
            hint="use smaller batches (--set train.batch_size=128), fewer columns, or a larger "
            "machine",
        )


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

    Raises
    ------
    TrainingError
        If the loss stops being a number, or the memory does not suffice.
    """
    model, options = prepared.model, prepared.options
    try:
        history = train(
            model,
            torch.from_numpy(prepared.codes),
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
        model.finish(torch.from_numpy(prepared.codes))
    except (MemoryError, torch.OutOfMemoryError):
        raise TrainingError(
            "the memory does not suffice for this fit",
            hint="train on smaller batches: --set train.batch_size=128",
        ) from None
    model.cpu().eval()
    record = _record(prepared, history, _score(prepared, history))
    artifact = Artifact(model, prepared.encoder, prepared.schema, record, prepared.config)
    return artifact, history


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


def _record(prepared: Preparation, history: History, score: HeldOut | None) -> dict[str, Any]:
    options = prepared.options
    record = {
        "versions": versions(),
        "seed": options.seed,
        "records": len(prepared.codes) + len(prepared.held_out),
        "held_out_records": len(prepared.held_out),
        "patients": prepared.patients,
        "holdout": options.holdout,
        "max_minutes": options.max_minutes,
        "training": asdict(prepared.training),
        "encoding": asdict(prepared.encoding),
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped_by": history.stopped_by,
        "precision": history.precision,
        "device": history.device.split(":")[0],
        "held_out": None if score is None else asdict(score),
    }
    return json.loads(json.dumps(record))


def versions() -> dict[str, str]:
    """Versions of Python, of synthehr and of the libraries that a fit depends on."""
    found = {library: version(library) for library in ("torch", "numpy", "pyarrow")}
    return {"python": platform.python_version(), "synthehr": __version__, **found}
