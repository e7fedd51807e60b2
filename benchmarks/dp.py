"""The suite of differential privacy: ours and the rivals at the same ε and δ.

The split, the scorer and the processes are those of `quality.py`. Bounds and levels are public,
for all alike: the data sets are public benchmarks, and who has to find them out spends budget.
A record is a patient: no split has a column that names one.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from child import run_child
from quality import (
    REAL,
    Job,
    Places,
    checked,
    ensure_split,
    fit_and_sample,
    rows_of,
    run_job,
    run_peer,
)
from records import Record

DATA = ("adult", "stroke", "default_credit", "diabetes130")
MODELS = ("autoregressive", "vae", "cgan", "gan")
EPSILONS = (1.0, 3.0, 10.0)
DELTA = 1e-5
HERE = Path(__file__).resolve().parent


def plan(
    data: Sequence[str],
    models: Sequence[str],
    rivals: Sequence[str],
    epsilons: Sequence[float],
    seeds: int,
    options: str = "",
) -> list[Job]:
    """Everything to run, data set by data set: the real rows, then at each ε ours and rivals."""
    jobs = []
    for name in data:
        jobs.append(Job(suite="dp", data=name, who=REAL))
        for epsilon in epsilons:
            for seed in range(seeds):
                jobs += [_job(name, who, seed, epsilon, options) for who in models]
                jobs += [_job(name, who, seed, epsilon, rival=True) for who in rivals]
    return jobs


def _job(
    data: str, who: str, seed: int, epsilon: float, options: str = "", rival: bool = False
) -> Job:
    return Job(
        suite="dp",
        data=data,
        who=who,
        seed=seed,
        epsilon=epsilon,
        options=options,
        rival=rival,
    )


def run_private(job: Job, places: Places, limit: float) -> Record:
    """Fit, sample and score under differential privacy."""
    return run_job(job, places, limit, (_ours, _rival))


def ensure_schema(data: str, places: Places, limit: float) -> Path:
    """Write the schema with public bounds and levels where it is not there yet."""
    split = ensure_split(data, places)
    schema = split / "schema.json"
    if not schema.exists():
        inferred = split / "inferred.json"
        ask = [sys.executable, "-m", "synthehr", "schema", split / "train.parquet", "-o", inferred]
        checked(run_child([*ask, "--pii", "keep", "--force"], limit=limit))
        tables = (split / "train.parquet", split / "test.parquet")
        declare = [sys.executable, HERE / "public.py", inferred, schema, *tables]
        checked(run_child(declare, limit=limit, path=HERE.parent))
    return schema


def _ours(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    words = ["--schema", ensure_schema(job.data, places, limit), "--epsilon", f"{job.epsilon:g}"]
    words += ["--delta", f"{DELTA:g}", "--public-rows", str(rows_of(split / "train.parquet"))]
    return fit_and_sample(job, [*words, *shlex.split(job.options)], split, work, limit)


def _rival(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    driver = places.measure / "peer.py" if job.who.startswith("dpmm-") else HERE / "dp_peer.py"
    return run_peer(job, driver, ["--eps", f"{job.epsilon:g}"], split, work, places, limit)
