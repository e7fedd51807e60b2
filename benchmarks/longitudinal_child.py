"""Fit our model of visits, draw as many patients, and do the tasks that are asked.

    python longitudinal_child.py MODEL TRAIN.parquet OUT.parquet --patient COL --time COL
        [--seed 0] [--options '--set train.steps=50'] [--epsilon 8] [--tasks FOLDER]
        [--further 4]

Under an epsilon, bounds and levels of TRAIN and of the test.parquet beside it are public, as they
are for the rivals, and so is the number of patients.
FOLDER holds what `longitudinal_tasks.py make` writes: forecast.parquet and filled.parquet are
written beside it. `--further` draws as many samples more, to synthetic-1.parquet and so on beside
OUT. Prints JSON: `fit_s` and `sample_s` without imports and reading, as the drivers
of the rivals take them; `peak_mib` before the tasks; `forecast_s`, `impute_s`.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from longitudinal_tasks import STEPS
from public import declared

DELTA = 1e-5
FORECAST_DRAWS = 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patient", required=True)
    parser.add_argument("--time", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--options", default="")
    parser.add_argument("--epsilon", type=float)
    parser.add_argument("--tasks", type=Path)
    parser.add_argument("--further", type=int, default=0)
    options = parser.parse_args()
    # found by name, and before the clock starts
    synthesizer: Any = import_module("synthehr").SequenceSynthesizer
    import_module("torch")
    table = pd.read_parquet(options.train)
    patients = int(table[options.patient].nunique())
    private = {}
    if options.epsilon is not None:
        privacy: Any = import_module("synthehr").Privacy
        private = {
            "privacy": privacy(epsilon=options.epsilon, delta=DELTA, public_rows=patients),
            "schema": public_schema(options.train.parent, options.patient, options.time),
            "static": constants(options.train.parent, options.patient, options.time),
        }
    started = time.perf_counter()
    model = synthesizer(options.model, seed=options.seed, settings=settings_of(options.options))
    model.fit(table, patient=options.patient, time=options.time, **private)
    fitted = time.perf_counter()
    made = model.sample(patients, seed=options.seed + 1)
    sampled = time.perf_counter()
    write(made, options.out)
    said = {"fit_s": round(fitted - started, 2), "sample_s": round(sampled - fitted, 2)}
    said["peak_mib"] = peak_mib()
    for i in range(1, options.further + 1):
        more = model.sample(patients, seed=options.seed + 1 + i)
        write(more, options.out.with_name(f"synthetic-{i}.parquet"))
    if options.tasks:
        said |= tasks(model, options.tasks, options.seed)
    print(json.dumps(said))


def public_schema(split: Path, patient: str, when: str) -> Any:
    """The schema with the bounds and levels of both halves of a public data set."""
    from synthehr.schema.infer import infer
    from synthehr.schema.table import Schema

    tables = [pq.read_table(split / f"{name}.parquet") for name in ("train", "test")]
    inferred = infer(tables[0], patient=patient, time=when, pii="keep").to_json()
    return Schema.from_json(declared(inferred, tables))


def constants(split: Path, patient: str, when: str) -> list[str]:
    """Columns that no patient of either half of a public data set changes."""
    halves = [pd.read_parquet(split / f"{name}.parquet") for name in ("train", "test")]
    counted = [half.groupby(patient).nunique(dropna=False).max() for half in halves]
    changes = pd.concat(counted, axis=1)
    once = changes.max(axis=1) == 1
    return [str(name) for name in once.index[once] if name != when]


def peak_mib() -> int:
    """Largest resident size so far; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform != "darwin" else 1024**2)


def settings_of(words: str) -> dict[str, dict[str, Any]]:
    """Read `--set group.name=value …`."""
    settings: dict[str, dict[str, Any]] = {}
    for word in shlex.split(words):
        if word != "--set":
            where, _, text = word.partition("=")
            group, _, name = where.partition(".")
            settings.setdefault(group, {})[name] = _value(text)
    return settings


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def tasks(model: Any, folder: Path, seed: int) -> dict[str, float]:
    """Continue the histories, and fill the holes; what a model cannot do is left out."""
    found = {}
    if hasattr(model, "forecast"):
        started = time.perf_counter()
        history = pd.read_parquet(folder / "history.parquet")
        drawn = model.forecast(history, steps=STEPS, draws=FORECAST_DRAWS, seed=seed)
        found["forecast_s"] = round(time.perf_counter() - started, 2)
        frame_of(drawn).to_parquet(folder / "forecast.parquet", index=False)
    if hasattr(model, "impute"):
        started = time.perf_counter()
        filled = model.impute(pd.read_parquet(folder / "holes.parquet"), draws=0)
        found["impute_s"] = round(time.perf_counter() - started, 2)
        frame_of(filled).to_parquet(folder / "filled.parquet", index=False)
    return found


def frame_of(table: Any) -> pd.DataFrame:
    """A pandas table, whatever came."""
    return table.to_pandas() if isinstance(table, pa.Table) else pd.DataFrame(table)


def write(made: Any, path: Path) -> None:
    """Write synthetic visits."""
    if isinstance(made, pa.Table):
        pq.write_table(made, path)
    else:
        frame_of(made).to_parquet(path, index=False)


if __name__ == "__main__":
    main()
