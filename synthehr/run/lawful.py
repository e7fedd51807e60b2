"""What a fit does with rules: check them, learn combinations, count what breaks them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.table import TableEncoder
from synthehr.errors import ConfigError
from synthehr.modes.constraints import Computed, Implication, Rules, Together
from synthehr.modes.rule_checks import broken, check_rules, holds, learned_combinations
from synthehr.run.ruling import finished
from synthehr.schema.column import shown
from synthehr.schema.table import Schema
from synthehr.seeds import CHECK, generator


def learned_schema(rules: Rules, schema: Schema, table: pa.Table) -> Schema:
    """Check rules against a table, and leave out the columns that are computed.

    Raises
    ------
    ConfigError
        If a rule does not fit the table.
    ConditionError
        If a condition cannot be read as a value of its column.
    """
    kept = [each.name for each in schema.columns if each.role != "drop" and each.pii != "drop"]
    check_rules(rules, pa.schema([table.schema.field(name) for name in kept]))
    for rule in rules.rules:
        if isinstance(rule.body, Implication):
            for condition in (*rule.body.when, *rule.body.then):
                holds(condition, table[condition.column].slice(0, 0))
    computed = rules.computed
    if schema.patient in computed:
        raise ConfigError(
            "a rule computes the column that names the patient", hint="leave that rule out"
        )
    return Schema(tuple(each for each in schema.columns if each.name not in computed))


def refuse_learning(rules: Rules) -> None:
    """Refuse rules that were found in records, which differential privacy cannot charge for.

    Raises
    ------
    ConfigError
        If there are some.
    """
    if rules.mined:
        raise ConfigError(
            "these rules were found in the records themselves, which --epsilon does not charge for",
            hint="keep those that you know to hold without looking, and remove `mined = true`",
        )
    for rule in rules.rules:
        if isinstance(rule.body, Together) and rule.body.allowed is None:
            raise ConfigError(
                f"rule {shown(rule.name)} takes its combinations from the records, which "
                "--epsilon does not charge for",
                hint="list them: allowed = [[…], […]]",
            )


def learned_rules(
    rules: Rules, table: pa.Table, patients: NDArray[np.int64] | None, least: int
) -> Rules:
    """Learn the combinations that at least so many patients hold.

    Raises
    ------
    ConfigError
        If there are none.
    """
    learned = learned_combinations(rules, table, patients, least)
    for rule in learned.rules:
        if isinstance(rule.body, Together) and not rule.body.allowed:
            raise ConfigError(
                f"no combination of rule {shown(rule.name)} is held by {least} patients",
                hint="leave this rule out",
            )
    return learned


def rule_warnings(rules: Rules, table: pa.Table) -> list[str]:
    """Say how many real records break each rule."""
    counts = [(rule.name, int(broken(rule.body, table).sum())) for rule in rules.rules]
    return [
        f"{count:,} of {table.num_rows:,} records break the rule {shown(name)}"
        for name, count in counts
        if count
    ]


def broken_unruled(
    rules: Rules, schema: Schema, encoder: TableEncoder, codes: NDArray[np.integer], seed: int
) -> dict[str, Any]:
    """Count the drawn records that break each rule where nothing keeps it."""
    table = finished(rules, schema, encoder.decode(codes, generator(seed, CHECK)), stepping=False)
    return {
        "records": len(codes),
        "broken": {
            rule.name: int(broken(rule.body, table).sum())
            for rule in rules.rules
            if not isinstance(rule.body, Computed)
        },
    }
