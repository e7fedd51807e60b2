"""Rules on decoded records: values are drawn anew within their parts, then records.

Masks (`synthehr.modes.rule_masks`) keep what tokens and parts can tell. Two values of one part
may still stand in the wrong order: both are drawn again, which leaves the distribution of the
lawful ones as it was. What this does not settle is drawn anew as a whole, and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import arrow_type
from synthehr.errors import ConditionError
from synthehr.modes.constraints import Computed, Increment, Rules
from synthehr.modes.rule_checks import any_broken, broken, computed, stepped
from synthehr.schema.column import shown
from synthehr.schema.table import Schema

VALUES_AGAIN = (12, 240)
"""Values that are drawn anew within a record's parts, the first lawful ones of which count."""
RECORDS_AGAIN, VALUES_OF_EACH = 3, 12
"""Records that are drawn anew for one that breaks a rule, and values of each of them."""
MOST_ROUNDS = 256
"""How often records are drawn anew."""
PATIENCE = 10
"""... and how often, if none has kept the rules yet."""

Codes = NDArray[np.integer]


@dataclass
class Repairs:
    """What was done for the rules.

    Attributes
    ----------
    values : int
        Records of which values were drawn anew within their parts.
    records : int
        Records that were drawn anew as a whole.
    """

    values: int = 0
    records: int = 0


def ruled(
    rules: Rules,
    schema: Schema,
    codes: Codes,
    decode: Callable[[Codes, NDArray[np.int64]], pa.Table],
    redraw: Callable[[NDArray[np.int64]], Codes],
    count: Repairs,
) -> pa.Table:
    """Decode records so that they keep all rules.

    Parameters
    ----------
    rules : Rules
    schema : Schema
        Of the fitted table, with the columns that are computed.
    codes : ndarray of shape (n, 2, D)
    decode : callable
        Turns codes of the records at these places into a table, with new random numbers.
    redraw : callable
        Draws codes anew for the records at these places.
    count : Repairs
        Counts what is done.

    Raises
    ------
    ConditionError
        If records that keep all rules are not found.
    """
    everyone = np.arange(len(codes))
    table = finished(rules, schema, decode(codes, everyone))
    wrong = np.flatnonzero(any_broken(rules, table))
    count.values += len(wrong)
    for again in range(MOST_ROUNDS):
        if not len(wrong):
            return table
        if again < len(VALUES_AGAIN):
            rows, each = wrong, VALUES_AGAIN[again]
            candidates = codes[wrong]
        else:
            count.records += len(wrong)
            rows, each = np.repeat(wrong, RECORDS_AGAIN), VALUES_OF_EACH
            candidates = redraw(rows)
        rows = np.repeat(rows, each)
        drawn = finished(rules, schema, decode(np.repeat(candidates, each, axis=0), rows))
        lawful = ~any_broken(rules, drawn)
        rows, first = np.unique(rows[lawful], return_index=True)
        order = np.arange(table.num_rows)
        order[rows] = table.num_rows + np.flatnonzero(lawful)[first]
        table = pa.concat_tables([table, drawn]).take(pa.array(order))
        wrong = np.setdiff1d(wrong, rows)
        if again == PATIENCE and len(wrong) == len(codes):
            break
    raise _infeasible(rules, table.take(pa.array(wrong)))


def finished(rules: Rules, schema: Schema, table: pa.Table, *, stepping: bool = True) -> pa.Table:
    """Round to increments, if wanted, and compute what follows from others."""
    bodies = {
        rule.body.column: rule.body for rule in rules.rules if isinstance(rule.body, Computed)
    }
    steps = {
        rule.body.column: rule.body
        for rule in rules.rules
        if stepping and isinstance(rule.body, Increment)
    }
    columns = dict(zip(table.column_names, table.columns, strict=True))
    columns |= {
        name: stepped(columns[name], body) for name, body in steps.items() if name in columns
    }
    for name in rules.computed:
        wanted = arrow_type(schema[name].arrow_type)
        columns[name] = computed(pa.table(columns), bodies[name], wanted)
        if name in steps:
            columns[name] = stepped(columns[name], steps[name])
    return pa.table({name: columns[name] for name in schema.names if name in columns})


def _infeasible(rules: Rules, table: pa.Table) -> ConditionError:
    """Name the rules that records still break."""
    names = [shown(rule.name) for rule in rules.rules if broken(rule.body, table).any()]
    return ConditionError(
        f"no records were found that keep the rules together: {'; '.join(names)}",
        hint="leave one of them out, or see with `synthehr rules check` whether real records do",
    )
