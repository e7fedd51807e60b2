"""The suite of images: draw, draw with masks, translate, repair, and how fast it learns.

Each task runs in a process of its own (`images_child.py`), ours, the same nets in a plain PyTorch
loop and MONAI's nets for the same number of seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from child import run_child
from quality import Places, last_json
from records import Record

HERE = Path(__file__).resolve().parent
TASKS = (
    "generate:pneumoniamnist",
    "generate:medical_mnist64",
    "masks:hippocampus64",
    "masks:nuclei64",
    "translate:pneumoniamnist:normal:pneumonia",
    "translate:medical_mnist64:HeadCT:BreastMRI",
    "repair:medical_mnist64:HeadCT",
    "speed:pneumoniamnist",
    "private:pneumoniamnist:10",
    "race:medical_mnist64",
)
OTHERS = ("plain", "monai")
DRAWING = ("generate", "masks")
"""Kinds of tasks that the others can do, too."""


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """One task for one contestant."""

    task: str
    who: str
    seed: int = 0
    seconds: float
    options: str = ""

    def record(self) -> Record:
        """What it is called in the JSON."""
        return {
            "suite": "images",
            "data": self.task,
            "who": self.who,
            "seed": self.seed,
            "rival": self.who in OTHERS,
            "options": f"{self.seconds:g} s {self.options}".strip(),
        }


def plan(
    tasks: Sequence[str], who: Sequence[str], seeds: int, seconds: float, options: str
) -> list[ImageTask]:
    """Everything to run, task by task."""
    return [
        ImageTask(task=task, who=one, seed=seed, seconds=seconds, options=options)
        for task in tasks
        for seed in range(seeds)
        for one in who
        if one not in OTHERS or task.split(":")[0] in DRAWING
    ]


def run_task(job: ImageTask, places: Places, limit: float, *, shared: Path) -> Record:
    """Run one task; a failure is a record too."""
    peers = [] if places.peers is None else ["--peers", places.peers]
    settings = [word for pair in job.options.split() for word in ("--set", pair)]
    child = run_child(
        [
            sys.executable,
            HERE / "images_child.py",
            job.task,
            *("--data", shared),
            *("--who", job.who),
            *("--seconds", str(job.seconds)),
            *("--seed", str(job.seed)),
            *peers,
            *settings,
        ],
        limit=limit,
        path=HERE.parent,
    )
    facts = {"seconds": child.seconds, "peak_mib": child.peak_mib, "cpu_s": child.cpu_s}
    if child.code:
        return job.record() | facts | {"failed": child.err.strip().splitlines()[-1:] or "killed"}
    return job.record() | facts | last_json(child)


def image_table(records: Sequence[Record]) -> str:
    """Lay what was measured out as Markdown, each figure beside that of real images."""
    lines = ["| task | who | seconds | figures |", "|---|---|---|---|"]
    for record in records:
        shown = [
            f"{name} {record[name]:.3f}"
            + (f" ({record[f'{name}_real']:.3f})" if f"{name}_real" in record else "")
            for name in SHOWN
            if isinstance(record.get(name), float)
        ]
        lines.append(
            f"| {record['data']} | {record['who']} | {record.get('fit_s', record['seconds']):.0f} "
            f"| {', '.join(shown)} |"
        )
    return "\n".join(lines)


SHOWN = (
    "tstr_auroc", "conditional_correctness", "kid", "frechet", "coverage", "recall", "diversity",
    "memorised", "mask_dice", "mask_area", "kid_untranslated", "kid_real", "seen_as_target",
    "cycle_error", "psnr",
    "psnr_mean", "psnr_diffusion", "psnr_rebuilt", "anomaly_auroc", "images_s", "plain_images_s",
    "ratio", "seconds_to_goal", "plain_seconds_to_goal", "goal", "sample_s_per_1000",
)  # fmt: skip
