"""How much memory there is."""

from __future__ import annotations

from pathlib import Path

from synthehr.errors import TrainingError


def available() -> int | None:
    """Find how many bytes this process may still take; None where the system does not tell.

    The least of what the machine, the control group and the process's own limit leave.
    """
    found = [_machine(), _group(), _limit()]
    return min((size for size in found if size is not None), default=None)


def check_memory(needed: int, batch_size: int) -> None:
    """Refuse a fit that this machine has no memory for.

    Parameters
    ----------
    needed : int
        Bytes beyond what is taken now.
    batch_size : int
        A smaller one, to be advised.

    Raises
    ------
    TrainingError
        If it has not.
    """
    left = available()
    if left is not None and needed > left:
        raise TrainingError(
            f"this fit needs about {needed / 2**30:.1f} GiB more memory, and "
            f"{left / 2**30:.1f} GiB are left",
            hint=f"use smaller batches (--set train.batch_size={batch_size}), fewer columns, or a "
            "larger machine",
        )


def _machine() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group() -> int | None:
    """Ask the control group; its file cache can be given back, so it does not count as used."""
    most = "".join(_lines("/sys/fs/cgroup/memory.max")).strip()
    if not most.isdigit():
        return None
    used = "".join(_lines("/sys/fs/cgroup/memory.current")).strip()
    cached = sum(
        int(line.split()[1])
        for line in _lines("/sys/fs/cgroup/memory.stat")
        if line.startswith(("active_file ", "inactive_file "))
    )
    return max(0, int(most) - int(used or 0) + cached)


def _limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = "".join(_lines("/proc/self/statm")).split()
    if most == resource.RLIM_INFINITY or not pages:
        return None
    return max(0, most - int(pages[0]) * resource.getpagesize())


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
