"""The quality suite: ours and the rivals on the same split, judged by the same scorer.

Every fit runs in a fresh process and strictly one after the other: two busy processes of two
threads each would take ten times as long. Ours go through the public command line; rivals
through `shared/measure/peer.py`, each in an environment of its own.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from child import Child, run_child
from records import Record

DATA = (
    "adult",
    "stroke",
    "diabetes130",
    "support2",
    "default_credit",
    "shoppers",
    "heart_disease",
)
MODELS = ("autoregressive", "vae", "gan", "cgan")
ENVIRONMENTS = {"mostly": "mostly", "ctgan": "sdv", "tvae": "sdv", "copula": "sdv", "arf": "arf"}
REAL = "real"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things lie."""

    measure: Path
    out: Path
    peers: Path | None = None

    def split(self, data: str) -> Path:
        """Folder with train.parquet, test.parquet and target."""
        return self.out / "splits" / data

    def work(self, job: Job) -> Path:
        """Folder for what a job leaves behind."""
        name = "-".join(part for part in (job.who.replace(":", "-"), str(job.seed)) if part)
        return self.out / "work" / job.data / name


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit to measure; `who` is `real`, one of our models, or a rival with its epochs."""

    data: str
    who: str
    seed: int = 0
    rival: bool = False
    options: str = ""

    def record(self) -> Record:
        """What the job is called in the JSON."""
        return {
            "suite": "quality",
            "data": self.data,
            "who": self.who,
            "seed": self.seed,
            "rival": self.rival,
            "options": self.options,
        }


def plan(
    data: Sequence[str], models: Sequence[str], rivals: Sequence[str], seeds: int, options: str = ""
) -> list[Job]:
    """Everything to run, data set by data set: the real rows, ours, then the rivals."""
    jobs = []
    for name in data:
        jobs.append(Job(data=name, who=REAL))
        for seed in range(seeds):
            jobs += [Job(data=name, who=who, seed=seed, options=options) for who in models]
            jobs += [Job(data=name, who=who, seed=seed, rival=True) for who in rivals]
    return jobs


def run_job(job: Job, places: Places, limit: float) -> Record:
    """Fit, sample and score; a failure is a record too, with the last line of what was said."""
    split, work = ensure_split(job.data, places), places.work(job)
    work.mkdir(parents=True, exist_ok=True)
    try:
        if job.who == REAL:
            return job.record() | _real(split, places, limit)
        run = _rival if job.rival else _ours
        measured = run(job, split, work, places, limit)
        return job.record() | measured | score(split, work / "synthetic.parquet", places, limit)
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


class ChildFailed(Exception):
    """A child ended with a code other than 0."""


def ensure_split(data: str, places: Places) -> Path:
    """Write the fixed split of a data set where it is not there yet."""
    folder = places.split(data)
    if not (folder / "target").exists():
        _checked(run_child([sys.executable, places.measure / "split.py", folder.parent, data]))
    return folder


def score(split: Path, synthetic: Path, places: Places, limit: float) -> Record:
    """The scorer's figures for one synthetic table."""
    target = (split / "target").read_text().strip()
    command = [sys.executable, places.measure / "score.py", split / "train.parquet"]
    command += [split / "test.parquet", synthetic, *(["--target", target] if target else [])]
    return _last_json(_checked(run_child(command, limit=limit)))


def _real(split: Path, places: Places, limit: float) -> Record:
    """Ceilings: real rows in the place of synthetic ones, once each way round."""
    test = score(split, split / "test.parquet", places, limit)
    train = score(split, split / "train.parquet", places, limit)
    return {name: train[name] for name in ("detect", "trtr", "tstr") if name in train} | {
        name: test[name] for name in ("shapes", "trends", "nulls")
    }


def _ours(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    model, synthetic = work / "model.synthehr", work / "synthetic.parquet"
    cli = [sys.executable, "-m", "synthehr"]
    fit = [*cli, "fit", split / "train.parquet", "-o", model, "--model", job.who]
    fit += ["--seed", str(job.seed), "--force", "--json", *shlex.split(job.options)]
    fitted = _checked(run_child(fit, limit=limit))
    draw = [*cli, "sample", model, "-o", synthetic, "--seed", str(job.seed)]
    draw += ["-n", str(_rows(split / "train.parquet")), "--force"]
    sampled = _checked(run_child(draw, limit=limit))
    start = start_seconds()
    return {
        "fit_s": round(fitted.seconds - start, 2),
        "start_s": round(start, 2),
        "fit_process_s": round(fitted.seconds, 2),
        "sample_s": round(sampled.seconds, 2),
        "peak_mib": round(max(fitted.peak_mib, sampled.peak_mib)),
        "fit_peak_mib": round(fitted.peak_mib),
        "sample_peak_mib": round(sampled.peak_mib),
        "model_mib": round(model.stat().st_size / 2**20, 2),
        "run": _last_json(fitted),
    }


def _rival(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    name, _, epochs = job.who.partition(":")
    if places.peers is None:
        raise ChildFailed("no folder of rival environments: pass --peers or set PEERS")
    python = places.peers / ENVIRONMENTS.get(name, name) / "bin" / "python"
    command = [python, places.measure / "peer.py", name, split / "train.parquet"]
    command += [work / "synthetic.parquet", "--seed", str(job.seed)]
    child = _checked(run_child([*command, *(["--epochs", epochs] if epochs else [])], limit=limit))
    said = _last_json(child)
    return {
        "fit_s": said["fit_s"],
        "sample_s": said["sample_s"],
        "peak_mib": round(child.peak_mib),
        "process_s": round(child.seconds, 2),
    }


@cache
def start_seconds() -> float:
    """Seconds to start Python and import what a fit imports; `peer.py` leaves them out."""
    starts = [run_child([sys.executable, "-c", "import synthehr.run.fitting"]) for _ in range(4)]
    return median(_checked(child).seconds for child in starts[1:])


def _rows(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).metadata.num_rows


def _checked(child: Child) -> Child:
    if child.code:
        said = (child.err.strip() or child.out.strip()).splitlines()
        raise ChildFailed(f"exit code {child.code}: {said[-1] if said else ''}")
    return child


def _last_json(child: Child) -> Record:
    text = child.out.strip()
    return json.loads(text if text.startswith("{") else text.splitlines()[-1])
