"""The suite of visits: ours and the rivals learn the same patients, judged by the same scorers.

Ours run through the public Python API in a process of their own (`longitudinal_child.py`), rivals
through `shared/measure/peer_seq.py` (`longitudinal_dp_peer.py` under differential privacy), each
in an environment of its own. `score_seq.py` there and
`longitudinal_score.py` judge the synthetic visits; `longitudinal_tasks.py` judges ours at
forecasting and imputation. `real` puts the training patients in the place of synthetic ones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bars import Bar
from child import run_child
from quality import REAL, ChildFailed, Job, Places, checked, last_json
from records import Record

HERE = Path(__file__).resolve().parent
MODELS = ("lstm",)
SPEED = "speed"
SHARED_SPLITS = ("pbcseq", "aids_cd4", "physionet2012")
"""Sets that `shared/measure/split_seq.py` splits."""
DATA = (
    *SHARED_SPLITS, "physionet2012_raw", "mimic3_demo", "synthea", "simulated", "simulated_12k",
    SPEED,
)  # fmt: skip
TARGETS = {"physionet2012": "In-hospital_death", "physionet2012_raw": "In-hospital_death"}
TASKS = ("physionet2012",)
"""Sets on which ours forecast and impute."""
FURTHER_SAMPLES = {"simulated": 4}
"""Of ours, so that estimates are pooled over five: the noise of one would hide the model's."""
ENVIRONMENTS = {"mostly": "mostly", "mostly-dp": "mostly", "par": "sdv"}
PRIVATE = "-dp"
"""Rivals of this ending are run under every epsilon, others once."""
ROWS = (
    "length", "gap", "negative", "span", "value", "level", "missing", "missing_visit", "lag1",
    "cross", "delta", "moves",
)  # fmt: skip
"""Figures of `score_seq.py`: errors, 0 is best."""
FURTHER = (
    "next_visit", "trtr", "tstr", "tstr_drop", "rule_error", "slope_overlap", "forecast_mae",
    "last_mae", "linear_mae", "forecast_covered", "impute_mae", "impute_locf_mae",
    "impute_linear_mae", "impute_median_mae",
)  # fmt: skip


def _below(data: str, **limits: float) -> tuple[Bar, ...]:
    return tuple(Bar(data, "lstm", figure, high=limit) for figure, limit in limits.items())


BARS = (
    *_below("pbcseq", gap=0.08, negative=0, value=0.09, lag1=0.15, delta=0.08),
    *_below("pbcseq", moves=0.09, length=0.08),
    *_below("physionet2012", span=0.06, value=0.04, missing=0.01, lag1=0.10, delta=0.06),
    *_below("physionet2012", length=0.04, negative=0),
    Bar("physionet2012", "lstm", "fit_s", high=0.5, rival="mostly"),
    *_below("aids_cd4", value=0.07, lag1=0.10, cross=0.06, delta=0.08, length=0.09),
    *_below("physionet2012", tstr_drop=0.03, next_visit=1.1, impute_mae=0.31),
    *_below("physionet2012", forecast_to_last=1.0, forecast_to_linear=1.0),
    Bar("physionet2012", "lstm", "forecast_covered", low=0.90, high=0.97),
    *_below("simulated", rule_error=0.2),
    Bar("simulated", "lstm", "slope_overlap", low=0.8),
    *_below(SPEED, fit_s=600, sample_s=10),
)
"""What issue 5 asks for, with defaults on two cores."""
SHARE_OF_ROWS = 0.8
"""Of all rows on which ours and a rival differ, ours has to be better on this share."""


def plan(
    data: Sequence[str],
    models: Sequence[str],
    rivals: Sequence[str],
    seeds: int,
    options: str = "",
    epsilons: Sequence[float] = (),
) -> list[Job]:
    """Everything to run, set by set; ours are run once more under each epsilon."""
    found = []
    for name in data:
        if name != SPEED:
            found.append(Job(data=name, who=REAL, suite="longitudinal"))
        for seed in range(seeds):
            where = {"data": name, "seed": seed, "suite": "longitudinal"}
            for epsilon in (None, *epsilons):
                here = {**where, "epsilon": epsilon}
                private = [
                    who
                    for who in rivals
                    if who.partition(":")[0].endswith(PRIVATE) == (epsilon is not None)
                ]
                found += [Job(who=who, options=options, **here) for who in models]
                found += [Job(who=who, rival=True, **here) for who in private]
    return found


