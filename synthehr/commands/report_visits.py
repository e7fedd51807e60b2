"""`synthehr report --time`: visits instead of single records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.evaluation.longitudinal.patients import InformedOfPatients
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.modes.constraints import Rules
    from synthehr.schema.table import Schema

UNUSED = ("--audit deep",)


class Fitted(NamedTuple):
    """The real tables, and what else is known of the fit.

    Attributes
    ----------
    real, held_out : Table
        Fitted visits, and others; None where there are none.
    schema : Schema or None
    rules : Rules or None
    unruled : mapping or None
        What a model file says of visits drawn without rules.
    informed : mapping or None
        Attacks by one who has the model file.
    """

    real: pa.Table
    held_out: pa.Table | None
    schema: Schema | None
    rules: Rules | None
    unruled: Mapping[str, Any] | None = None
    informed: Mapping[str, InformedOfPatients] | None = None


def assess_visits(
    real: Path, synthetic: Path, reading: Sequence[str] | None, asked: Mapping[str, Any]
) -> VisitEvaluation:
    """Compare synthetic with real visits.

    Parameters
    ----------
    real, synthetic : path
        The tables, one row a visit.
    reading : sequence of str or None
        How tables are read.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.

    Raises
    ------
    ConfigError
        If an option does not go with --time, --patient is missing, or the model file is not of
        visits.
    InputError
        If the real visits are not those that were fitted.
    """
    from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
    from synthehr.modes.constraints import Rules
    from synthehr.schema.table import Schema

    for name in UNUSED:
        if asked[name] is not None:
            raise ConfigError(
                f"{name} does not go with --time, which compares visits",
                hint="leave it out; name held-out visits with --holdout",
            )
    if asked["--patient"] is None:
        raise ConfigError(
            "--time needs the column that says whose visit it is", hint="name it with --patient"
        )
    held_out, schema, rules = asked["--holdout"], asked["--schema"], asked["--rules"]
    told = Fitted(
        read_table(real, reading).table,
        None if held_out is None else read_table(held_out, reading).table,
        None if schema is None else Schema.read(schema),
        None if rules is None else Rules.read(rules),
    )
    if asked["--model"] is not None:
        told = _as_fitted(asked["--model"], told, asked["--patient"], asked["--time"])
    return evaluate_visits(
        told.real,
        read_table(synthetic, reading),
        patient=asked["--patient"],
        time=asked["--time"],
        held_out=told.held_out,
        target=asked["--target"],
        by=asked["--by"],
        schema=told.schema,
        rules=told.rules,
        unruled=told.unruled,
        informed=told.informed,
        seed=asked["--seed"],
    )


def _as_fitted(model: Path, given: Fitted, patient: str, time: str) -> Fitted:
    """Say what a model file tells: who was held out, what the columns are, and the rules."""
    from synthehr.artifact import read_metadata
    from synthehr.io.visits import read_visits
    from synthehr.modes.constraints import Rules
    from synthehr.schema.table import Schema
    from synthehr.split import patients_as_fitted

    content = read_metadata(model).content
    record = content["record"]
    if "patients" not in record:
        raise ConfigError(
            "the model file is of single records, not of visits",
            hint="leave --time out, or name the model that was fitted with --time",
        )
    if given.held_out is not None and record.get("privacy") is None:
        raise ConfigError(
            "--model and --holdout both say which patients were held out", hint="give one"
        )
    visits = read_visits(given.real, patient=patient, time=time)
    fitted, aside = patients_as_fitted(visits.table, visits.offsets(), record)
    rules = given.rules
    if rules is None and record.get("rules"):
        rules = Rules.from_json(record["rules"])
    return Fitted(
        fitted,
        given.held_out if given.held_out is not None else aside if aside.num_rows else None,
        given.schema or Schema.from_json(content["schema"]),
        rules,
        record.get("drawn_without_rules"),
        _attacks(model, content["model"]["name"]),
    )


def _attacks(model: Path, name: str) -> dict[str, InformedOfPatients] | None:
    """Make the attacks that the model file allows; none with a model that is not ours."""
    from synthehr.artifact import load_sequences
    from synthehr.models import SEQUENCE_MODELS
    from synthehr.run.visits.informed import loss_attack

    return loss_attack(load_sequences(model)) if name in SEQUENCE_MODELS else None
