"""The demo: simulated cohort, fit, sample, report, through the command line."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from synthehr.demo.cohort import simulate
from synthehr.demo.scans import write_scans
from synthehr.demo.visits import simulate_visits
from synthehr.errors import SynthehrError

COMMANDS = (
    "fit {0}/cohort.parquet -o {0}/cohort.synthehr --patient patient_id --seed 1",
    "sample {0}/cohort.synthehr -o {0}/synthetic.parquet --seed 2",
    "report {0}/cohort.parquet {0}/synthetic.parquet --model {0}/cohort.synthehr --target died"
    " -o {0}/report.html",
)


def run_demo(
    folder: Path = Path("demo"), *, patients: int = 4000, seed: int = 0, force: bool = False
) -> Path:
    """Simulate a cohort and take it through fit, sample and report, echoing each command.

    Parameters
    ----------
    folder : Path
        Where everything is written; made where it does not exist.
    patients : int
        Number of simulated patients.
    seed : int
        Seed of the simulation.
    force : bool
        Overwrite what an earlier demo left in the folder.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    ArtifactError
        If the folder holds a cohort already and `force` is not set, or cannot be written.
    SynthehrError
        If one of the commands fails.
    """
    from synthehr.io import write_table

    cohort = folder / "cohort.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    write_table([simulate(patients, seed)], cohort, force=force)
    # for fits of visits and of images, which take longer than a demo may
    visits = simulate_visits(max(60, patients // 8), seed)
    write_table([visits], folder / "visits.parquet", force=force)
    write_scans(folder / "scans", max(200, patients // 4), seed, force=force)
    print(f"{cohort}: {patients:,} simulated admissions", file=sys.stderr)
    for template in COMMANDS:
        words = [word.format(folder) for word in template.split()]
        words += ["--force"] if force else []
        print(f"\n$ synthehr {shlex.join(words)}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", "synthehr", *words], check=False)
        if done.returncode:
            raise SynthehrError(
                f"`synthehr {words[0]}` ended with exit code {done.returncode}",
                hint=f"what it said stands above; the cohort is in {cohort}",
            )
    return folder / "report.html"
