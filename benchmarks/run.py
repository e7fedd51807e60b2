"""Measure synthehr and its rivals, and say what was measured.

    python benchmarks/run.py quality --data adult --models vae --rivals mostly --peers DIR
    python benchmarks/run.py speed
    python benchmarks/run.py table --update-readme

Runs are appended as JSON lines to OUT/quality.jsonl and OUT/speed.jsonl. What already stands
there is not run again, so an interrupted suite goes on where it stopped. See NOTES.md.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import quality
import records
import speed
import table
from bars import judge
from plot import plot

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite that the command line names; 1 where a run failed or a bar is missed."""
    options = _parser().parse_args(arguments)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="quality|speed|table")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out")
    common.add_argument("--measure", type=Path, default=ROOT.parent / "shared" / "measure")
    common.add_argument("--limit", type=float, default=7200.0, help="seconds for one child process")
    common.add_argument("--again", action="store_true", help="run what was already measured, too")
    one = commands.add_parser("quality", parents=[common], help="fit, sample and score")
    one.add_argument("--data", type=_names, default=list(quality.DATA))
    one.add_argument("--models", type=_names, default=list(quality.MODELS))
    one.add_argument(
        "--rivals", type=_names, default=[], help="such as mostly,ctgan:100,tvae,copula"
    )
    one.add_argument("--peers", type=Path, default=os.environ.get("PEERS"))
    one.add_argument("--seeds", type=int, default=1)
    one.add_argument(
        "--options", default="", help="further words for `synthehr fit`, for our models"
    )
    one.set_defaults(run=run_quality)
    two = commands.add_parser("speed", parents=[common], help="start-up, rows a second, memory")
    two.add_argument("--parts", type=_names, default=list(speed.PARTS))
    two.set_defaults(run=run_speed)
    three = commands.add_parser("table", help="Markdown, bars and plot from what was measured")
    three.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "out")
    three.add_argument("--update-readme", action="store_true")
    three.add_argument("--readme", type=Path, default=ROOT / "README.md")
    three.set_defaults(run=run_table)
    return parser


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def run_quality(options: argparse.Namespace) -> int:
    """Run every job that has no successful record yet."""
    path = options.out / "quality.jsonl"
    peers = Path(options.peers).resolve() if options.peers else None
    places = quality.Places(
        measure=options.measure.resolve(), out=options.out.resolve(), peers=peers
    )
    jobs = quality.plan(
        options.data, options.models, options.rivals, options.seeds, options.options
    )
    done = {} if options.again else records.latest(records.read(path))
    todo = [job for job in jobs if records.key(job.record()) not in done]
    _say(f"{len(jobs)} runs, {len(jobs) - len(todo)} measured before")
    failures = 0
    for i, job in enumerate(todo, 1):
        _say(f"[{i}/{len(todo)}] {job.data} {job.who} seed {job.seed} {job.options}".rstrip())
        record = records.append(path, quality.run_job(job, places, options.limit))
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


def run_table(options: argparse.Namespace) -> int:
    """Print the tables, draw the plot, and fill the README where asked."""
    measured = list(records.latest(records.read(options.out / "quality.jsonl")).values())
    fast = list(records.latest(records.read(options.out / "speed.jsonl")).values())
    if not measured and not fast:
        _say(f"nothing measured yet in {options.out}\n\nhint: python benchmarks/run.py quality")
        return 2
    verdicts = judge([*measured, *fast])
    parts = ["## Quality", table.quality_table(measured), table.EXPLAINED]
    parts += ["## Speed", table.speed_table(fast), "## Bars", table.bars_table(verdicts)]
    text = "\n\n".join([*parts, table.machine_line([*measured, *fast])]) + "\n"
    (options.out / "table.md").write_text(text)
    print(text)
    plot(measured, [options.out / "quality.png", options.out / "quality.svg"])
    if options.update_readme:
        table.update_readme(options.readme, table.readme_block(measured))
        _say(f"{options.readme.name} updated")
    return int(any(verdict.passed is False for verdict in verdicts))


def _short(record: records.Record) -> str:
    shown = ("fit_s", "shapes", "trends", "detect", "tstr", "closer", "seconds", "peak_mib")
    return " ".join(f"{name}={record[name]}" for name in shown if name in record)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
