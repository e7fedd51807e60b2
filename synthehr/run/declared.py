"""What a private fit is told in public, and what it refuses to be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.config import typed
from synthehr.encode.config import EncodeConfig
from synthehr.encode.table import TableEncoder
from synthehr.encode.visits import Visits
from synthehr.errors import ConfigError, InputError
from synthehr.models.base import Model
from synthehr.models.image_base import ImageModel
from synthehr.models.sequence_base import SequenceModel
from synthehr.privacy.config import Privacy, PrivacyConfig
from synthehr.privacy.discovery import discover
from synthehr.privacy.ledger import STEERING_SHARE, Ledger, suggested_delta
from synthehr.privacy.measure import undeclared
from synthehr.privacy.plan import MOST_BEYOND, Budget, check_asked
from synthehr.run.choices import Options
from synthehr.run.lawful import refuse_learning
from synthehr.run.preparation import as_chosen
from synthehr.schema.checks import check_columns
from synthehr.schema.table import Schema

if TYPE_CHECKING:
    from synthehr.io import Source

AnyModel = type[Model] | type[SequenceModel] | type[ImageModel]

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


def check_options(options: Options, cls: AnyModel) -> None:
    """Refuse by name what does not go with differential privacy.

    Raises
    ------
    ConfigError
        If there is something.
    """
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
    for key, value in typed(cls.Config, options.settings.get("model", {}), "model").items():
        if key in cls.private_only and value != cls.private_only[key]:
            raise ConfigError(
                f"model.{key} must be {cls.private_only[key]} with --epsilon: a step would let "
                "one patient change what others count for",
                hint="leave it out",
            )


def settled_schema(source: Source, schema: Schema | None, options: Options) -> Schema:
    """Hold the columns against the schema; no cell is looked at.

    Raises
    ------
    SynthehrError
        If there is no schema, or it does not fit.
    """
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


def declared(
    schema: Schema, table: pa.Table, patients: NDArray[np.int64] | None, asked: Privacy
) -> tuple[Schema, Budget, Ledger]:
    """Have measured what is not declared, and give what may still be spent then.

    Parameters
    ----------
    schema : Schema
        The columns.
    table : Table
        The records, N rows.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    asked : Privacy
        What the whole fit has.

    Raises
    ------
    ConfigError
        If the budget makes no sense, or suffices for nothing.
    """
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


def privacy_config(settings: Mapping[str, Any], cls: AnyModel) -> PrivacyConfig:
    """Give the settings of privacy, those that suit a model where the user says nothing."""
    chosen = typed(PrivacyConfig, settings, "privacy")
    return PrivacyConfig(**{**cls.private_settings.get("privacy", {}), **chosen})


def check_number(patients: int, budget: Budget) -> None:
    """Refuse a table of many more patients than were declared.

    Raises
    ------
    InputError
        If it has.
    """
    if patients > budget.most_patients:
        raise InputError(
            f"the table has more than {budget.most_patients:,} patients, and about "
            f"{budget.patients:,} were declared",
            hint="correct --public-rows",
        )


def encoder_of(
    made_up: pa.Table,
    visits: Visits | None,
    schema: Schema,
    types: pa.Schema,
    config: EncodeConfig,
) -> TableEncoder:
    """Fit the encoder on a made-up table; of columns that are not in it only the type is known.

    Raises
    ------
    InputError
        If nothing is left of any column.
    """
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
