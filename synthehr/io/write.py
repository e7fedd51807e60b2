"""Writing a table as it is made: Parquet or Arrow with its types, CSV for spreadsheets."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from synthehr.arrow_types import is_text
from synthehr.errors import ArtifactError
from synthehr.io.atomic import replacing
from synthehr.io.pandas_types import metadata_for
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")
CSV = (".csv", ".tsv", ".txt")
STDOUT = "-"
_ROW_GROUP = 131_072
# OWASP ASVS 1.2.10. A sign alone is a common mark for "none" and starts no formula.
_FORMULA = r"^([=@\t\r\x00]|[+\-].)"


def write_table(
    batches: Iterable[pa.Table],
    path: str | PathLike[str],
    *,
    force: bool = False,
    pandas_types: Mapping[str, str] | None = None,
    formulas: bool = False,
) -> int:
    """Write a table batch by batch; the file appears whole or not at all.

    Parameters
    ----------
    batches : iterable of pyarrow.Table
        Parts of the table with equal schemas; at least one.
    path : path or "-"
        The suffix chooses Parquet, Arrow, or CSV (tab-separated for .tsv); "-" writes CSV
        to standard output.
    force : bool
        Whether a file that is already there is replaced.
    pandas_types : mapping from column name to text, or None
        Dtypes that `pandas.read_parquet` shall restore.
    formulas : bool
        Whether text cells that a spreadsheet would run as formulas go into a CSV as they
        are. By default they are led by an apostrophe.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    ArtifactError
        If the path has another suffix or cannot be written; see `replacing`.
    """
    parts = iter(batches)
    if str(path) == STDOUT:
        return _write_csv(parts, sys.stdout.buffer, ",", formulas)
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in PARQUET + ARROW + CSV:
        raise ArtifactError(
            f"{target.name} does not say which format it shall have",
            hint=f"End it in {', '.join(PARQUET[:1] + CSV[:2] + ARROW[:2])}.",
        )
    with replacing(target, force=force) as temporary, temporary.open("wb") as sink:
        if suffix in CSV:
            return _write_csv(parts, sink, "\t" if suffix == ".tsv" else ",", formulas)
        try:
            return _write_typed(parts, sink, suffix in PARQUET, pandas_types)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise ArtifactError(
                f"{target.name} cannot hold a column of this table",
                hint="Write Parquet, which holds every type that synthehr does.",
            ) from None


def _write_typed(
    parts: Iterator[pa.Table], sink: IO[bytes], parquet: bool, types: Mapping[str, str] | None
) -> int:
    first = _first(parts)
    schema = first.schema.remove_metadata()
    if types:
        schema = schema.with_metadata(metadata_for(schema, types))
    rows = 0
    with _parquet_writer(sink, schema) if parquet else pa.ipc.new_file(sink, schema) as writer:
        for part in _gathered(_chained(first, parts)):
            part = part.replace_schema_metadata(schema.metadata)
            if parquet:
                writer.write_table(part, row_group_size=_ROW_GROUP)
            else:
                writer.write_table(part.unify_dictionaries())
            rows += part.num_rows
    return rows


def _parquet_writer(sink: IO[bytes], schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(sink, schema, compression="zstd", write_page_checksum=True)


def _write_csv(parts: Iterator[pa.Table], sink: IO[bytes], delimiter: str, formulas: bool) -> int:
    first = _first(parts)
    nested = [field.name for field in first.schema if pa.types.is_nested(field.type)]
    if nested:
        raise ArtifactError(
            f"a text file cannot hold the lists of column {shown(nested[0])}", hint="Write Parquet."
        )
    names = list(first.column_names) if formulas else [_defused(x) for x in first.column_names]
    options = csv.WriteOptions(include_header=False, delimiter=delimiter, quoting_style="needed")
    header = [pa.array([name]) for name in names]
    # Positions stand in for the names: the writer would print the names a second time.
    csv.write_csv(pa.Table.from_arrays(header, [str(i) for i in range(len(names))]), sink, options)
    rows = 0
    for part in _chained(first, parts):
        columns = [_printable(cells, formulas) for cells in part.columns]
        plain = pa.Table.from_arrays(columns, [str(i) for i in range(len(names))])
        csv.write_csv(plain, sink, options)
        rows += part.num_rows
    return rows


def _printable(cells: pa.ChunkedArray, formulas: bool) -> pa.ChunkedArray:
    """Bring a column into a type that CSV can hold; lengths of time become seconds."""
    data_type = cells.type
    if pa.types.is_dictionary(data_type):
        return _printable(cells.cast(data_type.value_type), formulas)
    if is_text(data_type) and not formulas:
        return pc.replace_substring_regex(cells, _FORMULA, r"'\1")
    if pa.types.is_duration(data_type):
        scale = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[data_type.unit]
        return pc.divide(cells.cast(pa.int64()).cast(pa.float64(), safe=False), float(scale))
    if pa.types.is_float16(data_type):
        return cells.cast(pa.float32())
    return cells


def _defused(name: str) -> str:
    return pc.replace_substring_regex(pa.scalar(name), _FORMULA, r"'\1").as_py()


def _first(parts: Iterator[pa.Table]) -> pa.Table:
    first = next(parts, None)
    if first is None:
        raise ArtifactError("there is nothing to write", hint="Ask for at least one row.")
    return first


def _chained(first: pa.Table, parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from parts


def _gathered(parts: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Put small parts together, so that a file has few row groups."""
    held: list[pa.Table] = []
    rows = 0
    for part in parts:
        held.append(part)
        rows += part.num_rows
        if rows >= _ROW_GROUP:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)
