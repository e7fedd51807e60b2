"""The way of visits in a fit under differential privacy; that of tables is `synthehr.run.private`.

Public is also how many visits of a patient count, which columns patients have once, and between
which bounds time lies. What patients have once is learned as any table is. Of visits their
numbers, their columns, and pairs of columns of visits and of what was last seen before them are
measured. Patients are made up from that, and learned; what is left is learned by DP-SGD.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from synthehr.config import TrainConfig, apply
from synthehr.errors import ConfigError
from synthehr.io import Source
from synthehr.io.visits import VisitTable
from synthehr.models.autoregressive import Autoregressive
from synthehr.models.base import NOTHING_GIVEN
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_learning import draw_static
from synthehr.privacy.ledger import Entry, Ledger
from synthehr.privacy.matching import match
from synthehr.privacy.measure import domains_of
from synthehr.privacy.pairs import PairMarginals, measure_pairs
from synthehr.privacy.plan import planned, private_training
from synthehr.privacy.visits import SequenceSlots, rehearse_visits
from synthehr.privacy.windows import Windows, made_up_course, measure_windows, window_codes
from synthehr.run.choices import Options, sequence_class
from synthehr.run.declared import (
    ENCODING,
    check_number,
    check_options,
    declared,
    privacy_config,
    settled_schema,
)
from synthehr.run.memory import check_memory
from synthehr.run.preparation import PrivatePart
from synthehr.run.private import accounted_training
from synthehr.run.visits.measured import MadeUp, first_visits, measure_visits, parts_of
from synthehr.run.visits.preparation import (
    PrivateVisits,
    SequencePreparation,
    built_sequences,
    refuse_rules,
    with_time,
)
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, RESAMPLING, TRAINING, derived, generator
from synthehr.train import Callback, History, Runtime, train
from synthehr.train.runtime import mix

LAYOUTS = ("long", "two-tables")
"""Layouts whose columns the schema names; those of others are found among the records."""

PAIRS_OF_ONCE = 0.25
"""Share of the pairs' budget for columns that patients have once; windows have the rest."""
MOST_FOLLOWED = 1 << 13
"""Patients that are made up of windows, at most."""
FOLLOWING = 4
"""Plain steps on made-up patients, in rounds' worth; no record is looked at in them."""

CODING = replace(ENCODING, bins=32, discrete_values=32)
"""Fewer tokens than tables have: every one is a weight that is noised step by step."""


def prepare_private_visits(
    visits: VisitTable, schema: Schema | None, options: Options
) -> SequencePreparation:
    """Plan, measure the columns, fit the encoder on what was measured, and build the model.

    Parameters
    ----------
    visits : VisitTable
        The visits; which columns patients have once is taken to be public.
    schema : Schema or None
        What the columns are, with bounds and levels.
    options : Options
        What the user chose.

    Raises
    ------
    SynthehrError
        If something is not declared, the budget does not suffice, or a setting or the model
        does not go with differential privacy.
    """
    assert options.privacy is not None
    cls = sequence_class(options.model)
    check_options(options, cls)
    refuse_rules(options)
    _check_layout(visits)
    privacy = privacy_config(options.settings.get("privacy", {}), cls)
    table, starts = first_visits(visits.table, visits.offsets(), privacy.max_visits)
    whole = _whole_schema(visits, schema, options)
    owners = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    if not options.privacy.discover:
        domains_of(whole, table.schema)
    settled, budget, ledger = declared(whole, table, owners, options.privacy)
    parts = parts_of(visits, table, starts, settled, privacy.max_visits)
    training = private_training(
        budget, {**cls.private_settings.get("train", {}), **options.settings.get("train", {})}
    )
    sizes = {"steps": training.steps, "batch_size": training.batch_size}
    plan = planned(budget, privacy, questions=parts.questions, looks=1, **sizes)
    check_number(len(starts) - 1, budget)
    encoding = apply(CODING, options.settings.get("encode", {}))
    made_up = measure_visits(
        parts,
        settled,
        rows=budget.patients,
        multiplier=plan.columns.noise_multiplier,
        config=encoding,
        rng=generator(options.seed, ENCODER),
    )
    encoder = made_up.encoder
    codes = Sequences.of(encoder.encode(table, starts))
    pairs, windows, of_pairs = _measured_pairs(
        codes,
        made_up,
        rows=budget.patients,
        multiplier=plan.pairs.noise_multiplier,
        share=PAIRS_OF_ONCE if parts.once_columns > 1 else 0.0,
    )
    model, config = built_sequences(encoder.fields, budget.patients, options)
    plan = replace(plan, looks=rehearse_visits(model, encoder.fields))
    part = PrivatePart(
        plan=plan,
        config=privacy,
        ledger=ledger.charged(*made_up.entries, *of_pairs),
        pairs=pairs,
        made_up=made_up.course.static.numpy(),
    )
    prepared = SequencePreparation(
        visits=replace(visits, table=visits.table.slice(0, 0)),
        schema=whole.with_columns(*settled.columns),
        encoder=encoder,
        codes=codes,
        held_out=codes.nobody(),
        model=model,
        config=config,
        encoding=encoding,
        training=training,
        options=options,
        warnings=(),
        private=PrivateVisits(part, made_up.course, windows),
    )
    check_memory(prepared.memory, 16)
    return prepared


