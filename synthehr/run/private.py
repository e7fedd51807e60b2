"""The way of the data in a fit under differential privacy.

Declared in public: the schema with bounds and levels, about how many patients there are,
and every setting. From these alone follows what will be done (`synthehr.privacy.plan`).
Then records are looked at twice: noisy marginals, from which a table is made up that the
ordinary encoder is fitted on, and DP-SGD. All else is computed from what these two gave.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.config import apply, typed
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Field, Fields
from synthehr.encode.table import TableEncoder
from synthehr.encode.visits import Visits
from synthehr.errors import ConfigError, InputError, TrainingError
from synthehr.privacy.allowed import rehearse
from synthehr.privacy.conditions import Conditions
from synthehr.privacy.config import Privacy, PrivacyConfig
from synthehr.privacy.discovery import discover
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.ledger import STEERING_SHARE, Ledger, suggested_delta
from synthehr.privacy.matching import match
from synthehr.privacy.measure import domains_of, measure, questions, undeclared
from synthehr.privacy.pairs import measure_pairs
from synthehr.privacy.plan import MOST_BEYOND, Budget, check_asked, planned, private_training
from synthehr.privacy.slots import Slots
from synthehr.run.choices import Options, model_class
from synthehr.run.lawful import learned_schema, refuse_learning
from synthehr.run.preparation import (
    Preparation,
    PrivatePart,
    as_chosen,
    built,
    check_memory,
)
from synthehr.schema.checks import check_columns
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, TRAINING, derived, generator
from synthehr.split import patients_of
from synthehr.train import Callback, History, Runtime, train
from synthehr.train.runtime import mix

if TYPE_CHECKING:
    from synthehr.io import Source

REFUSED = {
    "patience": "stopping early looks at records",
    "clip": "every patient's gradient is clipped instead, at privacy.clip",
    "precision": "norms are bounded in single precision",
}
"""Settings of training that do not go with differential privacy, and why."""
DELTA = 1e-6
"""δ where neither it nor the number of patients is declared."""
ENCODING = EncodeConfig(rare_patients=2)
"""The made-up table has no patients that a rare value could point at."""
STAND_IN: Fields = tuple(
    Field(name, np.full(3, 1 / 3), np.ones(3, dtype=np.int64), None, None, None) for name in "ab"
)
"""Columns by which a model is tried before anything is known of the real ones."""


def prepare_private(source: Source, schema: Schema | None, options: Options) -> Preparation:
    """Plan, measure the columns, fit the encoder on what was measured, and build the model.

    Raises
    ------
    SynthehrError
        If something is not declared, the budget does not suffice, or a setting or the model
        does not go with differential privacy.
    """
    assert options.privacy is not None
    _check_options(options)
    whole, table = _settled(source, schema, options), source.table
    settled = learned_schema(options.rules, whole, table)
    patients = patients_of(table, settled.patient)
    if not options.privacy.discover:
        domains_of(settled, table.schema)
    settled, budget, ledger = _declared(settled, table, patients, options.privacy)
    domains = domains_of(settled, table.schema)
    cls = model_class(options.model)
    chosen = typed(PrivacyConfig, options.settings.get("privacy", {}), "privacy")
    privacy = PrivacyConfig(**{**cls.private_settings.get("privacy", {}), **chosen})
    training = private_training(
        budget, {**cls.private_settings.get("train", {}), **options.settings.get("train", {})}
    )
    looks = rehearse(built(STAND_IN, budget.patients, options)[0], STAND_IN)
    plan = planned(
        budget,
        privacy,
        questions=questions(domains, settled.patient is not None),
        steps=training.steps,
        batch_size=training.batch_size,
        looks=looks,
    )
    _check_number(table.num_rows if patients is None else int(patients.max()) + 1, budget)
    measured = measure(
        table,
        domains,
        patients,
        rows=budget.patients,
        multiplier=plan.columns.noise_multiplier,
        rng=generator(options.seed, ENCODER),
    )
    encoding = apply(ENCODING, options.settings.get("encode", {}))
    encoder = _encoder(measured.table, measured.visits, settled, table.schema, encoding)
    codes = encoder.encode(table)
    pairs, of_pairs = measure_pairs(
        codes[:, 0],
        encoder.fields,
        patients,
        rows=budget.patients,
        multiplier=plan.pairs.noise_multiplier,
    )
    model, config = built(encoder.fields, budget.patients, options)
    rehearse(model, encoder.fields)
    prepared = Preparation(
        schema=whole.with_columns(*settled.columns),
        encoder=encoder,
        codes=codes,
        held_out=np.zeros((0, 2, len(encoder.fields)), dtype=np.int16),
        model=model,
        config=config,
        encoding=encoding,
        training=training,
        patients=None if patients is None else budget.patients,
        owners=patients,
        options=options,
        warnings=(),
        private=PrivatePart(
            plan=plan,
            config=privacy,
            ledger=ledger.charged(measured.entry, of_pairs),
            pairs=pairs,
            made_up=encoder.encode(measured.table),
        ),
        rules=options.rules,
    )
    check_memory(prepared)
    return prepared


def train_private(
    prepared: Preparation, runtime: Runtime, callbacks: Sequence[Callback]
) -> tuple[History, Ledger]:
    """Train the model with DP-SGD, and charge for it.

    Raises
    ------
    TrainingError
        If records were looked at more or less often than the ledger says.
    """
    part = prepared.private
    assert part is not None
    training, plan = prepared.training, part.plan
    codes = torch.from_numpy(prepared.codes)
    made_up = torch.from_numpy(part.made_up)
    slots = Slots(
        codes.to(runtime.device),
        prepared.owners,
        plan.training.rate,
        plan.slots,
        Conditions.of(prepared.model, prepared.encoder.fields),
    )
    engine = DpSgd(
        prepared.model,
        slots,
        clip=part.config.clip,
        noise_multiplier=plan.noise_of_a_look,
        expected=training.batch_size,
    )
    settle = partial(
        match,
        prepared.model,
        prepared.encoder.fields,
        part.pairs,
        made_up,
        steps=part.config.round_steps,
        drawn=2 * part.ledger.public_patients,
        runtime=runtime,
        callbacks=callbacks,
    )
    seed = derived(prepared.options.seed, TRAINING)
    settle(rounds=part.config.rounds, learning_rate=2e-3, seed=mix(seed, 0))
    with engine.watching():
        history = train(
            prepared.model,
            codes,
            codes[:0],
            training,
            seed=seed,
            runtime=runtime,
            callbacks=callbacks,
            draw=slots,
            step_child=engine,
        )
    accounted = plan.training.times * plan.looks
    if engine.steps != accounted:
        raise TrainingError(
            f"records were looked at {engine.steps} times, and {accounted} are accounted for, so "
            "nothing is claimed or kept",
            hint="train this model without differential privacy",
        )
    settle(rounds=1, learning_rate=1e-3, seed=mix(seed, 1))
    return history, part.planned()


def refuse_resume(resume: bool) -> None:
    """Refuse to go on with a private fit: it leaves no state behind.

    Raises
    ------
    ConfigError
        If that is wanted.
    """
    if resume:
        raise ConfigError(
            "--resume does not go with --epsilon: a private fit leaves no state behind",
            hint="fit anew; what was cut off was not written and is not released",
        )


def _check_options(options: Options) -> None:
    """Refuse by name what does not go with differential privacy."""
    refuse_learning(options.rules)
    if options.holdout:
        raise ConfigError(
            "--holdout does not go with --epsilon: whom it sets aside hangs on all patients",
            hint="keep records out of the file yourself, and give them to the report",
        )
    if options.max_minutes is not None:
        raise ConfigError(
            "--max-minutes does not go with --epsilon: the number of steps is accounted for",
            hint="set it with --set train.steps=500",
        )
    for key, why in REFUSED.items():
        if key in options.settings.get("train", {}):
            raise ConfigError(f"train.{key} does not go with --epsilon: {why}", hint="leave it out")
    cls = model_class(options.model)
    for key, value in typed(cls.Config, options.settings.get("model", {}), "model").items():
        if key in cls.private_only and value != cls.private_only[key]:
            raise ConfigError(
                f"model.{key} must be {cls.private_only[key]} with --epsilon: a step would let "
                "one patient change what others count for",
                hint="leave it out",
            )


def _settled(source: Source, schema: Schema | None, options: Options) -> Schema:
    """Hold the columns against the schema; no cell is looked at."""
    if schema is None:
        raise ConfigError(
            "differential privacy needs a schema that is known without the records",
            hint="write one with `synthehr schema`, check that it says nothing of patients, add "
            "bounds and levels, and name it with --schema",
        )
    settled = as_chosen(schema, source, options)
    check_columns(settled, source.table)
    # Whether there are nulls is measured; why a kind was guessed was read off some table.
    return Schema(tuple(replace(column, nullable=True, reason="") for column in settled))


def _declared(
    schema: Schema, table: pa.Table, patients: NDArray[np.int64] | None, asked: Privacy
) -> tuple[Schema, Budget, Ledger]:
    """Have measured what is not declared, and give what may still be spent then."""
    without = undeclared(schema) if asked.discover else ()
    if asked.public_rows is not None and not without:
        delta = suggested_delta(asked.public_rows) if asked.delta is None else asked.delta
        most = math.ceil(MOST_BEYOND * asked.public_rows)
        budget = Budget(asked.epsilon, delta, asked.public_rows, most)
        return schema, budget, Ledger(delta, budget.patients, public=_public(schema))
    delta = asked.delta
    if delta is None:
        delta = DELTA if asked.public_rows is None else suggested_delta(asked.public_rows)
    check_asked(asked.epsilon, delta)
    found = discover(table, without, patients, epsilon=asked.epsilon, delta=delta)
    known, most = found.patients, found.most_patients
    if asked.public_rows is not None:
        known, most = asked.public_rows, math.ceil(MOST_BEYOND * asked.public_rows)
    ledger = Ledger(delta, known, found.entries, _public(schema))
    left = asked.epsilon - ledger.epsilon
    budget = Budget(left, (1 - STEERING_SHARE) * delta, known, max(known, most))
    return schema.with_columns(*found.columns), budget, ledger


def _check_number(patients: int, budget: Budget) -> None:
    if patients > budget.most_patients:
        raise InputError(
            f"the table has more than {budget.most_patients:,} patients, and about "
            f"{budget.patients:,} were declared",
            hint="correct --public-rows",
        )


def _encoder(
    made_up: pa.Table,
    visits: Visits | None,
    schema: Schema,
    types: pa.Schema,
    config: EncodeConfig,
) -> TableEncoder:
    """Fit the encoder on a made-up table; of columns that are not in it only the type is known."""
    columns = {
        column.name: made_up[column.name]
        if column.name in made_up.column_names
        else pa.chunked_array([pa.nulls(made_up.num_rows, types.field(column.name).type)])
        for column in schema.kept
    }
    encoder = TableEncoder.fit(
        pa.table(columns), schema, patients=None, config=config, rng=np.random.default_rng(0)
    )
    if not encoder.modelled:
        raise InputError(
            "the noise leaves nothing of any column", hint="allow a larger ε, or give more patients"
        )
    return TableEncoder(encoder.plan, visits, encoder.notes)


def _public(schema: Schema) -> tuple[str, ...]:
    """Say what was declared."""
    bounds = sum(column.bounds is not None for column in schema.features)
    levels = sum(column.levels is not None for column in schema.features)
    return (
        f"names and types of {len(schema.kept)} columns",
        f"the bounds of {bounds}",
        f"the levels of {levels}",
        "every setting",
    )
