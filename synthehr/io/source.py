"""Reading a table: what the source is, and which door it takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.io.delimited import CsvOptions, read_csv
from synthehr.io.formats import Format, format_of
from synthehr.io.frames import Loaded, from_arrow, from_frame
from synthehr.io.parquet import footer, read_arrow, read_parquet
from synthehr.io.tidy import tidy

MAX_BYTES = 8 * 2**30


class Source(NamedTuple):
    """A table as it was read.

    Attributes
    ----------
    table : pyarrow.Table
        The rows, without any metadata of the file.
    pandas_types : dict from column name to text, or None
        The pandas dtypes to restore, where the table came from pandas.
    warnings : tuple of str
        What was changed or looks odd; no cell value is in it.
    """

    table: pa.Table
    pandas_types: dict[str, str] | None
    warnings: tuple[str, ...]


def read(
    source: Any,
    *,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    nulls: Sequence[str] = ("",),
    decimal: Literal[".", ","] | None = None,
    dayfirst: bool | None = None,
    infinity: Literal["refuse", "null"] = "refuse",
    max_bytes: int = MAX_BYTES,
) -> Source:
    """Read a table from a file or from memory.

    Parameters
    ----------
    source : path, or table of pandas, polars, pyarrow or anything narwhals knows
        Parquet, Arrow and CSV files are told apart by their content. A `Source` stays as it is.
    columns : sequence of str or None
        Columns to read, where they exist; None reads all.
    encoding : str or None
        Encoding of a CSV file; None means UTF-8.
    delimiter : str or None
        Delimiter of a CSV file; None finds it.
    nulls : sequence of str
        Texts that mean null in a CSV file; by default only the empty cell.
    decimal : {".", ","} or None
        Decimal mark of a CSV file; None finds it.
    dayfirst : bool or None
        Whether 01/02/2020 is in February in a CSV file; None finds it, or refuses.
    infinity : {"refuse", "null"}
        What to do with infinite cells.
    max_bytes : int
        Most bytes that the decoded table may take.

    Returns
    -------
    Source
        The table, its pandas dtypes, and warnings.

    Raises
    ------
    InputError
        If the source cannot be read safely or has no usable rows.
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str | os.PathLike):
        options = CsvOptions(encoding, delimiter, tuple(nulls), decimal, dayfirst)
        loaded = _from_file(Path(source), columns, options, max_bytes)
    else:
        loaded = from_frame(source)
        if columns is not None:
            wanted = [name for name in loaded.table.column_names if name in set(columns)]
            loaded = loaded._replace(table=loaded.table.select(wanted))
    table, warnings = tidy(loaded.table, infinity=infinity)
    return Source(table, loaded.pandas_types, (*loaded.warnings, *warnings))


class Overview(NamedTuple):
    """What a file says of itself, before any cell is read.

    Attributes
    ----------
    format : {"parquet", "arrow", "csv"}
        Told by its first bytes.
    size : int
        Bytes on disk.
    rows : int or None
        Records; None where only reading them would tell.
    schema : pyarrow.Schema or None
        Names and types; None where only reading would tell.
    """

    format: Format
    size: int
    rows: int | None
    schema: pa.Schema | None


def overview(path: str | os.PathLike[str]) -> Overview:
    """Look at a file's footer only.

    Raises
    ------
    InputError
        If there is no such file, or it is damaged or of an unsafe kind.
    """
    place = Path(path)
    found, _ = format_of(place)
    rows, schema = (None, None) if found == "csv" else footer(place, found == "parquet")
    return Overview(found, place.stat().st_size, rows, schema)


def _from_file(
    path: Path, columns: Sequence[str] | None, options: CsvOptions, max_bytes: int
) -> Loaded:
    found, warning = format_of(path)
    warnings = [warning] if warning else []
    before = _state(path)
    if found == "csv":
        table, notes = read_csv(path, columns, options, max_bytes)
        loaded = Loaded(table, None, notes)
    else:
        door = read_parquet if found == "parquet" else read_arrow
        loaded = from_arrow(door(path, columns, max_bytes))
    if _state(path) != before:
        raise InputError(
            f"{path.name} changed while it was read", hint="Wait until it is written, and read it."
        )
    return loaded._replace(warnings=[*warnings, *loaded.warnings])


def _state(path: Path) -> tuple[int, int, int]:
    # Whole seconds: some file systems drop the fraction once they have written the entry to disk.
    found = path.stat()
    return found.st_ino, found.st_size, int(found.st_mtime)