def _measured_pairs(
    codes: Sequences, made_up: MadeUp, *, rows: int, multiplier: float, share: float
) -> tuple[PairMarginals, Windows, tuple[Entry, ...]]:
    """Measure pairs of what patients have once with a share, and of windows with what is left."""
    fields = made_up.encoder.fields
    pairs, of_once = measure_pairs(
        codes.static[:, 0].numpy(),
        fields.static,
        None,
        rows=rows,
        multiplier=multiplier / math.sqrt(share) if share else math.inf,
    )
    windows, of_windows = measure_windows(
        codes, made_up.course, fields, rows=rows, multiplier=multiplier / math.sqrt(1 - share)
    )
    return pairs, windows, (of_once, of_windows) if share else (of_windows,)


def train_private_visits(
    prepared: SequencePreparation, runtime: Runtime, callbacks: Sequence[Callback]
) -> tuple[History, Ledger]:
    """Match what patients have once to what was measured, and train with DP-SGD.

    Raises
    ------
    TrainingError
        If records were looked at more or less often than the ledger says.
    """
    private, model, fields = prepared.private, prepared.model, prepared.encoder.fields
    assert private is not None
    part, seed = private.part, derived(prepared.options.seed, TRAINING)
    random = torch.Generator().manual_seed(derived(prepared.options.seed, RESAMPLING))

    def settle(rounds: int, learning_rate: float, seed: int) -> None:
        if model.static is not None:
            match(
                model.static,
                fields.static,
                part.pairs,
                private.course.static,
                rounds=rounds,
                steps=part.config.round_steps,
                drawn=2 * part.ledger.public_patients,
                learning_rate=learning_rate,
                seed=seed,
                runtime=runtime,
                callbacks=callbacks,
            )

    settle(part.config.rounds, 2e-3, mix(seed, 0))
    _follow(prepared, runtime, callbacks, mix(seed, 3))
    codes = prepared.codes.to(runtime.device)
    history = accounted_training(
        model,
        codes,
        codes.nobody(),
        SequenceSlots(codes, part.plan.training.rate, part.plan.slots, part.config.max_visits),
        part.plan,
        prepared.training,
        clip=part.config.clip,
        seed=seed,
        runtime=runtime,
        callbacks=callbacks,
    )
    model.finish(private.course.to(runtime.device))
    settle(1, 1e-3, mix(seed, 1))
    model.cpu().settle(random.manual_seed(mix(seed, 2)))
    return history, part.planned()


def _follow(
    prepared: SequencePreparation, runtime: Runtime, callbacks: Sequence[Callback], seed: int
) -> None:
    """Let the model learn how visits follow each other from patients made up of windows."""
    private, model, fields = prepared.private, prepared.model, prepared.encoder.fields
    assert private is not None
    part, table = private.part, private.windows.fields
    config = Autoregressive.sized(table, part.ledger.public_patients, {"factors": 0})
    follower = Autoregressive.build(table, config)
    match(
        follower,
        table,
        private.windows.pairs,
        window_codes(fields, private.course).short(),
        rounds=part.config.rounds,
        steps=part.config.round_steps,
        drawn=2 * part.ledger.public_patients,
        learning_rate=2e-3,
        seed=mix(seed, 0),
        runtime=runtime,
        callbacks=callbacks,
    )
    model.cpu()
    random = torch.Generator().manual_seed(mix(seed, 1))
    n = min(part.ledger.public_patients, MOST_FOLLOWED)
    static = draw_static(model.static, n, NOTHING_GIVEN, random)
    course = made_up_course(follower.cpu(), fields, static, private.course.lengths[:n], random)
    model.begin(course, random)
    training = TrainConfig(
        steps=FOLLOWING * part.config.round_steps,
        batch_size=64,
        learning_rate=2e-3,
        warmup=20,
        ema=0.99,
    )
    train(
        model,
        course,
        course.nobody(),
        training,
        seed=mix(seed, 2),
        runtime=runtime,
        callbacks=callbacks,
    )


def check_static(visits: VisitTable, static: Sequence[str] | None) -> None:
    """Refuse static columns that were found among the records and not declared.

    Raises
    ------
    ConfigError
        If they were.
    """
    if static is None and visits.layout == "long":
        raise ConfigError(
            "differential privacy needs to be told which columns patients have once",
            hint="name them with --static sex,arm (--static '' for none), or give a table of "
            "patients and one of visits",
        )


def _whole_schema(visits: VisitTable, schema: Schema | None, options: Options) -> Schema:
    """Settle the schema that was declared, with the patient and the time of the visits."""
    source = Source(visits.table, visits.pandas_types, ())
    named = replace(options, patient=visits.patient)
    return with_time(settled_schema(source, schema, named), visits.time)


def _check_layout(visits: VisitTable) -> None:
    if visits.layout in LAYOUTS and visits.details:
        raise ConfigError(
            "lists of codes cannot be learned under differential privacy: which codes there are "
            "is found among the records",
            hint="write a column of booleans for each code that the schema names",
        )
    if visits.layout not in LAYOUTS:
        raise ConfigError(
            f"visits in the layout {visits.layout} cannot be learned under differential privacy: "
            "their columns are found among the records",
            hint="write them as one long table, whose columns the schema names",
        )
