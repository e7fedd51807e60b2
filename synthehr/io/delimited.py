"""Reading CSV: encoding, delimiter and shape of the file; cells stay text until typed."""

from __future__ import annotations

import codecs
import csv as python_csv
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.csv as csv

from synthehr.errors import InputError
from synthehr.io.names import check_names
from synthehr.io.text_types import typed
from synthehr.schema.column import shown

_HEAD = 256 * 2**10
_LINES = 50
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*|\d{4}-\d{2}-\d{2}.*")


class CsvOptions(NamedTuple):
    """How a CSV file is to be read; None finds out.

    Attributes
    ----------
    encoding : str or None
        Name of a text encoding; None means UTF-8.
    delimiter : str or None
        One character.
    nulls : tuple of str
        Texts that mean null.
    decimal : {".", ","} or None
        Decimal mark.
    dayfirst : bool or None
        Whether 01/02/2020 is in February.
    """

    encoding: str | None = None
    delimiter: str | None = None
    nulls: tuple[str, ...] = ("",)
    decimal: Literal[".", ","] | None = None
    dayfirst: bool | None = None


def read_csv(
    path: Path, columns: Sequence[str] | None, options: CsvOptions, max_bytes: int
) -> tuple[pa.Table, list[str]]:
    """Read a CSV file and find the type of each column.

    Only the texts in `options.nulls` become null. Digits with a leading zero stay text.

    Returns
    -------
    table : pyarrow.Table
        The rows.
    warnings : list of str
        What was found out and what looks odd.

    Raises
    ------
    InputError
        If the encoding or the delimiter is wrong, rows differ in length, names are
        alike, or numbers or dates can be read in two ways.
    """
    if path.stat().st_size > max_bytes:
        raise InputError(
            f"{path.name} is larger than {max_bytes / 2**30:.3g} GiB",
            hint="Read fewer rows, or raise the limit (max_bytes).",
        )
    encoding = _encoding(path, options.encoding)
    lines = _head(path, encoding).splitlines(keepends=True)
    warnings = []
    comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if comments:
        warnings.append(f"{comments} comment lines at the top were skipped.")
    body = lines[comments:]
    if not any(line.strip() for line in body):
        raise _no_rows(path)
    delimiter = options.delimiter or _sniff(path, body)
    if len(delimiter) != 1:
        raise InputError("the delimiter is not one character", hint="Use ',', ';', '|' or a tab.")
    if options.delimiter is None and delimiter != ",":
        warnings.append(f"the delimiter was found to be a {_DELIMITERS[delimiter]}.")
    names = _header(path, body, delimiter)
    if len(_records(body, delimiter, 2)) == 1 and path.stat().st_size < _HEAD:
        raise _no_rows(path)
    table = _read_text(path, names, columns, comments, delimiter, encoding, options.nulls)
    if table.num_rows == 0:
        raise _no_rows(path)
    if encoding == "utf8":
        _refuse_open_quote(path, table)
    table, notes = typed(table, options.decimal, options.dayfirst)
    return table, warnings + notes


def _encoding(path: Path, wanted: str | None) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    if wanted is None:
        if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InputError(f"{path.name} is UTF-16 text", hint="Say --read encoding=utf-16.")
        return "utf8"
    try:
        found = codecs.lookup(wanted)
    except LookupError:
        found = None
    if found is None or not getattr(found, "_is_text_encoding", True):
        raise InputError(
            f"no text encoding is called {shown(wanted)}",
            hint="Common ones are utf-8, latin-1, cp1252 and utf-16.",
        )
    return "utf8" if found.name in ("utf-8", "utf-8-sig") else found.name


def _head(path: Path, encoding: str) -> str:
    with path.open("rb") as file:
        raw = file.read(_HEAD)
    decoder = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf8" else encoding)()
    try:
        text = decoder.decode(raw)
    except UnicodeDecodeError:
        raise _badly_encoded(path, encoding, None) from None
    if len(raw) == _HEAD:
        text = text[: text.rfind("\n") + 1] or text
    if "\x00" in text:
        raise InputError(
            f"{path.name} holds NUL characters",
            hint="If it is UTF-16, say --read encoding=utf-16; otherwise remove them there.",
        )
    return text


def _records(lines: list[str], delimiter: str, most: int) -> list[list[str]]:
    records = []
    try:
        for record in python_csv.reader(lines, delimiter=delimiter):
            if record:
                records.append(record)
            if len(records) == most:
                break
    except python_csv.Error:
        pass  # Cells longer than Python's limit; what was read so far suffices.
    return records


