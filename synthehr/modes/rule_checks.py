"""Rules on finished tables: who breaks one, and what follows from others.

Values are compared on their columns' axes; columns of unlike types as numbers, or in days.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import (
    combined,
    decimals_of,
    from_axis,
    has_axis,
    to_axis,
    value_type,
)
from synthehr.encode.categorical import level_indices
from synthehr.encode.climbs import Climb
from synthehr.errors import ConfigError
from synthehr.modes.axis_value import interval_of, per_day
from synthehr.modes.condition import Condition, Conditions, Null, Range, Value, means
from synthehr.modes.constraints import (
    Body,
    Computed,
    Implication,
    Increment,
    Order,
    Rules,
    Together,
)
from synthehr.modes.rules_over_time import Last, Monotone
from synthehr.schema.column import Level, nearest, shown

NEAR = 1e-6
"""Numbers so close, by their size, are equal."""


def check_rules(rules: Rules, schema: pa.Schema, *, of_visits: bool = False) -> None:
    """Refuse rules that do not fit a table, or visits of patients.

    Raises
    ------
    ConfigError
        A column is missing, or of the wrong type, or records have no order in time.
    """
    for rule in rules.rules:
        if isinstance(rule.body, Last | Monotone) and not of_visits:
            raise ConfigError(
                f"rule {shown(rule.name)} speaks of a patient's visits one after the other",
                hint="say when a visit was, with --time, or leave this rule out",
            )
        for name in rule.body.columns:
            if name not in schema.names:
                raise ConfigError(
                    f"rule {shown(rule.name)} names column {shown(name)}, which the table lacks",
                    hint=nearest(name, tuple(schema.names)),
                )
        if isinstance(rule.body, Order | Computed | Increment | Monotone):
            kinds = {kind_of(value_type(schema.field(name).type)) for name in rule.body.columns}
            mixed = isinstance(rule.body, Order) and len(kinds) > 1
            if None in kinds or mixed:
                raise ConfigError(
                    f"rule {shown(rule.name)} speaks of columns that cannot be compared",
                    hint="they must all be numbers, or all be dates, or all durations",
                )


def broken(
    body: Body, table: pa.Table, starts: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Say which records break a rule; shape (N,).

    Parameters
    ----------
    body : Body
        The rule.
    table : Table
        N records.
    starts : ndarray of shape (P + 1,), or None
        For rules over time, of which nothing is broken without: where each patient's visits
        begin, and the end of the last's.
    """
    if isinstance(body, Order):
        return _descends(body, table)
    if isinstance(body, Implication):
        return all_hold(body.when, table) & ~all_hold(body.then, table)
    if isinstance(body, Together):
        return _unknown_together(body, table)
    if isinstance(body, Computed):
        return _differs(body, table)
    if isinstance(body, Last | Monotone):
        none = np.full(table.num_rows, False)
        return none if starts is None else _broken_over_time(body, table, starts)
    values, valid = numbers(table[body.column], body.column)
    off = np.abs(values / body.step - np.rint(values / body.step)) * body.step
    return valid & (off > NEAR * np.maximum(np.abs(values), body.step))


def any_broken(
    rules: Rules, table: pa.Table, starts: NDArray[np.int64] | None = None
) -> NDArray[np.bool_]:
    """Say which records break any rule; shape (N,); parameters as of `broken`."""
    found = np.full(table.num_rows, False)
    for rule in rules.rules:
        found |= broken(rule.body, table, starts)
    return found


def _broken_over_time(
    body: Last | Monotone, table: pa.Table, starts: NDArray[np.int64]
) -> NDArray[np.bool_]:
    if isinstance(body, Monotone):
        cells = table[body.column]
        return Climb(value_type(cells.type), body.falls).turns(cells, body.column, starts)
    found = all_hold(body.when, table)
    found[starts[1:] - 1] = False
    return found


