"""A small ward with everything declared that differential privacy needs."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from synthehr import Privacy, Schema, Synthesizer

PATIENTS = 1_000
CODES = ("A", "B", "C", "D")
SETTINGS = {
    "train": {"steps": 10, "batch_size": 64},
    "model": {"width": 16},
    "privacy": {"rounds": 1, "round_steps": 5},
}
PRIVACY = Privacy(epsilon=4.0, delta=1e-4, public_rows=PATIENTS)


def ward(n: int = PATIENTS, seed: int = 0) -> pa.Table:
    """One record a patient."""
    rng = np.random.default_rng(seed)
    code = rng.choice(4, n, p=[0.5, 0.3, 0.15, 0.05])
    lab = np.round(rng.lognormal(1, 0.4, n) + code, 1)
    start = date(2020, 1, 1)
    return pa.table({
        "mrn": [f"P{i:05}" for i in range(n)],
        "age": np.clip(rng.normal(50 + 5 * code, 12, n), 18, 95).astype(int),
        "lab": pa.array(lab, mask=rng.random(n) < 0.2),
        "code": [CODES[i] for i in code],
        "admitted": [start + timedelta(int(day)) for day in rng.integers(0, 700, n)],
        "died": rng.random(n) < 0.1 + 0.1 * code,
    })  # fmt: skip


def declared(role: str = "feature") -> Schema:
    """Say what is known of the ward's columns without its records."""
    columns: list[dict[str, Any]] = [
        {"name": "mrn", "kind": "id", "role": role},
        {"name": "age", "kind": "integer", "bounds": [18, 95]},
        {"name": "lab", "kind": "numeric", "bounds": [0, 50]},
        {"name": "code", "kind": "categorical", "levels": list(CODES)},
        {"name": "admitted", "kind": "date", "bounds": ["2020-01-01", "2021-12-31"]},
        {"name": "died", "kind": "boolean"},
    ]
    return Schema.from_json({"format": "synthehr schema", "version": 1, "columns": columns})


def private(seed: int = 1, model: str = "auto") -> Synthesizer:
    return Synthesizer(model, seed=seed, settings=SETTINGS)


@cache
def fitted_privately() -> Synthesizer:
    return private().fit(ward(), declared(), privacy=PRIVACY)
