"""What a file is, told by its first bytes, and what is never opened."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from synthehr.errors import InputError

Format = Literal["parquet", "arrow", "csv"]

_UNSAFE_SUFFIXES = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".npz", ".rds"}
_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
    ".ipc": "arrow", ".csv": "csv", ".tsv": "csv", ".txt": "csv",
}  # fmt: skip
_FOREIGN = (
    (b"\x1f\x8b", "compressed with gzip", "Decompress it first."),
    (b"BZh", "compressed with bzip2", "Decompress it first."),
    (b"\xfd7zXZ", "compressed with xz", "Decompress it first."),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Decompress it first."),
    (b"7z\xbc\xaf", "a 7z archive", "Unpack it first."),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV."),
    (b"SQLite format 3", "a database", "Export the table as Parquet or CSV."),
    (b"\x89HDF", "an HDF5 file", "Export the table as Parquet or CSV."),
    (b"ORC", "an ORC file", "Convert it to Parquet."),
    (b"FEA1", "a Feather file of version 1", "Write it again as Feather 2 or Parquet."),
    (b"%PDF", "a PDF", "Export the table as Parquet or CSV."),
    (b"\x89PNG", "an image", "Give a table."),
    (b"\xff\xd8\xff", "an image", "Give a table."),
)


def format_of(path: Path) -> tuple[Format, str | None]:
    """Tell the format of a file by its content.

    Returns
    -------
    format : {"parquet", "arrow", "csv"}
        Which reader takes it.
    warning : str or None
        If the suffix says something else.

    Raises
    ------
    InputError
        If there is no such plain file, it is empty, or it is of a foreign or unsafe kind.
    """
    _check_file(path)
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise _unreadable(path, error) from None
    _refuse_unsafe(path, suffix, head)
    for magic, what, hint in _FOREIGN:
        if head.startswith(magic):
            raise InputError(f"{path.name} is {what}, which is not read", hint=hint)
    if head.startswith((b"PAR1", b"PARE")):
        found: Format = "parquet"
    elif head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        found = "arrow"
    else:
        found = "csv"
        _refuse_markup(path, head)
        if _SUFFIXES.get(suffix, "csv") != "csv" and (len(head) < 8 or not _is_text(head)):
            raise InputError(
                f"{path.name} cannot be read: damaged file",
                hint="Its first bytes are not those of its format; export it again.",
            )
    said = _SUFFIXES.get(suffix)
    if said is None or said == found:
        return found, None
    return found, f"{path.name} holds {found} data in spite of its suffix; it was read as such."


def _check_file(path: Path) -> None:
    if "://" in str(path) or str(path).startswith(("s3:", "http:", "https:")):
        raise InputError("the source is an address, and synthehr uses no network", hint="Fetch it.")
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(f"there is no file {path.name}", hint="Check the path.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{path.name} is a folder", hint="Give one file.")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{path.name} is a pipe or a device, not a file", hint="Save the data to a file first."
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} has no rows: it is empty", hint="Export it again.")


def _refuse_unsafe(path: Path, suffix: str, head: bytes) -> None:
    pickled = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if suffix in _UNSAFE_SUFFIXES or pickled or head.startswith(b"\x93NUMPY"):
        raise InputError(
            f"{path.name} is of an unsafe format and was not opened",
            hint="Such files can run code when they are loaded; export the table as Parquet.",
        )


def _refuse_markup(path: Path, head: bytes) -> None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<!--")):
        raise InputError(
            f"{path.name} is a web page or XML, not a table",
            hint="A download may have ended at a login page; fetch it again.",
        )
    if start.startswith((b"{", b"[")):
        raise InputError(f"{path.name} is JSON, which is not read", hint="Convert it to Parquet.")


def _is_text(head: bytes) -> bool:
    return b"\x00" not in head and sum(byte < 9 for byte in head) == 0


def _unreadable(path: Path, error: Exception) -> InputError:
    why = (getattr(error, "strerror", None) or "the path is not valid").lower()
    return InputError(f"{path.name} cannot be opened: {why}", hint="Check the path and its rights.")
