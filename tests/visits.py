"""Visits with known relations, and ways to damage them, for the tests of their evaluation."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def visits(n: int, seed: int, *, prefix: str = "p", most: int = 12) -> pa.Table:
    """Draw n patients with 2 to `most` visits at irregular days, in order.

    Glucose is an autoregression whose level and death rise with age; lactate is measured where it
    was measured before, mostly, and together with ph.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, most + 1, n)
    age, sex = rng.normal(60, 12, n).round(), rng.integers(0, 2, n)
    died = (age - 60) / 12 + rng.normal(0, 0.7, n) > 0.3
    rows: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for p in range(n):
        day, glucose, drug, measured = rng.integers(0, 50), rng.normal(), rng.integers(0, 3), True
        for _ in range(lengths[p]):
            day += int(rng.geometric(1 / 20))
            glucose = 0.6 * glucose + 0.8 * rng.normal()
            drug = drug if rng.random() < 0.75 else rng.integers(0, 3)
            measured = measured if rng.random() < 0.7 else bool(rng.random() < 0.5)
            lactate = 2 + 0.4 * glucose + rng.normal(0, 0.2)
            for name, value in (
                ("patient", f"{prefix}{p}"),
                ("day", day),
                ("age", age[p]),
                ("sex", "FM"[sex[p]]),
                ("died", bool(died[p])),
                ("glucose", 5 + glucose + 0.05 * (age[p] - 60)),
                ("lactate", lactate if measured else None),
                ("ph", 7.4 - 0.05 * lactate if measured else None),
                ("drug", ("none", "oral", "insulin")[drug]),
            ):
                rows[name].append(value)
    return pa.table(rows)


COLUMNS = ("patient", "day", "age", "sex", "died", "glucose", "lactate", "ph", "drug")


def shuffled(table: pa.Table, names: list[str], seed: int = 0) -> pa.Table:
    """Shuffle the rows of these columns, together, within each patient."""
    rng = np.random.default_rng(seed)
    who = np.asarray(table["patient"].to_pylist())
    _, codes = np.unique(who, return_inverse=True)
    order = np.lexsort((rng.random(len(codes)), codes))
    place = np.empty(len(codes), dtype=np.int64)
    place[np.lexsort((np.arange(len(codes)), codes))] = order
    for name in names:
        index = table.column_names.index(name)
        table = table.set_column(index, name, table[name].take(pa.array(place)))
    return table


def truncated(table: pa.Table, most: int) -> pa.Table:
    """Keep the first visits of each patient."""
    frame = table.to_pandas()
    kept = frame.groupby("patient").cumcount() < most
    return table.filter(pa.array(kept.to_numpy()))


def renamed(table: pa.Table, prefix: str) -> pa.Table:
    """Give patients other names."""
    names = [f"{prefix}{name}" for name in table["patient"].to_pylist()]
    return table.set_column(0, "patient", pa.array(names))
