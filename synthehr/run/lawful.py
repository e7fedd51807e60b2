"""What a fit does with rules: check them, learn combinations, count what breaks them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ConfigError
from synthehr.modes.constraints import Computed, Implication, Rules, Together
from synthehr.modes.rule_checks import broken, check_rules, holds, learned_combinations
from synthehr.modes.rules_over_time import Last, Monotone
from synthehr.run.ruling import finished
from synthehr.schema.column import shown
from synthehr.schema.table import Schema


def learned_schema(
    rules: Rules, schema: Schema, table: pa.Table, *, of_visits: bool = False
) -> Schema:
    """Check rules against a table or visits, and leave out the columns that are computed.

    Raises
    ------
    ConfigError
        If a rule does not fit the table.
    ConditionError
        If a condition cannot be read as a value of its column.
    """
    kept = [each.name for each in schema.columns if each.role != "drop" and each.pii != "drop"]
    shape = pa.schema([table.schema.field(name) for name in kept])
    check_rules(rules, shape, of_visits=of_visits)
    for rule in rules.rules:
        if isinstance(rule.body, Implication | Last):
            then = rule.body.then if isinstance(rule.body, Implication) else ()
            for condition in (*rule.body.when, *then):
                holds(condition, table[condition.column].slice(0, 0))
    computed = rules.computed
    for name, what in ((schema.patient, "names the patient"), (schema.time, "tells the time")):
        if name in computed and (of_visits or name == schema.patient):
            raise ConfigError(f"a rule computes the column that {what}", hint="leave it out")
    return Schema(tuple(each for each in schema.columns if each.name not in computed))


def monotone(rules: Rules, schema: Schema, static: Sequence[str]) -> dict[str, bool]:
    """Find the learned columns of visits that never fall, or never rise (true)."""
    bodies = [rule.body for rule in rules.rules if isinstance(rule.body, Monotone)]
    each = [
        column.name
        for column in schema.columns
        if column.role == "feature" and column.name not in static
    ]
    return {body.column: body.falls for body in bodies if body.column in each}


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


def rule_warnings(
    rules: Rules, table: pa.Table, starts: NDArray[np.int64] | None = None
) -> list[str]:
    """Say how many real records break each rule; parameters as of `broken`."""
    counts = [(rule.name, int(broken(rule.body, table, starts).sum())) for rule in rules.rules]
    return [
        f"{count:,} of {table.num_rows:,} records break the rule {shown(name)}"
        for name, count in counts
        if count
    ]


def broken_unruled(
    rules: Rules, schema: Schema, drawn: pa.Table, starts: NDArray[np.int64] | None = None
) -> dict[str, Any]:
    """Count the records drawn without rules that break each; parameters as of `broken`.

    Left out are those that hold by the way in which columns are encoded.
    """
    table = finished(rules, schema, drawn, stepping=False)
    return {
        "records": table.num_rows,
        "broken": {
            rule.name: int(broken(rule.body, table, starts).sum())
            for rule in rules.rules
            if not isinstance(rule.body, Computed | Monotone)
        },
    }
