"""What privacy costs a step: the training loop's own step against DP-SGD, ours and Opacus'.

Each engine on each network is a process of its own, see `step_cost.py`; all run in the same loop
(`synthehr.train`) at the same expected batch, in float32 unless named otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

from child import run_child
from quality import ChildFailed, Places, checked, ensure_split, last_json
from records import Record

BATCH = 1024
NETWORKS = {"default": "dp step", "stand-in": "dp step of a stand-in"}
"""What each network is called in the records."""
ENGINES = ("plain", "plain-bfloat16", "ours", "opacus-hooks", "opacus-ghost")
MODEL = "autoregressive"
AS_FIT = ("env", "GOMP_SPINCOUNT=10000")
"""Every engine runs with the waiting of threads that the command line sets for a fit."""
HERE = Path(__file__).resolve().parent


def run_network(
    network: str, places: Places, threads: int, limit: float, batch: int = BATCH
) -> Record:
    """Measure every engine on one network; an engine that cannot train it is named so."""
    train = ensure_split("adult", places) / "train.parquet"
    record: Record = {"suite": "dp-step", "data": NETWORKS[network], "who": MODEL, "seed": 0}
    record |= {"options": "", "batch": batch, "threads": threads}
    for engine in ENGINES:
        name = engine.replace("-", "_")
        command = [
            *AS_FIT,
            sys.executable,
            HERE / "step_cost.py",
            train,
            "--network",
            network,
            "--engine",
            engine,
        ]
        command += ["--batch", str(batch), "--threads", str(threads)]
        try:
            said = last_json(checked(run_child(command, limit=limit, path=HERE.parent)))
        except ChildFailed as failure:
            if engine in ("plain", "ours"):
                return record | {"failed": str(failure)}
            record[name] = "cannot train it"
            continue
        record |= {f"{name}_ms": said["ms"], f"{name}_peak_mib": said["peak_mib"]}
        record["weights"] = said["weights"]
    for engine in ENGINES:
        name = engine.replace("-", "_")
        if f"{name}_ms" in record:
            record[f"{name}_ratio"] = round(record[f"{name}_ms"] / record["plain_ms"], 3)
    return record
