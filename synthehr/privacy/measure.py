"""Noisy measurements of a table, and a made-up table that holds what they say.

Everything that is learned of single columns (levels and their shares, nulls, spikes, grids,
quantiles) is learned by the ordinary encoder from the made-up table: the encoder never sees
a record, so nothing of it has to be charged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import to_axis, value_type
from synthehr.encode.visits import Visits
from synthehr.errors import ConfigError
from synthehr.privacy.config import MOST_VISITS
from synthehr.privacy.domain import DecimalDomain, LevelDomain, NumberDomain
from synthehr.privacy.histograms import (
    BRANCHES,
    LEAST_NULLS,
    Question,
    answers,
    nearest_shares,
    resolutions,
    settled,
    shared_out,
    with_ends,
)
from synthehr.privacy.ledger import Entry
from synthehr.privacy.mechanisms import Gaussian
from synthehr.schema.bounds import bound_values
from synthehr.schema.column import Column, shown
from synthehr.schema.table import Schema

NUMBER_KINDS = frozenset({"numeric", "integer", "duration", "date", "datetime"})
SIZES = MOST_VISITS + 1


class Measured(NamedTuple):
    """What was measured, and what it cost.

    Attributes
    ----------
    table : Table
        Independent columns.
    visits : Visits or None
        How many records patients have, where some may have several.
    entry : Entry
        For the ledger.
    """

    table: pa.Table
    visits: Visits | None
    entry: Entry


def undeclared(schema: Schema) -> tuple[Column, ...]:
    """Give the columns whose bounds or levels have to be declared and are not."""
    return tuple(
        column
        for column in _measured(schema)
        if column.kind != "boolean"
        and (column.bounds if column.kind in NUMBER_KINDS else column.levels) is None
    )


def domains_of(schema: Schema, types: pa.Schema) -> dict[str, LevelDomain | NumberDomain]:
    """Give the public domain of every column that is modelled.

    Raises
    ------
    ConfigError
        Naming the columns whose bounds or levels are not declared.
    """
    if without := undeclared(schema):
        numbers = [shown(c.name) for c in without if c.kind in NUMBER_KINDS]
        levels = [shown(c.name) for c in without if c.kind not in NUMBER_KINDS]
        missing = [f"the bounds of {', '.join(numbers)}"] * bool(numbers)
        missing += [f"the levels of {', '.join(levels)}"] * bool(levels)
        raise ConfigError(
            f"differential privacy needs {' and '.join(missing)} to be declared",
            hint='write "bounds": [low, high] and "levels": [...] into the schema file, from what '
            "is known without the records, or have them measured with --discover",
        )
    found: dict[str, LevelDomain | NumberDomain] = {}
    for column in _measured(schema):
        name, data_type = column.name, types.field(column.name).type
        if column.kind in NUMBER_KINDS:
            low, high = axis_bounds(column, value_type(data_type))
            found[name] = NumberDomain(name, data_type, low, high)
        else:
            found[name] = LevelDomain(name, data_type, column.levels or (False, True))
    return found


def _measured(schema: Schema) -> tuple[Column, ...]:
    return tuple(
        column
        for column in schema.features
        if column.kind != "id" and column.pii not in ("drop", "surrogate")
    )


def measure(
    table: pa.Table,
    domains: Mapping[str, LevelDomain | NumberDomain],
    patients: NDArray[np.int64] | None,
    *,
    rows: int,
    multiplier: float,
    rng: np.random.Generator,
    with_numbers: bool = True,
) -> Measured:
    """Measure every column by itself, and make up a table of so many rows that says the same.

    Parameters
    ----------
    table : Table
        The records, N rows.
    domains : dict from column to domain
        What each column may hold, in public.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    rows : int
        Rows of the made-up table, in public.
    multiplier : float
        Noise multiplier of the one mechanism that this is.
    rng : Generator
        Shuffles the made-up columns.
    with_numbers : bool
        Whether to measure how many records patients have, where patients are given.
    """
    weights = np.ones(table.num_rows)
    if patients is not None:
        weights = 1.0 / np.bincount(patients)[patients]
    floats = {
        name: DecimalDomain(name) for name, domain in domains.items() if _has_decimals(domain)
    }
    asked: list[Question] = []
    for name, domain in domains.items():
        asked += questions_of(domain, domain.locate(table[name]))
    asked += [Question(each.locate(table[each.name]), each.size) for each in floats.values()]
    with_numbers = with_numbers and patients is not None
    if patients is not None and with_numbers:
        asked.append(Question(np.minimum(np.bincount(patients)[patients], MOST_VISITS), SIZES))
    histograms, deviation = answers(asked, weights, multiplier)
    answered = iter(histograms)
    columns = {}
    for name, domain in domains.items():
        sizes = resolutions(domain.size - 1)
        levels = [next(answered) for _ in sizes]
        nulls = float(levels[0][-1])
        levels = [level[:-1] for level in levels]
        counts, nulls = settled(levels, nulls, rows, deviation)
        if isinstance(domain, NumberDomain):
            counts = with_ends(counts, deviation)
        columns[name] = np.append(counts, nulls)
    decimals = {name: each.settle(next(answered), deviation) for name, each in floats.items()}
    made = {
        name: domain.fill(shared_out(columns[name], rows), decimals.get(name)).take(
            pa.array(rng.permutation(rows))
        )
        for name, domain in domains.items()
    }
    visits = _visits(next(answered), rows, deviation) if with_numbers else None
    what = f"one-way marginals of {len(domains)} columns"
    if visits is not None:
        what += ", and numbers of records"
    return Measured(pa.table(made), visits, Entry(what, Gaussian(noise_multiplier=multiplier)))


def questions(domains: Mapping[str, LevelDomain | NumberDomain], by_patient: bool) -> int:
    """Count the histograms that `measure` asks for."""
    asked = sum(len(resolutions(domain.size - 1)) for domain in domains.values())
    return asked + sum(map(_has_decimals, domains.values())) + by_patient


def axis_bounds(column: Column, data_type: pa.DataType) -> tuple[float, float]:
    """Give a column's bounds on its axis."""
    bounds = bound_values(column, data_type)
    if pa.types.is_temporal(data_type):
        low, high = to_axis(bounds, column.name).values.tolist()
        return low, high
    low, high = bounds.to_pylist()
    if pa.types.is_floating(data_type):
        return low, high
    scale = 10.0**data_type.scale if pa.types.is_decimal(data_type) else 1.0
    return float(math.ceil(low * scale)), float(math.floor(high * scale))


def _has_decimals(domain: LevelDomain | NumberDomain) -> bool:
    return isinstance(domain, NumberDomain) and not domain.is_whole


def _visits(counts: NDArray[np.float64], patients: int, deviation: float) -> Visits:
    """Settle how many patients have how many records."""
    settled_counts = nearest_shares(counts[None, 1:], np.array([float(patients)]))[0]
    held = settled_counts > LEAST_NULLS * deviation
    if not held.any():
        held = settled_counts >= settled_counts.max()
    kept = settled_counts[held]
    return Visits(1 + np.flatnonzero(held), kept / kept.sum())


def questions_of(domain: LevelDomain | NumberDomain, cells: NDArray[np.int64]) -> list[Question]:
    """Ask for a column at every resolution; the last cell of each is null."""
    sizes = resolutions(domain.size - 1)
    steps = [BRANCHES ** (len(sizes) - 1 - place) for place in range(len(sizes))]
    is_null = cells == domain.size - 1
    return [
        Question(np.where(is_null, size, cells // step), size + 1)
        for size, step in zip(sizes, steps, strict=True)
    ]
