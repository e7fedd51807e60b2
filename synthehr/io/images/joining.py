"""A table of records beside images: which row is which image. Names never become paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.errors import InputError
from synthehr.io.images.tree import stem_of
from synthehr.kernels import compute as pc
from synthehr.schema.column import nearest, shown

TABLES = (
    "records.parquet", "metadata.parquet", "metadata.csv", "labels.parquet", "labels.csv",
)  # fmt: skip
_IMAGES = ("image", "file_name", "filename", "image_path", "image_file", "path", "file")
_ENDING = r"\.(png|jpe?g|tiff?|dcm|nii|nii\.gz)$"
_MASKS = ("mask", "mask_path", "mask_file", "mask_name")


def find_column(table: pa.Table, asked: str | None, *, needed: bool = True) -> str | None:
    """Find the column of image names.

    Raises
    ------
    InputError
        If there is none and one is needed, or the column asked for is not there.
    """
    if asked is not None:
        if asked not in table.column_names:
            raise InputError(
                f"the table has no column {shown(asked)}",
                hint="Name another with --image-column; "
                f"{nearest(asked, tuple(table.column_names))}.",
            )
        return asked
    named = (name for name in _IMAGES if name in table.column_names)
    told = filter(partial(_names_pictures, table), table.column_names)
    found = next(chain(named, told), None)
    if found is None and needed:
        raise InputError(
            "no column of the table is named as images are",
            hint="Say which holds their file names with --image-column.",
        )
    return found


def _names_pictures(table: pa.Table, name: str) -> bool:
    """Whether each cell of a column ends as the name of a picture does."""
    cells = table[name]
    if name in _MASKS or not is_text(cells.type) or not len(cells) or cells.null_count:
        return False
    return bool(pc.all(pc.match_substring_regex(cells, _ENDING, ignore_case=True)).as_py())


def mask_column(table: pa.Table) -> str | None:
    """Find the column of mask files."""
    found = next((name for name in _MASKS if name in table.column_names), None)
    return found if found is not None and is_text(table.column(found).type) else None


def names_in(table: pa.Table, column: str, *, once: bool = True) -> list[str]:
    """Take file names from a column, as names below the folder.

    Raises
    ------
    InputError
        If some are null, occur twice, or point out of the folder; with counts.
    """
    cells = table.column(column)
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_integer(cells.type):
        cells = cells.cast(pa.string())
    if not is_text(cells.type):
        raise InputError(
            f"the column {shown(column)} has the type {cells.type}",
            hint="File names are text; name another column with --image-column.",
        )
    if cells.null_count:
        raise InputError(
            f"the column {shown(column)} is null in {cells.null_count} of {len(cells)} rows",
            hint="Name a file in every row, or leave those rows out.",
        )
    names = [
        text if text.startswith("/") else PurePosixPath(text).as_posix()
        for text in (cell.strip().replace("\\", "/") for cell in cells.to_pylist())
    ]
    outside = sum(
        text.startswith(("/", "~")) or ":" in text[:2] or ".." in PurePosixPath(text).parts
        for text in names
    )
    if outside:
        raise InputError(
            f"{outside} of {len(names)} names in the column {shown(column)} point out of the "
            "folder",
            hint="Write them relative to the table or the folder, without .. in them.",
        )
    if once and (double := len(names) - len(set(names))):
        raise InputError(
            f"{double} of {len(names)} rows name an image that another row names too",
            hint="Keep one row an image; several records of one image cannot be told apart.",
        )
    return names


def places(
    wanted: Sequence[str], names: Sequence[str], prefix: str, what: str = "images"
) -> NDArray[np.int64]:
    """Find each wanted name among those of files.

    A name may be written relative to the folder or to the table, without folders, or
    without its suffix, as long as only one file fits.

    Parameters
    ----------
    wanted : sequence of R str
        Names in the table.
    names : sequence of str
        Files, relative to the folder.
    prefix : str
        The folder, relative to that of the table.
    what : {"images", "masks"}
        For the error.

    Returns
    -------
    ndarray of shape (R,), int64
        Positions in `names`.

    Raises
    ------
    InputError
        If some are not there, or two names mean one file; with counts.
    """
    ways = [
        {name: place for place, name in enumerate(names)},
        _unique({place: f"{prefix}/{name}" for place, name in enumerate(names)}),
        _unique({place: PurePosixPath(name).name for place, name in enumerate(names)}),
        _unique({place: stem_of(name) for place, name in enumerate(names)}),
    ]
    found = [next((way[name] for way in ways if name in way), -1) for name in wanted]
    if missing := found.count(-1):
        raise InputError(
            f"{missing} of {len(wanted)} {what} that the table names are not in the folder",
            hint="Names are relative to the table or to the folder; check both, or leave those "
            "rows out.",
        )
    if double := len(found) - len(set(found)):
        raise InputError(
            f"{double} of {len(wanted)} rows name {what} that another row names too",
            hint="Keep one row an image; write whole names where files are called alike.",
        )
    return np.array(found, dtype=np.int64)


def prefix_of(folder: Path, table: Path | None) -> str:
    """Give the folder of images relative to that of the table, where it lies below."""
    if table is None:
        return "."
    try:
        return folder.resolve().relative_to(table.resolve().parent).as_posix()
    except ValueError:
        return "."


def _unique(named: Mapping[int, str]) -> dict[str, int]:
    counts = Counter(named.values())
    return {name: place for place, name in named.items() if counts[name] == 1}
