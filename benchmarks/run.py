"""Measure synthehr and its rivals, and say what was measured.

    python benchmarks/run.py quality --data adult --models vae --rivals mostly --peers DIR
    python benchmarks/run.py speed
    python benchmarks/run.py dp --data adult --epsilons 1,3 --rivals dpmm-mst --peers DIR
    python benchmarks/run.py dp-step
    python benchmarks/run.py impute --data adult --kinds mar --shares 0.3 --rivals missforest
    python benchmarks/run.py coverage --cohorts 40
    python benchmarks/run.py rebalance --data stroke --rivals none,weights,smotenc --peers DIR
    python benchmarks/run.py longitudinal --data pbcseq --rivals mostly,par --peers DIR
    python benchmarks/run.py images --tasks generate:pneumoniamnist --seconds 900
    python benchmarks/run.py table --update-readme

Runs are appended as JSON lines to OUT/SUITE.jsonl. What already stands there is not run again,
so an interrupted suite goes on where it stopped. See NOTES.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import coverage
import dp
import dp_step
import images
import impute
import longitudinal
import longitudinal_table
import masks
import quality
import rebalance
import records
import speed
import table
from bars import judge
from plot import plot

ROOT = Path(__file__).resolve().parent.parent
SUITES = (
    "quality", "speed", "dp", "dp-step", "impute", "coverage", "rebalance", "longitudinal",
    "images", "table",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite that the command line names; 1 where a run failed or a bar is missed."""
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="|".join(SUITES))
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out")
    common.add_argument("--measure", type=Path, default=ROOT.parent / "shared" / "measure")
    common.add_argument("--limit", type=float, default=7200.0, help="seconds for one child process")
    common.add_argument("--again", action="store_true", help="run what was already measured, too")
    fits = argparse.ArgumentParser(add_help=False)
    fits.add_argument("--peers", type=Path, default=os.environ.get("PEERS"))
    fits.add_argument("--seeds", type=int, default=1)
    fits.add_argument(
        "--options", default="", help="further words for `synthehr fit`, for our models"
    )
    one = commands.add_parser("quality", parents=[common, fits], help="fit, sample and score")
    one.add_argument("--data", type=_names, default=list(quality.DATA))
    one.add_argument("--models", type=_names, default=list(quality.MODELS))
    one.add_argument(
        "--rivals", type=_names, default=[], help="such as mostly,ctgan:100,tvae,copula"
    )
    one.set_defaults(run=run_quality)
    two = commands.add_parser("speed", parents=[common], help="start-up, rows a second, memory")
    two.add_argument("--parts", type=_names, default=list(speed.PARTS))
    two.set_defaults(run=run_speed)
    private = commands.add_parser(
        "dp", parents=[common, fits], help="fit, sample and score under differential privacy"
    )
    private.add_argument("--data", type=_names, default=list(dp.DATA))
    private.add_argument("--models", type=_names, default=list(dp.MODELS))
    private.add_argument(
        "--rivals",
        type=_names,
        default=[],
        help="such as dpmm-mst,dpmm-aim,mostly-dp,smartnoise-dpctgan",
    )
    private.add_argument("--epsilons", type=_numbers, default=list(dp.EPSILONS))
    private.set_defaults(run=run_dp)
    step = commands.add_parser("dp-step", parents=[common], help="what privacy costs a step")
    step.add_argument("--networks", type=_names, default=list(dp_step.NETWORKS))
    step.add_argument("--threads", type=int, default=2)
    step.set_defaults(run=run_dp_step)
    fill = commands.add_parser(
        "impute", parents=[common, fits], help="take cells away, fill them, and score"
    )
    fill.add_argument("--data", type=_names, default=list(impute.DATA))
    fill.add_argument("--kinds", type=_names, default=list(masks.KINDS))
    fill.add_argument("--shares", type=_numbers, default=list(impute.SHARES))
    fill.add_argument("--models", type=_names, default=list(impute.MODELS))
    fill.add_argument(
        "--rivals",
        type=_names,
        default=[],
        help="such as mean,hotdeck,iterative,knn,missforest,miceforest,hyperimpute",
    )
    fill.set_defaults(run=run_impute)
    cover = commands.add_parser(
        "coverage", parents=[common, fits], help="how often 95 %% intervals hold the truth"
    )
    cover.add_argument("--sizes", type=_numbers, default=list(coverage.SIZES))
    cover.add_argument("--cohorts", type=int, default=coverage.COHORTS)
    cover.add_argument("--models", type=_names, default=["autoregressive"])
    cover.add_argument("--rivals", type=_names, default=["whole", "cases", "iterative"])
    cover.set_defaults(run=run_coverage)
    grow = commands.add_parser(
        "rebalance", parents=[common, fits], help="grow a rare class, and judge classifiers"
    )
    grow.add_argument("--data", type=_names, default=list(rebalance.DATA))
    grow.add_argument("--models", type=_names, default=["autoregressive"])
    grow.add_argument("--rivals", type=_names, default=list(rebalance.UNCHANGED))
    grow.add_argument("--halves", type=int, default=rebalance.HALVES, help="of 5 × 2")
    grow.set_defaults(run=run_rebalance)
    visits = commands.add_parser(
        "longitudinal", parents=[common, fits], help="learn visits, draw patients, and score"
    )
    visits.add_argument("--data", type=_names, default=list(longitudinal.DATA))
    visits.add_argument("--data-root", type=Path, help="folder of the data sets")
    visits.add_argument("--models", type=_names, default=list(longitudinal.MODELS))
    visits.add_argument("--rivals", type=_names, default=[], help="such as mostly,par:64")
    visits.add_argument("--epsilons", type=_numbers, default=[], help="ours once more under each")
    visits.set_defaults(run=run_longitudinal)
    pictures = commands.add_parser(
        "images", parents=[common, fits], help="draw, mask, translate and repair images"
    )
    pictures.add_argument("--tasks", type=_names, default=list(images.TASKS))
    pictures.add_argument("--who", type=_names, default=["synthehr", "plain"])
    pictures.add_argument("--seconds", type=float, default=900.0, help="of each fit")
    pictures.add_argument("--data-root", type=Path, help="folder of the data sets")
    pictures.set_defaults(run=run_images)
    three = commands.add_parser("table", help="Markdown, bars and plot from what was measured")
    three.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out")
    three.add_argument("--update-readme", action="store_true")
    three.add_argument("--readme", type=Path, default=ROOT / "README.md")
    three.set_defaults(run=run_table)
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[float]:
    return [float(name) for name in _names(text)]


