"""Arrow types as text and back, and which of them a table of patients can have."""

from __future__ import annotations

import re

import pyarrow as pa

from synthehr.errors import SchemaError

_SIMPLE: dict[str, pa.DataType] = {
    str(kind): kind
    for kind in (
        pa.null(), pa.bool_(),
        pa.int8(), pa.int16(), pa.int32(), pa.int64(),
        pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
        pa.float16(), pa.float32(), pa.float64(),
        pa.string(), pa.large_string(),
        pa.date32(), pa.date64(),
        pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
        *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
        *(pa.duration(unit) for unit in ("s", "ms", "us", "ns")),
    )
}  # fmt: skip
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=([^\]]+)\]")
_DECIMAL = re.compile(r"decimal(32|64|128|256)\((\d+), (-?\d+)\)")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=(u?int(?:8|16|32|64)), ordered=([01])>")
_DECIMALS = {
    "32": pa.decimal32,
    "64": pa.decimal64,
    "128": pa.decimal128,
    "256": pa.decimal256,
}


def arrow_type(text: str) -> pa.DataType:
    """Build the Arrow type that prints as this text.

    Parameters
    ----------
    text : str
        What ``str(data_type)`` gives for a supported type.

    Raises
    ------
    SchemaError
        If the text names no type that synthehr supports.

    Examples
    --------
    >>> str(arrow_type("timestamp[us, tz=Europe/Paris]"))
    'timestamp[us, tz=Europe/Paris]'
    """
    if text in _SIMPLE:
        return _SIMPLE[text]
    if match := _ZONED.fullmatch(text):
        return pa.timestamp(match[1], tz=match[2])
    if match := _DECIMAL.fullmatch(text):
        return _decimal(match[1], int(match[2]), int(match[3]), text)
    if match := _DICTIONARY.fullmatch(text):
        return pa.dictionary(_SIMPLE[match[2]], arrow_type(match[1]), ordered=match[3] == "1")
    raise _unknown(text)


def is_supported(data_type: pa.DataType) -> bool:
    """Whether a column of this type can be modelled and written back exactly."""
    try:
        return arrow_type(str(data_type)) == data_type
    except SchemaError:
        return False


def is_text(data_type: pa.DataType) -> bool:
    """Whether the cells are text, dictionary-encoded or not."""
    if pa.types.is_dictionary(data_type):
        return is_text(data_type.value_type)
    return pa.types.is_string(data_type) or pa.types.is_large_string(data_type)


def _decimal(width: str, precision: int, scale: int, text: str) -> pa.DataType:
    try:
        return _DECIMALS[width](precision, scale)
    except ValueError:
        raise _unknown(text) from None


def _unknown(text: str) -> SchemaError:
    return SchemaError(
        f"no supported column type is called {text[:80]!r}",
        hint="Use the name that Arrow prints, such as int64, double, string or timestamp[us].",
    )
