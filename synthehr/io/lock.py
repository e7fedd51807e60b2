"""One writer at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synthehr.errors import InputError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from working on the same output.

    The operating system gives the lock back when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The output; the lock is the file beside it with ``.lock`` added.

    Raises
    ------
    InputError
        If another process holds the lock, or the folder cannot be written.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise InputError(
            f"the folder of {path.name} cannot be written ({type(error).__name__})",
            hint="name another place with -o",
        ) from None
    try:
        if not _taken(handle, lock):
            raise InputError(
                f"another process is writing {path.name}; nothing was changed",
                hint="wait for it to end, or name another output with -o",
            )
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _taken(handle: int, lock: Path) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # An earlier holder may have removed the file between our opening and locking it.
        return os.fstat(handle).st_ino == lock.stat().st_ino
    except OSError:
        return False
