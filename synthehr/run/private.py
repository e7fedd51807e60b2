"""The way of the data in a fit under differential privacy.

Declared in public: the schema with bounds and levels, about how many patients there are,
and every setting. From these alone follows what will be done (`synthehr.privacy.plan`).
Then records are looked at twice: noisy marginals, from which a table is made up that the
ordinary encoder is fitted on, and DP-SGD. All else is computed from what these two gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from synthehr.config import TrainConfig, apply
from synthehr.encode.fields import Field, Fields
from synthehr.errors import TrainingError
from synthehr.models.base import Model, Records
from synthehr.models.image_base import ImageModel
from synthehr.models.sequence_base import SequenceModel
from synthehr.privacy.allowed import rehearse
from synthehr.privacy.conditions import Conditions
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.ledger import Ledger
from synthehr.privacy.matching import match
from synthehr.privacy.measure import domains_of, measure, questions
from synthehr.privacy.pairs import measure_pairs
from synthehr.privacy.plan import Plan, planned, private_training
from synthehr.privacy.rows import RowSlots
from synthehr.privacy.slots import Slots
from synthehr.privacy.visits import SequenceSlots
from synthehr.run.choices import Options, model_class
from synthehr.run.declared import (
    ENCODING,
    check_number,
    check_options,
    declared,
    encoder_of,
    privacy_config,
    settled_schema,
)
from synthehr.run.lawful import learned_schema
from synthehr.run.memory import check_memory
from synthehr.run.preparation import (
    Preparation,
    PrivatePart,
    built,
)
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, TRAINING, derived, generator
from synthehr.split import patients_of
from synthehr.train import Callback, History, Runtime, train
from synthehr.train.runtime import mix

if TYPE_CHECKING:
    from synthehr.io import Source

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
    cls = model_class(options.model)
    check_options(options, cls)
    whole, table = settled_schema(source, schema, options), source.table
    settled = learned_schema(options.rules, whole, table)
    patients = patients_of(table, settled.patient)
    if not options.privacy.discover:
        domains_of(settled, table.schema)
    settled, budget, ledger = declared(settled, table, patients, options.privacy)
    domains = domains_of(settled, table.schema)
    privacy = privacy_config(options.settings.get("privacy", {}), cls)
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
    check_number(table.num_rows if patients is None else int(patients.max()) + 1, budget)
    measured = measure(
        table,
        domains,
        patients,
        rows=budget.patients,
        multiplier=plan.columns.noise_multiplier,
        rng=generator(options.seed, ENCODER),
    )
    encoding = apply(ENCODING, options.settings.get("encode", {}))
    encoder = encoder_of(measured.table, measured.visits, settled, table.schema, encoding)
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
    check_memory(prepared.memory, 128)
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
    plan, codes = part.plan, torch.from_numpy(prepared.codes)
    made_up = torch.from_numpy(part.made_up)
    slots = Slots(
        codes.to(runtime.device),
        prepared.owners,
        plan.training.rate,
        plan.slots,
        Conditions.of(prepared.model, prepared.encoder.fields),
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
    history = accounted_training(
        prepared.model,
        codes,
        codes[:0],
        slots,
        plan,
        prepared.training,
        clip=part.config.clip,
        seed=seed,
        runtime=runtime,
        callbacks=callbacks,
    )
    settle(rounds=1, learning_rate=1e-3, seed=mix(seed, 1))
    return history, part.planned()


def accounted_training(
    model: Model | SequenceModel | ImageModel,
    records: Records,
    nobody: Records,
    slots: Slots | SequenceSlots | RowSlots,
    plan: Plan,
    training: TrainConfig,
    *,
    clip: float,
    seed: int,
    runtime: Runtime,
    callbacks: Sequence[Callback],
) -> History:
    """Train a model with DP-SGD, and hold the looks at records against the plan.

    Raises
    ------
    TrainingError
        If records were looked at more or less often than the plan says.
    """
    engine = DpSgd(
        model,
        slots,
        clip=clip,
        noise_multiplier=plan.noise_of_a_look,
        expected=training.batch_size,
    )
    with engine.watching():
        history = train(
            model,
            records,
            nobody,
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
    return history
