"""Fit a rival on visits under differential privacy, in the rival's own environment.

    python longitudinal_dp_peer.py mostly-dp TRAIN.parquet OUT.parquet --patient COL --time COL
        --eps 8 [--minutes 20]

mostlyai-engine learns patients (what is constant in each) and their visits as two tables, and each
has half of ε and of δ; minutes limit each, and ε may then not be spent in full. Ranges and levels
are taken as they are (`value_protection=False`), which is free here as it is for ours. Prints a
JSON line as `shared/measure/peer_seq.py` does.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd

from dp_peer import DELTA, plain


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["mostly-dp"])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patient", required=True)
    parser.add_argument("--time", required=True)
    parser.add_argument("--eps", type=float, required=True)
    parser.add_argument("--minutes", type=float, default=14400.0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    engine: Any = import_module("mostlyai.engine")
    key: str = options.patient
    visits = plain(pd.read_parquet(options.train)).sort_values([key, options.time], kind="stable")
    constant = visits.groupby(key).nunique(dropna=False).max() == 1
    static = [name for name in visits.columns if name not in (key, options.time) and constant[name]]
    patients = visits.drop_duplicates(key)[[key, *static]]
    moving = visits.drop(columns=static)
    engine.set_random_state(0)
    started = time.perf_counter()
    one, two = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    engine.split(workspace_dir=one, tgt_data=patients, tgt_primary_key=key)
    spent = learn(engine, one, options.eps / 2, options.minutes)
    engine.split(
        workspace_dir=two,
        tgt_data=moving,
        tgt_context_key=key,
        ctx_data=patients,
        ctx_primary_key=key,
    )
    spent += learn(engine, two, options.eps / 2, options.minutes)
    between = time.perf_counter()
    engine.generate(workspace_dir=one, sample_size=len(patients))
    drawn = pd.read_parquet(one / "SyntheticData")
    engine.generate(workspace_dir=two, ctx_data=drawn)
    made = pd.read_parquet(two / "SyntheticData").merge(drawn, on=key)
    ended = time.perf_counter()
    made[list(visits.columns)].to_parquet(options.out)
    said = {
        "peer": options.name,
        "fit_s": round(between - started, 1),
        "sample_s": round(ended - between, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "eps": options.eps,
        "eps_spent": round(spent, 3),
    }
    print(json.dumps(said))


def learn(engine: Any, place: Path, epsilon: float, minutes: float) -> float:
    """Train one of the two tables, and give the ε that it says it spent."""
    engine.analyze(workspace_dir=place, value_protection=False)
    engine.encode(workspace_dir=place)
    private = {"max_epsilon": epsilon, "delta": DELTA / 2}
    engine.train(workspace_dir=place, differential_privacy=private, max_training_time=minutes)
    (log,) = place.rglob("progress-messages.csv")
    told = pd.read_csv(log)
    kept = told.loc[told["is_checkpoint"] == 1, "dp_eps"]
    return float(kept.iloc[-1]) if len(kept) else float("nan")


if __name__ == "__main__":
    main()
