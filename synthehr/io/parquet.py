"""Reading Parquet and Arrow files that nobody vouches for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from synthehr.errors import InputError
from synthehr.io.names import check_names
from synthehr.kernels import compute as pc

T = TypeVar("T")
_DAMAGED = "Export it again, and compare its checksum with that of the source."
# Encodings in which a cell takes about as many bytes in the file as in memory.
_WIDTHS = {"BOOLEAN": 0.125, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
_LINEAR = {"PLAIN", "RLE", "BIT_PACKED", "DELTA_LENGTH_BYTE_ARRAY"}


def read_parquet(path: Path, columns: Sequence[str] | None, max_bytes: int) -> pa.Table:
    """Read a Parquet file whose footer, checksums and decoded size are in order.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str or None
        Columns to read, where the file has them; None reads all.
    max_bytes : int
        Most bytes that the decoded table may take.

    Raises
    ------
    InputError
        If it is damaged or encrypted, or would take more than `max_bytes`.
    """
    with path.open("rb") as file:
        file.seek(-4, 2)
        if file.read(4) == b"PARE":
            raise _encrypted(path)

    def read() -> pa.Table:
        with pq.ParquetFile(path, page_checksum_verification=True) as source:
            schema = source.schema_arrow
            check_names(schema.names)
            wanted = [x for x in schema.names if columns is None or x in set(columns)]
            repeated, room = _check_footer(path, source, wanted, max_bytes)
        with pq.ParquetFile(
            path, page_checksum_verification=True, read_dictionary=repeated
        ) as source:
            # A name that holds a dot can select its neighbours too.
            table = source.read(columns=wanted).select(wanted)
        table = _spelled_out(path, table, repeated, schema, room, max_bytes)
        table.validate(full=True)
        return table

    return _guarded(path, read)


def read_arrow(path: Path, columns: Sequence[str] | None, max_bytes: int) -> pa.Table:
    """Read an Arrow file or stream (Feather version 2) and check it through.

    Raises
    ------
    InputError
        If it is damaged or takes more than `max_bytes`.
    """

    def read() -> pa.Table:
        with pa.memory_map(str(path)) as source:
            head = source.read(6)
            source.seek(0)
            is_file = head == b"ARROW1"
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            names = reader.schema.names
            check_names(names)
            wanted = names if columns is None else [x for x in names if x in set(columns)]
            batches, size = [], 0
            many = getattr(reader, "num_record_batches", None)
            ordered = reader if many is None else (reader.get_batch(i) for i in range(many))
            for batch in ordered:
                batch = batch.select(wanted)
                size += batch.nbytes
                if size > max_bytes:
                    raise _too_large(path, max_bytes)
                batches.append(batch)
            schema = pa.schema([reader.schema.field(x) for x in wanted], reader.schema.metadata)
            table = pa.Table.from_batches(batches, schema)
        table.validate(full=True)
        return table

    return _guarded(path, read)


def footer(path: Path, parquet: bool) -> tuple[int | None, pa.Schema]:
    """Read the number of rows, where the file says it, and the schema.

    Raises
    ------
    InputError
        If the file is damaged or encrypted.
    """

    def read() -> tuple[int | None, pa.Schema]:
        if parquet:
            with pq.ParquetFile(path) as source:
                return source.metadata.num_rows, source.schema_arrow.remove_metadata()
        with pa.memory_map(str(path)) as source:
            is_file = source.read(6) == b"ARROW1"
            source.seek(0)
            reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
            return None, reader.schema.remove_metadata()

    return _guarded(path, read)


def _guarded(path: Path, read: Callable[[], T]) -> T:
    # Arrow's own messages can hold bytes of the file, so none of them is passed on.
    try:
        return read()
    except MemoryError:
        raise InputError(
            f"{path.name} does not fit into memory", hint="Read fewer columns or rows."
        ) from None
    except (pa.ArrowException, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        text = str(error).lower()
        if "encrypt" in text or "decrypt" in text:
            raise _encrypted(path) from None
        if isinstance(error, pa.ArrowNotImplementedError):
            raise InputError(
                f"{path.name} uses a compression or an encoding that is not supported",
                hint="Write it again with zstd or snappy compression.",
            ) from None
        why = (
            "a page's checksum is wrong" if "checksum" in text or "crc" in text else "damaged file"
        )
        raise InputError(f"{path.name} cannot be read: {why}", hint=_DAMAGED) from None


def _check_footer(
    path: Path, source: pq.ParquetFile, wanted: list[str], max_bytes: int
) -> tuple[list[str], int]:
    """Refuse a file that decodes to more than it should, before it is decoded.

    Returns
    -------
    repeated : list of str
        Text columns that name each distinct cell once, so that their decoded size is not known.
    room : int
        Bytes that are left for them.
    """
    footer = source.metadata
    kept, repeated = set(wanted), set()
    room = max_bytes
    for group in range(footer.num_row_groups):
        rows = footer.row_group(group)
        for i in range(rows.num_columns):
            chunk = rows.column(i)
            name = chunk.path_in_schema
            if name not in kept and name.split(".", 1)[0] not in kept:
                continue
            if chunk.physical_type in _WIDTHS:
                room -= int(_WIDTHS[chunk.physical_type] * chunk.num_values)
            else:
                room -= max(chunk.total_uncompressed_size, 0)
                if name in kept and not set(chunk.encodings) <= _LINEAR:
                    repeated.add(name)
    if room < 0:
        raise _too_large(path, max_bytes)
    return sorted(repeated), room


def _spelled_out(
    path: Path, table: pa.Table, repeated: list[str], schema: pa.Schema, room: int, max_bytes: int
) -> pa.Table:
    """Give text columns read as dictionaries their own type, if there is room for it."""
    for name in repeated:
        cells = table.column(name)
        wanted = schema.field(name).type
        if cells.type == wanted or not pa.types.is_dictionary(cells.type):
            continue
        for chunk in cells.chunks:
            lengths = pc.binary_length(chunk.dictionary)
            room -= pc.sum(lengths.take(chunk.indices)).as_py() or 0
        if room < 0:
            raise _too_large(path, max_bytes)
        place = table.schema.get_field_index(name)
        table = table.set_column(place, schema.field(name), cells.cast(wanted))
    return table


def _too_large(path: Path, max_bytes: int) -> InputError:
    return InputError(
        f"{path.name} takes more than {max_bytes / 2**30:.3g} GiB once it is decoded",
        hint="Read fewer columns or rows, or raise the limit (max_bytes) if you trust the file.",
    )


def _encrypted(path: Path) -> InputError:
    return InputError(f"{path.name} is encrypted", hint="Decrypt it first; synthehr holds no keys.")