def run_quality(options: argparse.Namespace) -> int:
    """Fit, sample and score."""
    jobs = quality.plan(
        options.data, options.models, options.rivals, options.seeds, options.options
    )
    return _run_jobs(jobs, options, options.out / "quality.jsonl", quality.run_job)


def run_dp(options: argparse.Namespace) -> int:
    """Fit, sample and score under differential privacy."""
    jobs = dp.plan(
        options.data,
        options.models,
        options.rivals,
        options.epsilons,
        options.seeds,
        options.options,
    )
    return _run_jobs(jobs, options, options.out / "dp.jsonl", dp.run_private)


def run_rebalance(options: argparse.Namespace) -> int:
    """Grow a rare class, and judge classifiers."""
    jobs = rebalance.plan(
        options.data, options.models, options.rivals, options.halves, options.options
    )
    return _run_jobs(jobs, options, options.out / "rebalance.jsonl", rebalance.run_growing)


def run_impute(options: argparse.Namespace) -> int:
    """Take cells away, fill them, and score."""
    jobs = impute.plan(
        options.data,
        options.kinds,
        options.shares,
        options.models,
        options.rivals,
        options.seeds,
        options.options,
    )
    return _run_jobs(jobs, options, options.out / "impute.jsonl", impute.run_filling)


def run_coverage(options: argparse.Namespace) -> int:
    """Simulate cohorts, take cells away, fill and pool; print what the intervals held."""
    path, sizes = options.out / "coverage.jsonl", [int(size) for size in options.sizes]
    jobs = coverage.plan(sizes, options.models, options.rivals, options.cohorts, options.options)
    code = _run_jobs(jobs, options, path, coverage.run_cohort)
    print(coverage.coverage_table(list(records.latest(records.read(path)).values())))
    return code


def run_longitudinal(options: argparse.Namespace) -> int:
    """Learn visits, draw patients, and score; print the figures, and what they say of the bars."""
    jobs = longitudinal.plan(
        options.data,
        options.models,
        options.rivals,
        options.seeds,
        options.options,
        options.epsilons,
    )
    shared = (options.data_root or options.measure.parent / "data").resolve()
    path = options.out / "longitudinal.jsonl"
    code = _run_jobs(jobs, options, path, partial(longitudinal.run_visits, shared=shared))
    measured = list(records.latest(records.read(path)).values())
    text = longitudinal_table.page(measured)
    (options.out / "longitudinal.md").write_text(text)
    print(text)
    return code


