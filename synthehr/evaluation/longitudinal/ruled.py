"""How many patients have a visit that breaks a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from synthehr.evaluation.metric import Estimate, wilson
from synthehr.evaluation.results import SMALLEST
from synthehr.io.visits import VisitTable
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_checks import broken, check_rules, learned_combinations


class RuledPatients(NamedTuple):
    """Shares of patients with a visit that breaks a rule, with 95 % intervals.

    Attributes
    ----------
    rule : str
        What it is called.
    real, held_out : Estimate or None
        Of real patients; None where some break it and they are fewer than 10, or where nobody
        was held out.
    synthetic : Estimate
        Of the synthetic ones.
    share_unruled : float or None
        Share of visits that break it where the model draws without rules, if a model file says
        so.
    """

    rule: str
    real: Estimate | None
    held_out: Estimate | None
    synthetic: Estimate
    share_unruled: float | None


def ruled(
    rules: Rules,
    real: VisitTable,
    synthetic: VisitTable,
    held_out: VisitTable | None,
    unruled: Mapping[str, Any] | None,
) -> tuple[RuledPatients, ...]:
    """Count who breaks each rule; combinations that a rule does not list are the real ones.

    Parameters
    ----------
    rules : Rules
    real, synthetic, held_out : VisitTable
        The tables.
    unruled : mapping or None
        As of `synthehr.evaluation.rules.rule_results`.

    Raises
    ------
    ConfigError
        A rule does not fit the tables.
    """
    for table in (real, synthetic, held_out):
        if table is not None:
            check_rules(rules, table.table.schema, of_visits=True)
    before = unruled or {"records": 0, "broken": {}}
    found = []
    for rule in learned_combinations(rules, real.table).rules:
        without = before["broken"].get(rule.name)
        found.append(
            RuledPatients(
                rule=rule.name,
                real=_withheld(_share(rule.body, real)),
                held_out=None if held_out is None else _withheld(_share(rule.body, held_out)),
                synthetic=wilson(*_share(rule.body, synthetic)),
                share_unruled=None if without is None else without / before["records"],
            )
        )
    return tuple(found)


def _share(body: Any, visits: VisitTable) -> tuple[int, int]:
    """Count patients who break a rule, and all of them."""
    starts = visits.offsets()
    wrong = np.logical_or.reduceat(broken(body, visits.table, starts), starts[:-1])
    return int(wrong.sum()), len(wrong)


def _withheld(side: tuple[int, int]) -> Estimate | None:
    return None if 0 < side[0] < SMALLEST else wilson(*side)