def holds(condition: Condition, cells: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Say for which cells a condition holds; shape (N,).

    Raises
    ------
    ConditionError
        If the condition cannot be read as a value of this column.
    """
    array, name = combined(cells), condition.column
    is_null = ~array.is_valid().to_numpy(zero_copy_only=False)
    null = any(isinstance(choice, Null) for choice in condition.choices)
    some = [choice for choice in condition.choices if not isinstance(choice, Null)]
    if has_axis(array.type):
        values, valid = to_axis(array, name)
        found = np.full(len(values), False)
        for choice in some:
            low, high = interval_of(choice, array.type, name)
            found |= (values >= low) & (values <= high)
        return np.where(valid, found, null)
    indices, levels, _ = level_indices(cells, name)
    texts = [
        Value(choice.text or "", typed=False) if isinstance(choice, Range) else choice
        for choice in some
    ]
    lookup = np.array([any(means(each, level) for each in texts) for level in levels] or [False])
    return np.where(is_null, null, lookup[indices])


def all_hold(conditions: Conditions, table: pa.Table) -> NDArray[np.bool_]:
    """Say in which records all of some conditions hold; shape (N,)."""
    found = np.full(table.num_rows, True)
    for condition in conditions:
        found &= holds(condition, table[condition.column])
    return found


def demanded_nulls(rules: Rules, table: pa.Table) -> dict[str, NDArray[np.bool_]]:
    """Say in which records a rule demands that a column be null; (N,) for each such column."""
    found: dict[str, NDArray[np.bool_]] = {}
    for rule in rules.rules:
        if not isinstance(rule.body, Implication):
            continue
        for condition in rule.body.then:
            if condition.choices == (Null(),):
                armed = all_hold(rule.body.when, table)
                found[condition.column] = found.get(condition.column, False) | armed
    return found


def combinations_of(
    columns: Sequence[str], table: pa.Table, patients: NDArray[np.int64] | None, least: int
) -> list[tuple[Level, ...]]:
    """List the combinations of levels that at least so many patients hold, without nulls."""
    found = [level_indices(table[name], name) for name in columns]
    rows = np.stack([indices for indices, _, _ in found], 1)
    known = np.logical_and.reduce([valid for _, _, valid in found])
    owners = np.arange(table.num_rows) if patients is None else patients
    held = np.unique(np.column_stack([rows[known], owners[known]]), axis=0)[:, :-1]
    unique, counts = np.unique(held, axis=0, return_counts=True)
    return [
        tuple(levels[at] for (_, levels, _), at in zip(found, row, strict=True))
        for row in unique[counts >= least]
    ]


def learned_combinations(
    rules: Rules,
    table: pa.Table,
    patients: NDArray[np.int64] | None = None,
    least: int = 1,
) -> Rules:
    """Fill in the combinations that so many patients hold, where a rule lists none."""
    found = {
        rule.name: combinations_of(rule.body.columns, table, patients, least)
        for rule in rules.rules
        if isinstance(rule.body, Together) and rule.body.allowed is None
    }
    return rules.with_combinations(found)


def numbers(
    cells: pa.Array | pa.ChunkedArray, column: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give cells as plain numbers, times in days, and say which are there."""
    array = combined(cells)
    values, valid = to_axis(array, column)
    return values / unit(array.type), valid


def computed(table: pa.Table, body: Computed, data_type: pa.DataType) -> pa.Array:
    """Compute a column of the given type; null where something is missing."""
    value, valid = _formula_value(body, table)
    if body.decimals is not None:
        value = np.round(value, body.decimals)
    plain = value_type(data_type)
    places = value * unit(plain)
    if not pa.types.is_floating(plain):
        places = np.rint(np.clip(places, -(2.0**62), 2.0**62)).astype(np.int64)
    return from_axis(places, valid, data_type)


def stepped(cells: pa.Array | pa.ChunkedArray, body: Increment) -> pa.Array:
    """Move values to the nearest multiple of the step."""
    array = combined(cells)
    values, valid = numbers(array, body.column)
    # ten digits below the step's own: 3 * 0.1 shall be 0.3
    near = np.round(
        np.rint(values / body.step) * body.step, max(0, 10 - int(np.floor(np.log10(body.step))))
    )
    places = near * unit(value_type(array.type))
    if not pa.types.is_floating(array.type):
        places = np.rint(places).astype(np.int64)
    return from_axis(places, valid, array.type)


def _descends(body: Order, table: pa.Table) -> NDArray[np.bool_]:
    found = np.full(table.num_rows, False)
    for first, second in combinations(body.columns, 2):
        one, other = combined(table[first]), combined(table[second])
        read = to_axis if one.type == other.type else numbers
        (low, known), (high, too) = read(one, first), read(other, second)
        found |= known & too & ((low >= high) if body.strict else (low > high))
    return found


def _unknown_together(body: Together, table: pa.Table) -> NDArray[np.bool_]:
    if body.allowed is None:
        return np.full(table.num_rows, False)
    key, allowed = np.zeros(table.num_rows, np.int64), np.zeros(len(body.allowed), np.int64)
    known = np.full(table.num_rows, True)
    for place, name in enumerate(body.columns):
        indices, levels, valid = level_indices(table[name], name)
        numbered = {level: number for number, level in enumerate(levels)}
        wanted = [numbered.get(each[place], len(levels)) for each in body.allowed]
        both = np.concatenate([key, allowed]) * (len(levels) + 1)
        both += np.concatenate([indices, wanted])
        both = np.unique(both, return_inverse=True)[1]
        key, allowed = both[: len(key)], both[len(key) :]
        known &= valid
    return known & ~np.isin(key, allowed)


def _formula_value(
    body: Computed, table: pa.Table
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    found = {name: numbers(table[name], name) for name in body.formula.columns}
    value = body.formula.value({name: values for name, (values, _) in found.items()})
    valid = np.logical_and.reduce([known for _, known in found.values()])
    fits = np.isfinite(value)
    return np.where(fits, value, 0.0), valid & fits


def _differs(body: Computed, table: pa.Table) -> NDArray[np.bool_]:
    value, known = _formula_value(body, table)
    array = combined(table[body.column])
    there, valid = numbers(array, body.column)
    # half of the last decimal, and of the unit of a column of whole numbers
    whole = 0.0 if pa.types.is_floating(array.type) else 1 / unit(array.type)
    rounding = 0.0 if body.decimals is None else 10.0**-body.decimals
    least = 1e-5 if pa.types.is_float32(array.type) else NEAR
    allowed = 0.5001 * max(whole, rounding) + least * np.maximum(np.abs(value), 1.0)
    return known & valid & (np.abs(there - value) > allowed)


def kind_of(data_type: pa.DataType) -> str | None:
    """Say what values of a type can be compared with."""
    kinds = pa.types
    if not has_axis(data_type):
        return None
    if kinds.is_date(data_type) or kinds.is_timestamp(data_type):
        return "time"
    return "duration" if kinds.is_duration(data_type) or kinds.is_time(data_type) else "number"


def unit(data_type: pa.DataType) -> Any:
    """How much of the axis a 1 is, or a day."""
    if pa.types.is_decimal(data_type):
        return 10.0 ** decimals_of(data_type)
    return per_day(data_type) if pa.types.is_temporal(data_type) else 1.0
