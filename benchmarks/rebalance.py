"""The suite of rebalancing: a rare class is grown inside the fold, and classifiers are judged.

5 × 2 cross-validation (Dietterich 1998, doi:10.1162/089976698300017197): each of five
repetitions halves the records, learns from one half and is tested on the other, both ways.
Ours go through the public command line, rivals through `rebalance_peer.py`; `none` and
`weights` change no record. One record of the JSON is one half: seed 2r + h.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from child import run_child
from quality import ChildFailed, Job, Places, checked, last_json
from records import Record

HERE = Path(__file__).resolve().parent
DATA = ("stroke", "thyroid", "hypothyroid", "cervical_cancer", "diabetes130")
UNCHANGED = ("none", "weights")
RIVALS = ("none", "weights", "oversampling", "smotenc", "borderline", "ctgan", "tvae")
ENVIRONMENTS = {
    "oversampling": "imblearn",
    "smotenc": "imblearn",
    "borderline": "imblearn",
    "ctgan": "sdv",
    "tvae": "sdv",
}
HALVES = 10
RATIO = 0.5
"""The rare class becomes half as large as the other one."""


def plan(
    data: Sequence[str], models: Sequence[str], rivals: Sequence[str], halves: int, options: str
) -> list[Job]:
    """Everything to run, half by half."""
    half = partial(Job, suite="rebalance")
    found = []
    for name in data:
        for seed in range(halves):
            found += [half(data=name, who=who, seed=seed, options=options) for who in models]
            found += [half(data=name, who=who, seed=seed, rival=True) for who in rivals]
    return found


def run_growing(job: Job, places: Places, limit: float) -> Record:
    """Halve, grow, train and score; a failure is a record too."""
    folder = places.out / "work" / job.data / f"rebalance-{job.seed}"
    work = folder / job.who
    work.mkdir(parents=True, exist_ok=True)
    train, test, grown = folder / "train.parquet", folder / "test.parquet", work / "grown.parquet"
    try:
        if not test.exists():
            make = [sys.executable, HERE / "rebalance_sets.py", job.data, train, test]
            shared = places.measure.parent / "data"
            checked(run_child([*make, "--seed", str(job.seed), "--shared", shared]))
        measured: Record = {}
        if job.who in UNCHANGED:
            grown = train
        elif job.rival:
            if places.peers is None:
                raise ChildFailed("no folder of rival environments: pass --peers")
            python = places.peers / ENVIRONMENTS[job.who] / "bin" / "python"
            command = [python, HERE / "rebalance_peer.py", job.who, train, grown]
            command += ["--ratio", str(RATIO), "--seed", str(job.seed)]
            measured = last_json(checked(run_child(command, limit=limit)))
        else:
            measured = _ours(job, train, grown, work, limit)
        command = [sys.executable, HERE / "rebalance_score.py", train, grown, test]
        command += ["--weights"] if job.who == "weights" else []
        return job.record() | measured | last_json(checked(run_child(command, limit=limit)))
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


def _ours(job: Job, train: Path, grown: Path, work: Path, limit: float) -> Record:
    model, words = work / "model.synthehr", shlex.split(job.options)
    cli = [sys.executable, "-m", "synthehr"]
    seed = ["--seed", str(job.seed), "--force", "--quiet"]
    fit = [*cli, "fit", train, "-o", model, "--model", job.who, "--pii", "keep", *seed, *words]
    fitted = checked(run_child(fit, limit=limit))
    grow = [*cli, "rebalance", model, train, "--target", "rare", "--to", str(RATIO)]
    drawn = checked(run_child([*grow, "-o", grown, *seed], limit=limit))
    return {"seconds": round(fitted.seconds + drawn.seconds, 2)}
