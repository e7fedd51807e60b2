"""Writing a file so that a reader finds either the old one or the new one, whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from synthehr.errors import ArtifactError
from synthehr.io.lock import beside, locked, not_written


@contextmanager
def replacing(path: str | PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in place of `path` at the end.

    The file is made in the same folder with mode 0600, synchronised to disk, and
    renamed. On any failure it is removed and `path` is left as it was; what a killed
    process left is removed by the next writer of the same path. A second writer is
    refused while the first is at work.

    Parameters
    ----------
    path : path
        Where the file shall be.
    force : bool
        Whether a file that is already there is replaced.

    Raises
    ------
    ArtifactError
        If there is a file and no `force`, the path is a link or a folder, the folder
        is missing, another process writes there, or the disk is full.
    """
    target = Path(path)
    check_target(target, force)
    with locked(target, beside(target, ".lock")):
        temporary = _make(target)
        try:
            yield temporary
            _synchronise(temporary)
            check_target(target, force)
            os.replace(temporary, target)
            _synchronise(target.parent)
        except OSError as error:
            raise not_written(target, error) from None
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: str | PathLike[str], data: bytes, *, force: bool = False) -> None:
    """Write a whole file atomically; see `replacing`."""
    with replacing(path, force=force) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | PathLike[str], text: str, *, force: bool = False) -> None:
    """Write a whole UTF-8 file atomically; see `replacing`."""
    write_bytes(path, text.encode("utf-8", errors="surrogatepass"), force=force)


def check_target(target: Path, force: bool = False) -> None:
    """Refuse a place where nothing may be written, before work begins.

    Raises
    ------
    ArtifactError
        As `replacing` does.
    """
    name = target.name or str(target)
    if target.is_symlink():
        raise ArtifactError(
            f"{name} is a symbolic link, and links are not followed",
            hint="Give the path of the file itself.",
        )
    if target.is_dir():
        raise ArtifactError(f"{name} is a folder", hint="Give the path of a file.")
    if not target.parent.is_dir():
        raise ArtifactError(f"the folder of {name} does not exist", hint="Make it first.")
    if target.exists() and not force:
        raise ArtifactError(
            f"{name} exists already and was left as it is",
            hint="Choose another name, or replace it with --force.",
        )
    if target.exists() and not target.is_file():
        raise ArtifactError(f"{name} is not a plain file", hint="Give the path of a file.")


def _make(target: Path) -> Path:
    temporary = beside(target, ".part")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise not_written(target, error) from None
    return temporary


def _synchronise(path: Path) -> None:
    # A folder cannot be opened on Windows, and some network shares refuse fsync.
    with suppress(OSError) if path.is_dir() else _nothing():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _nothing() -> Iterator[None]:
    yield
