"""Writing a folder so that a reader finds either the old one or the new one, whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthehr.errors import ArtifactError
from synthehr.io.lock import beside, locked, not_written


@contextmanager
def replacing_folder(
    folder: Path, what: str, is_ours: Callable[[Path], bool], *, force: bool = False
) -> Iterator[Path]:
    """Give a draft folder to fill, and put it in place of `folder` at the end.

    Parameters
    ----------
    folder : Path
        Where the folder shall be.
    what : str
        What the folder holds, for the error.
    is_ours : function of a path
        Whether a folder that is there already is one of the same kind, so that `force`
        deletes nothing else.
    force : bool
        Whether such a folder is replaced.

    Raises
    ------
    ArtifactError
        As `check_folder` does, if another process writes there, or the disk is full.
    """
    check_folder(folder, what, is_ours, force)
    with locked(folder, beside(folder, ".lock")):
        draft, old = beside(folder, ".part"), beside(folder, ".old")
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(mode=0o700)
            yield draft
            check_folder(folder, what, is_ours, force)
            if folder.exists():
                shutil.rmtree(old, ignore_errors=True)
                folder.rename(old)
            try:
                draft.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
            _synchronise(folder.parent)
        except OSError as error:
            raise not_written(folder, error) from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def check_folder(
    folder: Path, what: str, is_ours: Callable[[Path], bool], force: bool = False
) -> None:
    """Refuse a place where no folder may be written, before work begins.

    Raises
    ------
    ArtifactError
        If the folder above is missing, something else stands there, or it holds files and
        `force` is false or they are not ours.
    """
    if not folder.parent.is_dir():
        raise ArtifactError(f"the folder of {folder.name} does not exist", hint="make it first")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ArtifactError(f"{folder.name} is not a folder", hint="name another place with -o")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not force:
        raise ArtifactError(
            f"{folder.name} exists already and was left as it is",
            hint="choose another name, or replace it with --force",
        )
    if not is_ours(folder):
        raise ArtifactError(
            f"{folder.name} holds other files than {what} and was left as it is",
            hint="name another folder with -o",
        )


def _synchronise(folder: Path) -> None:
    # A folder cannot be opened on Windows, and some network shares refuse fsync.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
