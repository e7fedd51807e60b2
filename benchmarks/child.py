"""One child process at a time, with its seconds and its peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Child(NamedTuple):
    """What became of a child process.

    `peak_mib` is the largest resident size it had. `cpu_s` are the seconds that cores were busy
    with it and its own children, which on a shared machine say more than `seconds` that passed.
    """

    code: int
    seconds: float
    peak_mib: float
    cpu_s: float
    out: str
    err: str


def run_child(
    command: Sequence[str | Path], *, limit: float = 3600.0, path: Path | None = None
) -> Child:
    """Run a command to its end, or kill it after `limit` seconds (code -9).

    Python looks for modules in the folder `path` before those that are installed.

    `os.wait4` is asked rather than `getrusage(RUSAGE_CHILDREN)`, whose peak is that of the
    largest child this process ever had. Linux carries this process's own size over into the
    child's peak, so a peak is never below it: keep this process small.
    """
    before = [str(path)] if path else []
    paths = os.pathsep.join([*before, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | ({"PYTHONPATH": paths} if paths else {})
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=err, env=environment
        )
        watch = threading.Timer(limit, process.kill)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        watch.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    # Linux counts in KiB, macOS in bytes
    unit = 1024 if sys.platform != "darwin" else 1024**2
    busy = usage.ru_utime + usage.ru_stime
    return Child(process.returncode, seconds, usage.ru_maxrss / unit, busy, *texts)
