"""What a fit needs before its first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr.artifact import model_name
from synthehr.config import TrainConfig, typed
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Fields
from synthehr.encode.table import TableEncoder
from synthehr.errors import ConfigError
from synthehr.models.base import Model
from synthehr.modes.constraints import NO_RULES, Rules
from synthehr.privacy.config import PrivacyConfig
from synthehr.privacy.ledger import Ledger
from synthehr.privacy.pairs import PairMarginals
from synthehr.privacy.plan import Plan
from synthehr.run.choices import Options, model_class
from synthehr.schema.checks import check, complete
from synthehr.schema.infer import infer, refuse_open, resolve
from synthehr.schema.table import Schema
from synthehr.seeds import WEIGHTS, derived

if TYPE_CHECKING:
    from synthehr.io import Source

_WEIGHT_COPIES = 6
_TOKEN_COPIES = 6


class PrivatePart(NamedTuple):
    """What a fit under differential privacy needs besides.

    Attributes
    ----------
    plan : Plan
        What training may do.
    config : PrivacyConfig
        The settings.
    ledger : Ledger
        What has been spent so far.
    made_up : ndarray of shape (R, 2, D), int16
        Records that hold what was measured of columns, and nobody's.
    pairs : PairMarginals
        What was measured of pairs of columns.
    """

    plan: Plan
    config: PrivacyConfig
    ledger: Ledger
    made_up: NDArray[np.int16]
    pairs: PairMarginals

    def planned(self) -> Ledger:
        """Give the ledger as it is after training."""
        return self.ledger.charged(*self.plan.of_training)


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
    owners : ndarray of shape (N,), int64, or None
        Patient of each of the encoded records.
    options : Options
        What the user chose.
    warnings : tuple of str
        What looks odd in the table; no cell value is in it.
    private : PrivatePart or None
        For a fit under differential privacy.
    rules : Rules
        Rules that sampled records keep, with what was learned for them.
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
    owners: NDArray[np.int64] | None
    options: Options
    warnings: tuple[str, ...]
    private: PrivatePart | None = None
    rules: Rules = NO_RULES

    @property
    def records(self) -> int:
        """Number of records; under differential privacy the declared one."""
        if self.private is not None:
            visits = self.encoder.visits
            each = 1.0 if visits is None else float(visits.sizes @ visits.shares)
            return round(each * self.private.ledger.public_patients)
        return len(self.codes) + len(self.held_out)

    @property
    def batch_size(self) -> int:
        """Records of a batch."""
        return min(self.training.batch_size, self.records - len(self.held_out))

    @property
    def weights(self) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def memory(self) -> int:
        """Predicted memory in bytes that training takes beyond what is taken now."""
        tokens = sum(item.size + int(item.parts.max(initial=1)) for item in self.encoder.fields)
        batch = self.batch_size if self.private is None else self.private.plan.slots
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
            "batch_size": self.batch_size,
            "fitted_records": self.records - len(self.held_out),
            "held_out_records": len(self.held_out),
            "modelled_columns": len(self.encoder.modelled),
            "memory_mib": self.memory >> 20,
            "seed": self.options.seed,
            "schema": self.schema.to_json(),
            "rules": self.rules.to_json() if self.rules.rules else None,
            "privacy": None if self.private is None else self.private.planned().to_json(),
        }


def built(fields: Fields, n_records: int, options: Options) -> tuple[Model, Any]:
    """Build the model of a table that was asked for, and give its settings."""
    return built_of(model_class(options.model), fields, n_records, options)


def built_of(cls: Any, fields: Any, n: int, options: Options) -> tuple[Any, Any]:
    """Build a model of any family for so many records, and give its settings."""
    changes = typed(cls.Config, options.settings.get("model", {}), "model")
    if options.privacy is not None:
        changes = {**cls.private_settings.get("model", {}), **cls.private_only, **changes}
    config = cls.sized(fields, n, changes)
    with torch.random.fork_rng():
        torch.manual_seed(derived(options.seed, WEIGHTS))
        return cls.build(fields, config), config


def refuse_privacy_settings(options: Options) -> None:
    """Refuse settings of privacy in a fit that is not private.

    Raises
    ------
    ConfigError
        If there are some.
    """
    if options.settings.get("privacy"):
        raise ConfigError("--set privacy needs --epsilon", hint="for example --epsilon 3")


def as_chosen(schema: Schema, source: Source, options: Options) -> Schema:
    """Complete a schema by the table's types, and apply what the user chose.

    Raises
    ------
    SchemaError
        If a question is open.
    """
    completed = complete(schema, source.table, source.pandas_types)
    if options.patient is not None:
        named = replace(completed[options.patient], role="patient", kind="id")
        completed = completed.with_columns(named)
    settled = resolve(completed, on_text=options.on_text, pii=options.pii)
    refuse_open(settled)
    return settled


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
        settled = as_chosen(schema, source, options)
    check(settled, source.table)
    return settled
