"""Rules on decoded records: values are drawn anew within their parts, then records.

Masks (`synthehr.modes.rule_masks`) keep what tokens and parts can tell. Two values of one part
may still stand in the wrong order: both are drawn again, which leaves the distribution of the
lawful ones as it was. What this does not settle is drawn anew as a whole, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import arrow_type
from synthehr.encode.axis import combined
from synthehr.errors import ConditionError
from synthehr.modes.constraints import Computed, Increment, Rules
from synthehr.modes.holes import put_in
from synthehr.modes.rule_checks import any_broken, broken, computed, stepped
from synthehr.schema.column import shown
from synthehr.schema.table import Schema

VALUES_AGAIN = (12, 240)
"""Values that are drawn anew within a record's parts, the first lawful ones of which count."""
RECORDS_AGAIN, VALUES_OF_EACH = 3, 12
"""Records that are drawn anew for one that breaks a rule, and values of each of them."""
FILLED_AGAIN = 6
"""How often records are filled anew that break a rule."""
MOST_ROUNDS = 256
"""How often records are drawn anew."""
PATIENCE = 10
"""... and how often, if none has kept the rules yet."""

Codes = NDArray[np.integer]
Kind = TypeVar("Kind", Computed, Increment)


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
        table, settled = first_lawful(table, drawn, rows, ~any_broken(rules, drawn))
        wrong = np.setdiff1d(wrong, settled)
        if again == PATIENCE and len(wrong) == len(codes):
            break
    raise _infeasible(rules, table.take(pa.array(wrong)))


def refilled(
    rules: Rules,
    table: pa.Table,
    masks: Mapping[str, NDArray[np.bool_]],
    again: Callable[[NDArray[np.int64], int], pa.Table],
) -> tuple[pa.Table, int]:
    """Draw filled cells anew where they break a rule.

    Parameters
    ----------
    rules : Rules
        Those of which the table has all columns.
    table : Table
        N completed records.
    masks : mapping from name to ndarray of shape (N,), bool
        The cells that were filled.
    again : callable
        Fills the records at these places once more; the second argument counts.

    Returns
    -------
    table : Table
    left : int
        Records of which filled cells still break a rule; known cells may be why.
    """
    wrong = np.flatnonzero(_broken_by(rules, table, masks))
    for nth in range(FILLED_AGAIN):
        if not len(wrong):
            break
        rows = np.repeat(wrong, RECORDS_AGAIN * VALUES_OF_EACH)
        drawn = again(rows, nth)
        chosen = {name: mask[rows] for name, mask in masks.items()}
        lawful = ~_broken_by(rules, drawn, chosen)
        table, settled = first_lawful(table, drawn, rows, lawful)
        wrong = np.setdiff1d(wrong, settled)
    return table, len(wrong)


def _broken_by(
    rules: Rules, table: pa.Table, masks: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """Say which records break a rule that speaks of a cell in the masks; (N,)."""
    found = np.full(table.num_rows, False)
    for rule in rules.rules:
        spoken = [masks[name] for name in rule.body.columns if name in masks]
        if spoken:
            found |= broken(rule.body, table) & np.logical_or.reduce(spoken)
    return found


def first_lawful(
    table: pa.Table, drawn: pa.Table, rows: NDArray[np.int64], is_lawful: NDArray[np.bool_]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Put the first lawful one of the records drawn for each row in its place."""
    lawful = np.flatnonzero(is_lawful)
    settled, first = np.unique(rows[lawful], return_index=True)
    order = np.arange(table.num_rows)
    order[settled] = table.num_rows + lawful[first]
    drawn = drawn.cast(table.schema)
    return pa.concat_tables([table, drawn]).unify_dictionaries().take(pa.array(order)), settled


def finished(rules: Rules, schema: Schema, table: pa.Table, *, stepping: bool = True) -> pa.Table:
    """Round to increments, if wanted, and compute what follows from others."""
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if stepping:
        columns = with_increments(rules, columns)
    for body in _bodies(rules, Computed):
        wanted = arrow_type(schema[body.column].arrow_type)
        found = {body.column: computed(pa.table(columns), body, wanted)}
        columns |= with_increments(rules, found) if stepping else found
    return pa.table({name: columns[name] for name in schema.names if name in columns})


def with_increments(rules: Rules, columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Any]:
    """Move the values of columns to the multiples that rules ask for."""
    changed = {
        body.column: stepped(columns[body.column], body)
        for body in _bodies(rules, Increment)
        if body.column in columns
    }
    return {**columns, **changed}


def with_computed(rules: Rules, table: pa.Table) -> pa.Table:
    """Fill the nulls of computed columns, where what they follow from is known."""
    for body in _bodies(rules, Computed):
        place = table.column_names.index(body.column)
        cells, field = combined(table[body.column]), table.schema.field(place)
        if cells.null_count:
            mask = cells.is_null().to_numpy(zero_copy_only=False)
            filled = put_in(table[body.column], mask, computed(table, body, field.type))
            table = table.set_column(place, field, filled)
    return table


def _bodies(rules: Rules, kind: type[Kind]) -> list[Kind]:
    """Give the rules of a kind; computed columns after those that they follow from."""
    found = [rule.body for rule in rules.rules if isinstance(rule.body, kind)]
    order = {name: place for place, name in enumerate(rules.computed)}
    return sorted(found, key=lambda body: order.get(body.column, 0))


def _infeasible(rules: Rules, table: pa.Table) -> ConditionError:
    """Name the rules that records still break."""
    names = [shown(rule.name) for rule in rules.rules if broken(rule.body, table).any()]
    return ConditionError(
        f"no records were found that keep the rules together: {'; '.join(names)}",
        hint="leave one of them out, or see with `synthehr rules check` whether real records do",
    )
