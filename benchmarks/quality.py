"""The quality suite: ours and the rivals on the same split, judged by the same scorer.

Every fit runs in a fresh process and strictly one after the other: two busy processes of two
threads each would take ten times as long. Ours go through the public command line; rivals
through `shared/measure/peer.py`, each in an environment of its own.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
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
ENVIRONMENTS = {
    "mostly": "mostly",
    "ctgan": "sdv",
    "tvae": "sdv",
    "copula": "sdv",
    "arf": "arf",
    "dpmm-mst": "dpmm",
    "dpmm-aim": "dpmm",
    "dpmm-priv": "dpmm",
    "mostly-dp": "mostly",
    "smartnoise-dpctgan": "smartnoise",
}
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
        private = [] if job.epsilon is None else [f"epsilon{job.epsilon:g}"]
        name = "-".join([job.who.replace(":", "-"), *private, str(job.seed)])
        return self.out / "work" / job.data / name


@dataclass(frozen=True, kw_only=True)
class Job:
    """One fit to measure; `who` is `real`, one of our models, or a rival with its epochs.

    With an epsilon it belongs to the suite of differential privacy.
    """

    data: str
    who: str
    seed: int = 0
    rival: bool = False
    options: str = ""
    suite: str = "quality"
    epsilon: float | None = None

    def record(self) -> Record:
        """What the job is called in the JSON."""
        record: Record = {
            "suite": self.suite,
            "data": self.data,
            "who": self.who,
            "seed": self.seed,
            "rival": self.rival,
            "options": self.options,
        }
        return record if self.epsilon is None else record | {"epsilon": self.epsilon}


Fit = Callable[[Job, Path, Path, Places, float], Record]
Fits = tuple[Fit, Fit]
"""How ours are fitted and sampled, and how a rival is."""


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


def run_job(job: Job, places: Places, limit: float, fits: Fits | None = None) -> Record:
    """Fit, sample and score; a failure is a record too, with the last line of what was said."""
    ours, rival = fits or (_ours, _rival)
    split, work = ensure_split(job.data, places), places.work(job)
    work.mkdir(parents=True, exist_ok=True)
    try:
        if job.who == REAL:
            return job.record() | _real(split, places, limit)
        measured = (rival if job.rival else ours)(job, split, work, places, limit)
        return job.record() | measured | score(split, work / "synthetic.parquet", places, limit)
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


class ChildFailed(Exception):
    """A child ended with a code other than 0."""


def ensure_split(data: str, places: Places) -> Path:
    """Write the fixed split of a data set where it is not there yet."""
    folder = places.split(data)
    if not (folder / "target").exists():
        checked(run_child([sys.executable, places.measure / "split.py", folder.parent, data]))
    return folder


def score(split: Path, synthetic: Path, places: Places, limit: float) -> Record:
    """The scorer's figures for one synthetic table."""
    target = (split / "target").read_text().strip()
    command = [sys.executable, places.measure / "score.py", split / "train.parquet"]
    command += [split / "test.parquet", synthetic, *(["--target", target] if target else [])]
    return last_json(checked(run_child(command, limit=limit)))


def _real(split: Path, places: Places, limit: float) -> Record:
    """Ceilings: real rows in the place of synthetic ones, once each way round."""
    test = score(split, split / "test.parquet", places, limit)
    train = score(split, split / "train.parquet", places, limit)
    return {name: train[name] for name in ("detect", "trtr", "tstr") if name in train} | {
        name: test[name] for name in ("shapes", "trends", "nulls")
    }


def _ours(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    return fit_and_sample(job, shlex.split(job.options), split, work, limit)


def fit_and_sample(
    job: Job, words: Sequence[str | Path], split: Path, work: Path, limit: float
) -> Record:
    """Fit and sample one of our models by the command line, with further words for `fit`."""
    model, synthetic = work / "model.synthehr", work / "synthetic.parquet"
    cli = [sys.executable, "-m", "synthehr"]
    fit = [*cli, "fit", split / "train.parquet", "-o", model, "--model", job.who]
    fit += ["--seed", str(job.seed), "--force", "--json", *words]
    fitted = checked(run_child(fit, limit=limit))
    draw = [*cli, "sample", model, "-o", synthetic, "--seed", str(job.seed)]
    draw += ["-n", str(rows_of(split / "train.parquet")), "--force"]
    sampled = checked(run_child(draw, limit=limit))
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
        "run": last_json(fitted),
    }


def _rival(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    epochs = job.who.partition(":")[2]
    words = ["--epochs", epochs] if epochs else []
    return run_peer(job, places.measure / "peer.py", words, split, work, places, limit)


def run_peer(
    job: Job,
    driver: Path,
    words: Sequence[str],
    split: Path,
    work: Path,
    places: Places,
    limit: float,
) -> Record:
    """Fit and sample a rival by its driver, in its own environment."""
    name = job.who.partition(":")[0]
    if places.peers is None:
        raise ChildFailed("no folder of rival environments: pass --peers or set PEERS")
    python = places.peers / ENVIRONMENTS.get(name, name) / "bin" / "python"
    command = [python, driver, name, split / "train.parquet", work / "synthetic.parquet"]
    child = checked(run_child([*command, "--seed", str(job.seed), *words], limit=limit))
    said = last_json(child)
    spent = {"eps_spent": said["eps_spent"]} if "eps_spent" in said else {}
    return {
        "fit_s": said["fit_s"],
        "sample_s": said["sample_s"],
        "peak_mib": round(child.peak_mib),
        "process_s": round(child.seconds, 2),
        **spent,
    }


@cache
def start_seconds() -> float:
    """Seconds to start Python and import what a fit imports; `peer.py` leaves them out."""
    starts = [run_child([sys.executable, "-c", "import synthehr.run.fitting"]) for _ in range(4)]
    return median(checked(child).seconds for child in starts[1:])


def rows_of(path: Path) -> int:
    """Count the rows of a Parquet file."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).metadata.num_rows


def checked(child: Child) -> Child:
    """Give a child back that ended well.

    Raises
    ------
    ChildFailed
        With the last line of what it said.
    """
    if child.code:
        said = (child.err.strip() or child.out.strip()).splitlines()
        raise ChildFailed(f"exit code {child.code}: {said[-1] if said else ''}")
    return child


def last_json(child: Child) -> Record:
    """Read the JSON that a child printed last."""
    text = child.out.strip()
    return json.loads(text if text.startswith("{") else text.splitlines()[-1])
