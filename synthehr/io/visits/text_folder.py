"""Folders with a small text file a patient: read as one text, written in one go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.source import MAX_BYTES
from synthehr.kernels import compute as pc


def read_alike(
    paths: Sequence[Path], names: Sequence[str], delimiter: str, nulls: Sequence[str]
) -> tuple[pa.Table, NDArray[np.int64]]:
    """Read delimited files that all begin with the same line of names.

    Returns
    -------
    rows : pyarrow.Table
        Text columns with the rows of all files, one after the other.
    file : ndarray of shape (N,), int64
        Place in `paths` of each row's file.

    Raises
    ------
    InputError
        If files are too large together, or differ in their columns.
    """
    if sum(path.stat().st_size for path in paths) > MAX_BYTES:
        raise InputError(
            f"{len(paths)} files are larger than {MAX_BYTES / 2**30:.3g} GiB together",
            hint="Read fewer patients at a time.",
        )
    whole = b"\n".join(path.read_bytes() for path in paths)
    try:
        table = csv.read_csv(
            pa.BufferReader(whole),
            csv.ReadOptions(column_names=list(names)),
            csv.ParseOptions(delimiter=delimiter),
            csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=list(nulls),
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        raise _unlike(paths, names) from None
    heads = np.asarray(pc.fill_null(pc.equal(table.column(0), names[0]), False))
    titles = table.filter(pa.array(heads))
    same = all(pc.all(pc.equal(titles.column(name), name)).as_py() for name in names)
    if len(titles) != len(paths) or not same or not heads[0]:
        raise _unlike(paths, names)
    file = np.cumsum(heads) - 1
    return table.filter(pa.array(~heads)), file[~heads]


def numbers_of(cells: pa.ChunkedArray, what: str) -> pa.ChunkedArray:
    """Read text cells as numbers.

    Raises
    ------
    InputError
        If one is no number.
    """
    try:
        return cells.cast(pa.float64())
    except pa.ArrowInvalid:
        raise InputError(
            f"{what} holds cells that are no numbers", hint="Compare the files with the standard."
        ) from None


def write_alike(
    folder: Path, names: Sequence[str], heads: Sequence[str], lines: pa.Array, ends: Sequence[int]
) -> None:
    """Write a text file for each patient: its head, then its lines.

    Parameters
    ----------
    folder : Path
        Holds no files yet.
    names : sequence of str
        Name of each file.
    heads : sequence of str
        What each begins with.
    lines : pyarrow.Array of str
        Lines of all files, without their ends.
    ends : sequence of int
        Where the lines of each file end.
    """
    texts, start = lines.to_pylist(), 0
    for name, head, end in zip(names, heads, ends, strict=True):
        (folder / name).write_text(head + "".join(f"{line}\n" for line in texts[start:end]))
        start = end


def _unlike(paths: Sequence[Path], names: Sequence[str]) -> InputError:
    return InputError(
        f"the {len(paths)} files do not all begin with the same {len(names)} columns",
        hint="Move other files out of the folder, and compare the rest with the standard.",
    )
