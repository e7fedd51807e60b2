"""The suite of imputation: cells of a complete split are taken away, and filled in again.

Ours learn from the table with its holes, and fill these, by the public command line; rivals
through `impute_peer.py`. The records are those of the training split; boosted trees that learned
from the completed table are judged on the complete test split.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from child import run_child
from quality import ChildFailed, Places, checked, ensure_split, last_json
from records import Record

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = {
    "miceforest": "impute",
    "hyperimpute": "hyper",
    "hyperimpute-gain": "hyper",
    "hyperimpute-miwae": "hyper",
}
"""Rivals that need another environment than ours; all others need scikit-learn alone."""
MODELS = ("autoregressive", "vae")
DATA = ("adult", "stroke", "default_credit", "shoppers", "heart_disease", "diabetes130")
SHARES = (0.1, 0.3, 0.5)


@dataclass(frozen=True, kw_only=True)
class Filling:
    """One table to fill."""

    data: str
    kind: str
    share: float
    who: str
    seed: int = 0
    rival: bool = False
    options: str = ""

    def record(self) -> Record:
        """What it is called in the JSON."""
        return {
            "suite": "impute",
            "data": f"{self.data}, {self.kind} {self.share:g}",
            "who": self.who,
            "seed": self.seed,
            "rival": self.rival,
            "options": self.options,
        }


def plan(
    data: Sequence[str],
    kinds: Sequence[str],
    shares: Sequence[float],
    models: Sequence[str],
    rivals: Sequence[str],
    seeds: int,
    options: str = "",
) -> list[Filling]:
    """Everything to run, table by table."""
    found = []
    for name in data:
        for kind in kinds:
            for share in shares:
                for seed in range(seeds):
                    where = {"data": name, "kind": kind, "share": share, "seed": seed}
                    found += [Filling(who=who, options=options, **where) for who in models]
                    found += [Filling(who=who, rival=True, **where) for who in rivals]
    return found


def run_filling(job: Filling, places: Places, limit: float) -> Record:
    """Take cells away, have them filled, and score; a failure is a record too."""
    split = ensure_split(job.data, places)
    name = f"{job.kind}-{job.share:g}-{job.seed}"
    folder = places.out / "work" / job.data / f"impute-{name}"
    work = folder / job.who
    work.mkdir(parents=True, exist_ok=True)
    holes, point, draw = folder / "holes.parquet", work / "point.parquet", work / "draw.parquet"
    target = (split / "target").read_text().strip()
    try:
        if not holes.exists():
            make = [sys.executable, HERE / "make_holes.py", split / "train.parquet", holes]
            make += ["--kind", job.kind, "--share", str(job.share), "--seed", str(job.seed)]
            checked(run_child([*make, "--keep", target]))
        if job.rival:
            python: str | Path = sys.executable
            if job.who in ENVIRONMENTS:
                if places.peers is None:
                    raise ChildFailed("no folder of rival environments: pass --peers")
                python = places.peers / ENVIRONMENTS[job.who] / "bin" / "python"
            command = [python, HERE / "impute_peer.py", job.who, holes, point, draw]
            child = checked(run_child([*command, "--seed", str(job.seed)], limit=limit))
            measured: Record = {"seconds": last_json(child)["seconds"]}
            measured["cpu_s"] = round(child.cpu_s, 2)
            measured["peak_mib"] = round(child.peak_mib)
        else:
            measured = _ours(job, shlex.split(job.options), holes, point, draw, work, limit)
        command = [sys.executable, HERE / "impute_score.py", split / "train.parquet", holes, point]
        command += [draw, "--target", target, "--test", split / "test.parquet"]
        return job.record() | measured | last_json(checked(run_child(command, limit=limit)))
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


def _ours(
    job: Filling,
    words: Sequence[str],
    holes: Path,
    point: Path,
    draw: Path,
    work: Path,
    limit: float,
) -> Record:
    model = work / "model.synthehr"
    cli = [sys.executable, "-m", "synthehr"]
    seed = ["--seed", str(job.seed), "--force", "--quiet"]
    fit = [*cli, "fit", holes, "-o", model, "--model", job.who, "--pii", "keep", *seed, *words]
    fitted = checked(run_child(fit, limit=limit))
    fill = [*cli, "impute", model, holes, *seed]
    estimated = checked(run_child([*fill, "-o", point, "--draws", "0"], limit=limit))
    drawn = checked(run_child([*fill, "-o", draw], limit=limit))
    return {
        "seconds": round(fitted.seconds + estimated.seconds + drawn.seconds, 2),
        "cpu_s": round(fitted.cpu_s + estimated.cpu_s + drawn.cpu_s, 2),
        "fit_s": round(fitted.seconds, 2),
        "impute_s": round(drawn.seconds, 2),
        "peak_mib": round(max(fitted.peak_mib, drawn.peak_mib)),
    }