def run_images(options: argparse.Namespace) -> int:
    """Run every task on images; print the figures."""
    jobs = images.plan(options.tasks, options.who, options.seeds, options.seconds, options.options)
    shared = (options.data_root or options.measure.parent / "data").resolve()
    path = options.out / "images.jsonl"
    code = _run_jobs(jobs, options, path, partial(images.run_task, shared=shared))
    text = images.image_table(list(records.latest(records.read(path)).values()))
    (options.out / "images.md").write_text(text + "\n")
    print(text)
    return code


class Job(Protocol):
    """Something to be measured."""

    @property
    def who(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def options(self) -> str: ...

    def record(self) -> records.Record: ...


J = TypeVar("J", bound=Job)


def _run_jobs(
    jobs: Sequence[J],
    options: argparse.Namespace,
    path: Path,
    run_job: Callable[[J, quality.Places, float], records.Record],
) -> int:
    """Run every job that has no successful record yet."""
    peers = Path(options.peers).resolve() if options.peers else None
    places = quality.Places(
        measure=options.measure.resolve(), out=options.out.resolve(), peers=peers
    )
    done = {} if options.again else records.latest(records.read(path))
    todo = [job for job in jobs if records.key(job.record()) not in done]
    _say(f"{len(jobs)} runs, {len(jobs) - len(todo)} measured before")
    failures = 0
    for i, job in enumerate(todo, 1):
        place = table.place(job.record())
        _say(f"[{i}/{len(todo)}] {place} {job.who} seed {job.seed} {job.options}".rstrip())
        record = records.append(path, run_job(job, places, options.limit))
        failures += "failed" in record
        _say("    " + (record.get("failed") or _short(record)))
    return int(failures > 0)


def run_speed(options: argparse.Namespace) -> int:
    """Run every part that has no successful record yet."""
    path = options.out / "speed.jsonl"
    places = quality.Places(measure=options.measure.resolve(), out=options.out.resolve())
    done = {} if options.again else records.latest(records.read(path))
    measured = {key[1] for key in done}
    failures = 0
    for part in options.parts:
        if speed.NAMES[part][0] in measured:
            continue
        _say(part)
        record = records.append(path, speed.run_part(part, places, options.limit))
        failures += "failed" in record
        _say("    " + (record.get("failed") or _short(record)))
    return int(failures > 0)


def run_dp_step(options: argparse.Namespace) -> int:
    """Measure every network that has no successful record yet."""
    path = options.out / "dp-step.jsonl"
    places = quality.Places(measure=options.measure.resolve(), out=options.out.resolve())
    done = {} if options.again else records.latest(records.read(path))
    measured = {key[1] for key in done}
    failures = 0
    for network in options.networks:
        if dp_step.NETWORKS[network] in measured:
            continue
        _say(f"step of the {network} network")
        record = dp_step.run_network(network, places, options.threads, options.limit)
        failures += "failed" in records.append(path, record)
        _say("    " + (record.get("failed") or table.figures_of(record)))
    return int(failures > 0)


def run_table(options: argparse.Namespace) -> int:
    """Print the tables, draw the plot, and fill the README where asked."""
    measured = list(records.latest(records.read(options.out / "quality.jsonl")).values())
    fast = list(records.latest(records.read(options.out / "speed.jsonl")).values())
    private = list(records.latest(records.read(options.out / "dp.jsonl")).values())
    steps = list(records.latest(records.read(options.out / "dp-step.jsonl")).values())
    everything = [*measured, *fast, *private, *steps]
    if not everything:
        _say(f"nothing measured yet in {options.out}\n\nhint: python benchmarks/run.py quality")
        return 2
    verdicts = judge(everything)
    parts = ["## Quality", table.quality_table(measured), table.EXPLAINED]
    parts += ["## Speed", table.speed_table(fast)]
    parts += ["## Differential privacy, δ = 1e-5", table.quality_table(private)]
    parts += [table.speed_table(steps), "## Bars", table.bars_table(verdicts)]
    text = "\n\n".join([*parts, table.machine_line(everything)]) + "\n"
    (options.out / "table.md").write_text(text)
    print(text)
    plot(measured, [options.out / "quality.png", options.out / "quality.svg"])
    if options.update_readme:
        table.update_readme(options.readme, table.readme_block(measured))
        _say(f"{options.readme.name} updated")
    return int(any(verdict.passed is False for verdict in verdicts))


def _short(record: records.Record) -> str:
    shown = (
        "fit_s", "shapes", "trends", "detect", "tstr", "closer", "nrmse", "pfc", "energy", "auroc",
        "length", "gap", "value", "lag1", "delta", "kid", "coverage", "tstr_auroc", "seconds",
        "peak_mib",
    )  # fmt: skip
    return " ".join(f"{name}={record[name]}" for name in shown if name in record)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
