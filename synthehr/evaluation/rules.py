"""How many records break each rule: real ones, synthetic ones, and drawn ones without rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from synthehr.evaluation.group_results import RuleResult
from synthehr.evaluation.results import SMALLEST
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_checks import broken


def rule_results(
    rules: Rules, real: pa.Table, synthetic: pa.Table, unruled: Mapping[str, Any] | None
) -> tuple[RuleResult, ...]:
    """Count violations of each rule.

    Parameters
    ----------
    rules : Rules
        With their combinations; see `Rules.with_combinations`.
    real, synthetic : Table
        The two tables.
    unruled : mapping or None
        What a model file says of records drawn without rules: ``records`` and, by rule,
        ``broken``.
    """
    before = unruled or {"records": 0, "broken": {}}
    found = []
    for rule in rules.rules:
        count = int(broken(rule.body, real).sum())
        without = before["broken"].get(rule.name)
        found.append(
            RuleResult(
                rule=rule.name,
                records_real=real.num_rows,
                broken_real=None if 0 < count < SMALLEST else count,
                records_synthetic=synthetic.num_rows,
                broken_synthetic=int(broken(rule.body, synthetic).sum()),
                share_unruled=None if without is None else without / before["records"],
            )
        )
    return tuple(found)
