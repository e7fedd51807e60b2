"""What a fit of visits needs before its first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import model_name
from synthehr.config import TrainConfig, apply
from synthehr.encode.config import EncodeConfig
from synthehr.encode.sequence import SequenceEncoder, SequenceFields
from synthehr.errors import ConfigError, InputError
from synthehr.io import Source
from synthehr.io.visits import VisitTable
from synthehr.models.sequence_base import SequenceModel, Sequences
from synthehr.modes.constraints import NO_RULES, Rules
from synthehr.privacy.windows import Windows
from synthehr.run.choices import Options, sequence_class
from synthehr.run.lawful import learned_rules, learned_schema, monotone, rule_warnings
from synthehr.run.memory import check_memory
from synthehr.run.preparation import (
    PrivatePart,
    built_of,
    refuse_privacy_settings,
    settle_schema,
)
from synthehr.schema.column import shown
from synthehr.schema.doubts import doubts
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, generator
from synthehr.split import held_out

LEAST_PATIENTS = 20
"""Fewer patients are no cohort to learn from."""
_STATES = 10
_ACTIVATIONS = 12


class PrivateVisits(NamedTuple):
    """What a fit of visits under differential privacy needs besides.

    Attributes
    ----------
    part : PrivatePart
        As for tables; records are what patients have once.
    course : Sequences
        Patients that hold what was measured of columns and of numbers of visits, and nobody's.
    windows : Windows
        What was measured of visits beside what was last seen before them.
    """

    part: PrivatePart
    course: Sequences
    windows: Windows


@dataclass(frozen=True, kw_only=True)
class SequencePreparation:
    """Everything that a fit of visits needs, before the first step.

    Attributes
    ----------
    visits : VisitTable
        The table that was given, without its rows.
    schema : Schema
        What the columns are.
    encoder : SequenceEncoder
        Fitted on the patients that are not held out.
    codes, held_out : Sequences
        The encoded patients.
    model : SequenceModel
        Freshly built.
    config : dataclass
        The model's settings.
    training : TrainConfig
        How it is trained.
    encoding : EncodeConfig
        How the encoder was fitted.
    options : Options
        What the user chose.
    warnings : tuple of str
        What looks odd in the table; no cell value is in it.
    private : PrivateVisits or None
        For a fit under differential privacy.
    rules : Rules
        What sampled visits keep.
    """

    visits: VisitTable
    schema: Schema
    encoder: SequenceEncoder
    codes: Sequences
    held_out: Sequences
    model: SequenceModel
    config: Any
    training: TrainConfig
    encoding: EncodeConfig
    options: Options
    warnings: tuple[str, ...]
    private: PrivateVisits | None = None
    rules: Rules = NO_RULES

    @property
    def patients(self) -> int:
        """Number of patients; under differential privacy the declared one."""
        if self.private is not None:
            return self.private.part.ledger.public_patients
        return len(self.codes) + len(self.held_out)

    @property
    def records(self) -> int:
        """Number of visits; under differential privacy the measured one."""
        if self.private is not None:
            return len(self.private.course.visits)
        return len(self.codes.visits) + len(self.held_out.visits)

    @property
    def batch_size(self) -> int:
        """Patients of a batch."""
        return min(self.training.batch_size, self.patients - len(self.held_out))

    @property
    def weights(self) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def memory(self) -> int:
        """Predicted memory in bytes that training takes beyond what is taken now."""
        tokens = sum(field.size for field in self.encoder.fields.visits)
        batch, longest = self.batch_size, int(self.codes.lengths.max())
        if self.private is not None:
            batch, longest = self.private.part.plan.slots, self.private.part.config.max_visits
        activations = _ACTIVATIONS * 4 * batch * longest * (tokens + 512)
        return _STATES * 4 * self.weights + activations

    def plan(self) -> dict[str, Any]:
        """Say what the fit is about to do, in JSON values."""
        return {
            "model": model_name(type(self.model)),
            "weights": self.weights,
            "steps": self.training.steps,
            "batch_size": self.batch_size,
            "fitted_patients": self.patients - len(self.held_out),
            "held_out_patients": len(self.held_out),
            "visits": self.records,
            "modelled_columns": len(self.encoder.fields.static) + len(self.encoder.fields.visits),
            "static_columns": len(self.encoder.fields.static),
            "memory_mib": self.memory >> 20,
            "seed": self.options.seed,
            "schema": self.schema.to_json(),
            "privacy": None if self.private is None else self.private.part.planned().to_json(),
            "rules": self.rules.to_json() if self.rules.rules else None,
        }


def prepare_sequences(
    visits: VisitTable, schema: Schema | None, options: Options
) -> SequencePreparation:
    """Split off patients, fit the encoder, encode, and build the model.

    Raises
    ------
    SynthehrError
        If the visits, the schema or a setting cannot be used.
    """
    refuse_privacy_settings(options)
    settled = settle_visits(visits, schema, options)
    rules, starts = options.rules, visits.offsets()
    learned = learned_schema(rules, settled, visits.table, of_visits=True)
    patients = len(starts) - 1
    if patients < LEAST_PATIENTS:
        raise InputError(
            f"the visits are of {patients} patients, and {LEAST_PATIENTS} are the least to learn "
            "from",
            hint=f"check that column {shown(visits.patient)} names the patient",
        )
    aside = held_out(patients, None, options.share_held_out, options.seed)
    fitted, fitted_starts = chosen(visits.table, starts, ~aside)
    encoding = apply(EncodeConfig(), options.settings.get("encode", {}))
    encoder = SequenceEncoder.fit(
        fitted,
        learned,
        fitted_starts,
        visits.static,
        encoding,
        generator(options.seed, ENCODER),
        falling=monotone(rules, learned, visits.static),
    )
    codes = Sequences.of(encoder.encode(fitted, fitted_starts))
    model, config = built_sequences(encoder.fields, len(codes), options)
    training = model.train_config(encoder.fields, len(codes), config)
    prepared = SequencePreparation(
        visits=replace(visits, table=visits.table.slice(0, 0)),
        schema=settled,
        encoder=encoder,
        codes=codes,
        held_out=Sequences.of(encoder.encode(*chosen(visits.table, starts, aside))),
        model=model,
        config=config,
        encoding=encoding,
        training=apply(training, options.settings.get("train", {})),
        options=options,
        warnings=(
            *visits.warnings,
            *doubts(settled, visits.table),
            *encoder.notes,
            *rule_warnings(rules, visits.table, starts),
        ),
        rules=learned_rules(
            rules,
            fitted,
            np.repeat(np.arange(len(codes)), np.diff(fitted_starts)),
            encoding.rare_patients,
        ),
    )
    check_memory(prepared.memory, 16)
    return prepared


def refuse_rules(options: Options) -> None:
    """Refuse rules: drawing visits does not keep them.

    Raises
    ------
    ConfigError
        If there are any.
    """
    if options.rules.rules:
        raise ConfigError("visits cannot keep rules yet", hint="leave out --rules")


def settle_visits(visits: VisitTable, schema: Schema | None, options: Options) -> Schema:
    """Check the schema against the visits, or infer one; patient and time are what was read.

    Raises
    ------
    SchemaError
        If the schema does not fit the table.
    """
    source = Source(visits.table, visits.pandas_types, ())
    named = replace(options, patient=visits.patient)
    return with_time(settle_schema(source, schema, named), visits.time)


def with_time(schema: Schema, time: str) -> Schema:
    """Give the role of time to a column, and to no other."""
    others = [
        replace(column, role="feature")
        for column in schema.columns
        if column.role == "time" and column.name != time
    ]
    schema = schema.with_columns(*others)
    return schema.with_columns(replace(schema[time], role="time"))


def chosen(
    table: pa.Table, starts: NDArray[np.int64], who: NDArray[np.bool_]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Take the visits of some patients, (P,) bool, and where each one's begin."""
    counts = np.diff(starts)
    return table.filter(pa.array(np.repeat(who, counts))), np.r_[0, np.cumsum(counts[who])]


def built_sequences(
    fields: SequenceFields, n_patients: int, options: Options
) -> tuple[SequenceModel, Any]:
    """Build the model that was asked for, and give its settings."""
    return built_of(sequence_class(options.model), fields, n_patients, options)
