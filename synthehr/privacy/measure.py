"""Noisy measurements of a table, and a made-up table that holds what they say.

Everything that is learned of single columns (levels and their shares, nulls, spikes, grids,
quantiles) is learned by the ordinary encoder from the made-up table: the encoder never sees
a record, so nothing of it has to be charged.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import float_type_of
from synthehr.errors import ConfigError
from synthehr.privacy.domain import DecimalDomain, LevelDomain, NumberDomain
from synthehr.privacy.histograms import (
    BRANCHES,
    Question,
    answers,
    resolutions,
    settled,
    shared_out,
    with_ends,
)
from synthehr.privacy.ledger import Entry
from synthehr.privacy.mechanisms import Gaussian
from synthehr.schema.column import Column, shown
from synthehr.schema.table import Schema

NUMBER_KINDS = frozenset({"numeric", "integer", "duration"})


class Measured(NamedTuple):
    """A table of independent columns, and what it cost."""

    table: pa.Table
    entry: Entry


def domains_of(schema: Schema, types: pa.Schema) -> dict[str, LevelDomain | NumberDomain]:
    """Give the public domain of every column that is modelled.

    Raises
    ------
    ConfigError
        Naming the columns whose bounds or levels are not declared.
    """
    found: dict[str, LevelDomain | NumberDomain] = {}
    without: list[Column] = []
    for column in schema.columns:
        if (
            column.role in ("drop", "patient")
            or column.kind == "id"
            or column.pii in ("drop", "surrogate")
        ):
            continue
        data_type = types.field(column.name).type
        if column.kind in NUMBER_KINDS and column.bounds is not None:
            found[column.name] = NumberDomain(column.name, data_type, *column.bounds)
        elif column.kind == "boolean":
            found[column.name] = LevelDomain(column.name, data_type, (False, True))
        elif column.kind in ("categorical", "ordinal", "constant") and column.levels:
            found[column.name] = LevelDomain(column.name, data_type, column.levels)
        else:
            without.append(column)
    if without:
        numbers = [shown(c.name) for c in without if c.kind in NUMBER_KINDS]
        levels = [shown(c.name) for c in without if c.kind not in NUMBER_KINDS]
        missing = [f"the bounds of {', '.join(numbers)}"] * bool(numbers)
        missing += [f"the levels of {', '.join(levels)}"] * bool(levels)
        raise ConfigError(
            f"differential privacy needs {' and '.join(missing)} to be declared",
            hint='write "bounds": [low, high] and "levels": [...] into the schema file, from what '
            "is known without the records",
        )
    return found


def measure(
    table: pa.Table,
    domains: dict[str, LevelDomain | NumberDomain],
    patients: NDArray[np.int64] | None,
    *,
    rows: int,
    multiplier: float,
    rng: np.random.Generator,
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
    """
    weights = np.ones(table.num_rows)
    if patients is not None:
        weights = 1.0 / np.bincount(patients)[patients]
    floats = {
        name: DecimalDomain(name)
        for name, domain in domains.items()
        if float_type_of(domain.data_type) is not None and isinstance(domain, NumberDomain)
    }
    asked: list[Question] = []
    for name, domain in domains.items():
        asked += questions_of(domain, domain.locate(table[name]))
    asked += [Question(each.locate(table[each.name]), each.size) for each in floats.values()]
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
    what = f"one-way marginals of {len(domains)} columns"
    return Measured(pa.table(made), Entry(what, Gaussian(noise_multiplier=multiplier)))


def questions_of(domain: LevelDomain | NumberDomain, cells: NDArray[np.int64]) -> list[Question]:
    """Ask for a column at every resolution; the last cell of each is null."""
    sizes = resolutions(domain.size - 1)
    steps = [BRANCHES ** (len(sizes) - 1 - place) for place in range(len(sizes))]
    is_null = cells == domain.size - 1
    return [
        Question(np.where(is_null, size, cells // step), size + 1)
        for size, step in zip(sizes, steps, strict=True)
    ]
