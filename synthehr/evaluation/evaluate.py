"""The one call that measures a synthetic table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthehr.evaluation.report import Report
    from synthehr.evaluation.task import Informed
    from synthehr.modes.constraints import Rules
    from synthehr.schema.table import Schema


def evaluate(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    schema: Schema | None = None,
    target: str | None = None,
    patient: str | None = None,
    seed: int = 0,
    seconds: float = 60.0,
    record: Mapping[str, Any] | None = None,
    informed: Mapping[str, Informed] | None = None,
    groups: Sequence[str] | None = None,
    rules: Rules | None = None,
) -> Report:
    """Compare a synthetic table with the real one, every figure beside its ceiling.

    Parameters
    ----------
    real : path or table
        The records that the synthetic ones were made from.
    synthetic : path or table
        The synthetic records.
    holdout : path or table, optional
        Real records of other patients. Without them, ceilings come from two halves of the real
        table, and neither attacks nor similarity to the training records are measurable.
    schema : Schema, optional
        What the columns are; inferred otherwise.
    target : str, optional
        The column whose prediction matters most.
    patient : str, optional
        The column that says whose record it is; else as in the schema.
    seed : int
        Seed of every subsample and resample.
    seconds : float
        Time box. What does not fit is left out and listed; no figure is changed by it.
    record : mapping, optional
        How the synthetic table came about, to be printed.
    informed : mapping of str to callable, optional
        Membership attacks that know more than the synthetic table, by name: given "real" or
        "holdout" and row numbers (n,) of that table, each returns scores (n,), greater for
        likelier members. `synthehr.gates.assess` makes them of a model file.
    groups : sequence of str, optional
        Columns whose levels, or thirds, are groups of patients that have figures of their own;
        by default those called sex, gender, race or ethnicity.
    rules : Rules, optional
        Rules whose violations are counted.

    Raises
    ------
    InputError
        If a table cannot be read, the tables do not have the same columns, the target is not
        one of them, a table is compared with itself, or held-out records are training records.
    SchemaError
        If a named column does not exist.
    """
    from synthehr.evaluation.measure import measure
    from synthehr.evaluation.prepare import prepare
    from synthehr.evaluation.report import Report
    from synthehr.evaluation.rules import rule_results
    from synthehr.modes.rule_checks import check_rules, learned_combinations

    prepared = prepare(
        real, synthetic, holdout, schema=schema, target=target, patient=patient, seed=seed
    )
    results = measure(
        prepared.views,
        target=target,
        seed=seed,
        seconds=seconds,
        informed={name: prepared.of_whole_tables(each) for name, each in (informed or {}).items()},
        groups=groups,
    )
    if rules is not None and rules.rules:
        check_rules(rules, prepared.tables["synthetic"].schema)
        counted = rule_results(
            learned_combinations(rules, prepared.tables["real"]),
            prepared.tables["real"],
            prepared.tables["synthetic"],
            (record or {}).get("drawn_without_rules"),
        )
        results = replace(results, rules=counted)
    return Report(prepared.with_caps(results), record or {}, prepared.schema)
