"""One writer at a time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthehr.errors import ArtifactError

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind.
    fcntl = None


@contextmanager
def locked(path: Path, lock: Path | None = None) -> Iterator[None]:
    """Keep other processes from working on the same output.

    The operating system gives the lock back when the process ends, however it ends.

    Parameters
    ----------
    path : Path
        The output.
    lock : Path, optional
        The file that stands for it; by default the one beside it with ``.lock`` added.

    Raises
    ------
    ArtifactError
        If another process holds the lock, or the folder cannot be written.
    """
    if fcntl is None:
        yield
        return
    lock = path.with_name(path.name + ".lock") if lock is None else lock
    handle = _taken(path, lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def beside(path: Path, suffix: str) -> Path:
    """Name a hidden file of ours in the folder of an output: always the same for the same one."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.with_name(f".synthehr-{digest[:16]}{suffix}")


def not_written(path: Path, error: OSError) -> ArtifactError:
    """Make the error of an output that the system refused."""
    why = (error.strerror or "the system refused it").lower()
    return ArtifactError(
        f"{path.name} could not be written: {why}",
        hint="Nothing was left behind; free space or choose another folder, and try again.",
    )


def _taken(path: Path, lock: Path) -> int:
    assert fcntl is not None
    for _ in range(10):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise not_written(path, error) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            break
        # The previous holder may have removed the file between our open and our lock.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(lock)):
                return handle
        os.close(handle)
    raise ArtifactError(
        f"another process is writing {path.name}; nothing was changed",
        hint="Wait until it has ended, or write to another path.",
    )
