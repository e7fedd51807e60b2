"""Runs as JSON lines, appended one by one: an interrupted suite goes on where it stopped."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Record = dict[str, Any]
Key = tuple[str, str, str, int, str, float]


def key(record: Mapping[str, Any]) -> Key:
    """What makes two records the same run: suite, data, who, seed, options and epsilon."""
    return (
        record["suite"],
        record["data"],
        record["who"],
        int(record.get("seed", 0)),
        record.get("options", ""),
        float(record.get("epsilon", 0.0)),
    )


def read(path: Path) -> list[Record]:
    """All records of a file, in order; a half-written line is skipped."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def latest(records: Iterable[Record]) -> dict[Key, Record]:
    """The last successful record of each run, in the order in which runs first appeared."""
    return {key(record): record for record in records if "failed" not in record}


def append(path: Path, record: Record) -> Record:
    """Add one record, with the machine's facts, and make sure that it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = (
        record | {"when": datetime.now(UTC).isoformat(timespec="seconds")} | {"machine": machine()}
    )
    torn = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write(("\n" if torn else "") + json.dumps(whole) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return whole


def machine() -> dict[str, str | int]:
    """What a reader needs to judge a number of seconds."""
    facts: dict[str, str | int] = {
        "cpu": _cpu(),
        "cores": os.cpu_count() or 1,
        "system": platform.system(),
        "python": platform.python_version(),
        "commit": _commit(),
    }
    for package in ("synthehr", "torch", "numpy", "pandas", "scikit-learn"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    here = Path(__file__).resolve().parent
    command = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip()
