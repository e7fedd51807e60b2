"""Tables with known relations, for the tests of the evaluation."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa


def patients(n: int, seed: int, *, shift: float = 0.0) -> pa.Table:
    """Draw n patients; `shift` moves the column "sodium" and nothing else."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 15, n).round()
    sex = rng.integers(0, 2, n)
    risk = (age - 60) / 15 + sex + rng.normal(size=n)
    pressure = 120 + 10 * risk + rng.normal(0, 5, n)
    ward = np.where(risk > 1.5, "icu", np.where(rng.random(n) < 0.5, "north", "south"))
    rare = np.where(rng.random(n) < 0.02, "porphyria", "none")
    missing = rng.random(n) < 0.1 + 0.3 * (sex == 1)
    died = (risk + rng.normal(size=n) > 2).astype(np.int8)
    days = rng.integers(0, 3000, n)
    start = np.datetime64("2010-01-01")
    return pa.table(
        {
            "age": pa.array(age, pa.int16()),
            "sex": pa.array(np.where(sex == 1, "F", "M")),
            "pressure": pa.array(pressure, mask=missing),
            "sodium": rng.normal(140 + shift, 3, n).round(1),
            "ward": pa.array(ward),
            "diagnosis": pa.array(rare, mask=rng.random(n) < 0.05),
            "smokes": pa.array(rng.random(n) < 0.3),
            "admitted": pa.array(start + days, pa.date32()),
            "died": pa.array(died),
        }
    )


def visits(n_patients: int, each: int, seed: int, *, prefix: str = "p") -> pa.Table:
    """Draw patients who hold several, very similar, records each."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(n_patients), each)
    own = rng.normal(size=(n_patients, 6))
    x = own[who] + rng.normal(0, 0.02, (len(who), 6))
    columns = {f"x{j}": x[:, j] for j in range(6)}
    ids = np.array([f"{prefix}{seed}-{i}" for i in who])
    return pa.table({"patient_id": ids, **columns})


def with_column(table: pa.Table, name: str, values: pa.Array | np.ndarray) -> pa.Table:
    """Replace a column."""
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def midnight(day: int) -> datetime.datetime:
    """Turn days since 1970 into a point in time."""
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(days=day)