def _sniff(path: Path, lines: list[str]) -> str:
    """Find the delimiter by which all of the first records have equally many fields."""
    steady, possible = [], []
    for delimiter in _DELIMITERS:
        widths = [len(record) for record in _records(lines, delimiter, _LINES)]
        if not widths or widths[0] == 1:
            continue
        possible.append((widths[0], delimiter))
        if len(set(widths)) == 1:
            steady.append(delimiter)
    if len(steady) > 1:
        told = " and ".join(_DELIMITERS[x] for x in steady)
        raise InputError(
            f"the delimiter of {path.name} is not clear: {told} fit", hint="Say --read delimiter=."
        )
    if steady:
        return steady[0]
    return max(possible)[1] if possible else ","


def _header(path: Path, lines: list[str], delimiter: str) -> list[str]:
    first = _records(lines, delimiter, 1)
    names = first[0] if first else []
    check_names(names)
    numbers = [name for name in names if _NUMBER.fullmatch(name)]
    # pandas writes its default labels 0, 1, 2 …; wide tables have one column for each year.
    labels = [str(i) for i in range(len(numbers))]
    in_a_row = numbers == labels or all(re.fullmatch(r"(19|20)\d\d", x) for x in numbers)
    if numbers and 2 * len(numbers) >= len(names) and not in_a_row:
        raise InputError(
            f"the first line of {path.name} looks like a record, not like column names",
            hint="Put a line with the names of the columns at the top.",
        )
    return names


def _read_text(
    path: Path,
    names: list[str],
    columns: Sequence[str] | None,
    skip: int,
    delimiter: str,
    encoding: str,
    nulls: Sequence[str],
) -> pa.Table:
    wanted = names if columns is None else [name for name in names if name in set(columns)]
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=list(nulls),
        strings_can_be_null=True,
        include_columns=wanted,
    )
    ragged: list[tuple[int, int]] = []

    def note(row: csv.InvalidRow) -> str:
        ragged.append((row.number or 0, row.actual_columns))
        return "error"

    def load(threads: bool) -> pa.Table:
        return csv.read_csv(
            str(path),
            csv.ReadOptions(use_threads=threads, skip_rows=skip, encoding=encoding),
            csv.ParseOptions(
                delimiter=delimiter,
                newlines_in_values=True,
                invalid_row_handler=None if threads else note,
            ),
            convert,
        )

    # Arrow's messages quote the file. It knows the number of a row on one thread only.
    try:
        return load(threads=True)
    except (pa.ArrowException, UnicodeError) as error:
        text = str(error)
    if "UTF8" in text or "codec" in text:
        column = re.search(r"column #(\d+)", text)
        raise _badly_encoded(path, encoding, names[int(column[1])] if column else None)
    with suppress(pa.ArrowException, UnicodeError):
        load(threads=False)
    if ragged:
        number, width = ragged[0]
        raise InputError(
            f"row {number} of {path.name} has {width} fields, and the header has {len(names)}",
            hint="Look for an unquoted delimiter or line break there, or say --read delimiter=.",
        )
    raise InputError(
        f"{path.name} cannot be read as CSV", hint="Look for quotes that are opened and not closed."
    )


def _refuse_open_quote(path: Path, table: pa.Table) -> None:
    """Refuse a file whose last record has swallowed the rest through a quote left open."""
    last = table.slice(table.num_rows - 1).to_pylist()[0]
    if not any(cell is not None and "\n" in cell for cell in last.values()):
        return
    with path.open("rb") as file:
        quotes = sum(block.count(b'"') for block in iter(lambda: file.read(2**20), b""))
    if quotes % 2:
        raise InputError(
            f"{path.name} has a quote that is opened and not closed",
            hint=f"The record that starts there is number {table.num_rows}.",
        )


def _no_rows(path: Path) -> InputError:
    return InputError(f"{path.name} has no rows", hint="Give a file with records in it.")


def _badly_encoded(path: Path, encoding: str, column: str | None) -> InputError:
    where = f"column {shown(column)} of {path.name}" if column is not None else path.name
    name = "UTF-8" if encoding == "utf8" else encoding
    return InputError(
        f"{where} is not {name} text",
        hint="Say the right one, for instance --read encoding=latin-1 or --read encoding=cp1252.",
    )