def run_visits(job: Job, places: Places, limit: float, shared: Path) -> Record:
    """Fit, sample, score, and do the tasks; a failure is a record too."""
    try:
        split = ensure_visits(job.data, places, shared)
        if job.who == REAL:
            return job.record() | score(job.data, split, split / "train.parquet", places, limit)
        work = places.work(job) / (f"options-{len(job.options)}" if job.options else "default")
        work.mkdir(parents=True, exist_ok=True)
        made = work / "synthetic.parquet"
        measured = (_rival if job.rival else _ours)(job, split, work, places, limit)
        if job.data != SPEED:
            measured |= score(job.data, split, made, places, limit)
        return job.record() | measured
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


def ensure_visits(data: str, places: Places, shared: Path) -> Path:
    """Write the split of a set by patient where it is not there yet."""
    folder = places.split(data)
    if not (folder / "keys").exists():
        command = [sys.executable, HERE / "longitudinal_sets.py", data, folder, "--shared", shared]
        if data in SHARED_SPLITS:
            command = [sys.executable, places.measure / "split_seq.py", folder.parent, data]
        checked(run_child(command, path=HERE.parent))
    return folder


def score(data: str, split: Path, made: Path, places: Places, limit: float) -> Record:
    """All figures of synthetic visits; `rows` counts visits."""
    if made != split / "train.parquet":
        alike = [sys.executable, HERE / "longitudinal_visits.py", split / "train.parquet", made]
        checked(run_child(alike, limit=limit))
    command = [sys.executable, places.measure / "score_seq.py", split / "train.parquet"]
    command += [split / "test.parquet", made, *key_words(split)]
    found = last_json(checked(run_child(command, limit=limit)))
    command = [sys.executable, HERE / "longitudinal_score.py", split, made]
    command += ["--target", TARGETS[data]] if data in TARGETS else []
    command += ["--further", *sorted(made.parent.glob("synthetic-*.parquet"))]
    return found | last_json(checked(run_child(command, limit=limit, path=HERE.parent)))


def key_words(split: Path) -> list[str]:
    """Say to a child what `split_seq.py` wrote beside a split: who and when."""
    patient, time = (split / "keys").read_text().split()
    return ["--patient", patient, "--time", time]


def _ours(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    command = [sys.executable, HERE / "longitudinal_child.py", job.who, split / "train.parquet"]
    command += [work / "synthetic.parquet", *key_words(split)]
    command += ["--seed", str(job.seed), f"--options={job.options}"]
    command += [] if job.epsilon is None else ["--epsilon", str(job.epsilon)]
    command += ["--further", str(FURTHER_SAMPLES.get(job.data, 0))]
    asked = job.data in TASKS and job.epsilon is None
    make = [sys.executable, HERE / "longitudinal_tasks.py", "make", split, work]
    if asked:
        checked(run_child(make, limit=limit, path=HERE.parent))
        command += ["--tasks", work]
    child = checked(run_child(command, limit=limit, path=HERE.parent))
    measured = last_json(child) | {"process_s": round(child.seconds, 2)}
    if asked:
        make[2] = "score"
        measured |= last_json(checked(run_child(make, limit=limit, path=HERE.parent)))
        for simple in ("last", "linear"):
            if "forecast_mae" in measured:
                ratio = measured["forecast_mae"] / measured[f"{simple}_mae"]
                measured[f"forecast_to_{simple}"] = round(ratio, 4)
    return measured


def _rival(job: Job, split: Path, work: Path, places: Places, limit: float) -> Record:
    """Fit and sample a rival by its driver; `mostly:5`: five epochs, `mostly-dp:5`: minutes."""
    name, _, budget = job.who.partition(":")
    if places.peers is None:
        raise ChildFailed("no folder of rival environments: pass --peers or set PEERS")
    python = places.peers / ENVIRONMENTS.get(name, name) / "bin" / "python"
    driver = places.measure / "peer_seq.py"
    words = ["--epochs", budget] if budget else []
    if job.epsilon is not None:
        driver, words = HERE / "longitudinal_dp_peer.py", ["--eps", str(job.epsilon)]
        words += ["--minutes", budget] if budget else []
    command = [python, driver, name, split / "train.parquet", work / "synthetic.parquet", *words]
    child = checked(run_child([*command, *key_words(split)], limit=limit))
    said = last_json(child)
    spent = {"eps_spent": said["eps_spent"]} if "eps_spent" in said else {}
    return spent | {
        "fit_s": said["fit_s"],
        "sample_s": said["sample_s"],
        "peak_mib": round(child.peak_mib),
        "process_s": round(child.seconds, 2),
    }
