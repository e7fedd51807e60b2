"""The suite of coverage: how often 95 % intervals over several draws hold the truth.

Each cohort is simulated, so that the truth is known; what it lacks hangs on what is seen of it.
Ours and rivals fill it 20 times, and estimates are pooled by Rubin's rules. `whole` is the same
cohort with nothing missing: the ceiling. `cases` drops the records with holes: the floor.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from child import run_child
from quality import ChildFailed, Places, checked, last_json
from records import Record

HERE = Path(__file__).resolve().parent
SIZES = (1_000,)
COHORTS = 40


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """One cohort, filled by one."""

    records: int
    who: str
    seed: int
    rival: bool = False
    options: str = ""

    def record(self) -> Record:
        """What it is called in the JSON."""
        return {
            "suite": "coverage",
            "data": f"{self.records} simulated admissions",
            "who": self.who,
            "seed": self.seed,
            "rival": self.rival,
            "options": self.options,
        }


def plan(
    sizes: Sequence[int],
    models: Sequence[str],
    rivals: Sequence[str],
    cohorts: int,
    options: str = "",
) -> list[Cohort]:
    """Everything to run, cohort by cohort."""
    return [
        Cohort(
            records=size,
            who=who,
            seed=seed,
            rival=who in rivals,
            options="" if who in rivals else options,
        )
        for size in sizes
        for seed in range(cohorts)
        for who in (*models, *rivals)
    ]


def run_cohort(job: Cohort, places: Places, limit: float) -> Record:
    """Simulate, take cells away, fill, and pool; a failure is a record too."""
    command = [sys.executable, HERE / "coverage_cohort.py", job.who, "--records", str(job.records)]
    command += ["--seed", str(job.seed), "--options", job.options]
    try:
        child = run_child(command, limit=limit, path=HERE.parent)
        return job.record() | last_json(checked(child))
    except ChildFailed as failure:
        return job.record() | {"failed": str(failure)}


def coverage_table(measured: Sequence[Record]) -> str:
    """Say for each quantity how many intervals hold the truth, and how wide they are."""
    found: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    for record in measured:
        if "quantities" in record:
            key = record["data"], record["who"], record["options"]
            for name, figures in record["quantities"].items():
                found.setdefault(key, {}).setdefault(name, []).append(figures)
    lines = [
        "| data | who | quantity | cohorts | covered | bias | width |",
        "|---|---|---|" + "---:|" * 4,
    ]
    for (data, who, options), quantities in found.items():
        for name, all_of_it in quantities.items():
            n = len(all_of_it)
            covered = sum(figures["covered"] for figures in all_of_it) / n
            bias = sum(figures["estimate"] - figures["truth"] for figures in all_of_it) / n
            width = sum(figures["high"] - figures["low"] for figures in all_of_it) / n
            figures_text = f"{n} | {covered:.3f} | {bias:+.4f} | {width:.4f}"
            lines.append(f"| {data} | {f'{who} {options}'.rstrip()} | {name} | {figures_text} |")
    return "\n".join(lines)
