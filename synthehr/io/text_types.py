"""Finding what the text cells of a CSV file are: numbers, dates, times, or text."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal, NamedTuple

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

_INTEGER = r"^[+-]?\d+$"
_LEADING_ZERO = r"^[+-]?0\d"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DECIMAL_COMMA = r"^[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?$"
_THOUSANDS_COMMA = r"^[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?$"
_THOUSANDS_DOT = r"^[+-]?\d{1,3}(\.\d{3})+$"
_ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ISO_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?$"
_ZONE = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_CLOCK = r"^\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$"
_LOCAL_DATE = r"^(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})( \d{2}:\d{2}(:\d{2})?)?$"
_MOSTLY = 0.8
_PEEK = 1000

Decimal = Literal[".", ","] | None


class Typed(NamedTuple):
    """A column with its type, and what is worth telling about it."""

    cells: pa.ChunkedArray
    note: str | None = None
    comma: bool = False


def typed(table: pa.Table, decimal: Decimal, dayfirst: bool | None) -> tuple[pa.Table, list[str]]:
    """Give each text column the type that all of its cells fit.

    Parameters
    ----------
    table : pyarrow.Table
        Text columns.
    decimal : {".", ","} or None
        Decimal mark; None finds it in each column.
    dayfirst : bool or None
        Whether 01/02/2020 is in February; None finds it in each column.

    Raises
    ------
    InputError
        If the numbers or the dates of a column can be read in two ways.
    """
    columns: list[pa.ChunkedArray] = []
    notes: list[str] = []
    with_comma = False
    for i, name in enumerate(table.column_names):
        found = _typed(table.column(i), name, decimal, dayfirst)
        with_comma |= found.comma
        columns.append(found.cells)
        if found.note:
            notes.append(f"column {shown(name)}: {found.note}.")
    if with_comma and decimal is None:
        _refuse_thousands(table, columns)
    return pa.Table.from_arrays(columns, names=table.column_names), notes


def _typed(cells: pa.ChunkedArray, name: str, decimal: Decimal, dayfirst: bool | None) -> Typed:
    if cells.null_count == len(cells):
        return Typed(pa.chunked_array([pa.nulls(len(cells))]))
    head = pc.utf8_trim_whitespace(cells.slice(0, _PEEK))
    if not _any(head, r"^[+-]?[\d.,]|(?i:^true$|^false$)") and head.null_count < len(head):
        return Typed(cells)
    trimmed = pc.utf8_trim_whitespace(cells)
    found = (
        _number(trimmed, cells, decimal)
        or _marked_number(trimmed, name, decimal)
        or _truth(trimmed)
        or _time(trimmed, cells)
        or _local_date(trimmed, cells, name, dayfirst)
    )
    return found or Typed(cells, _nearly_number(trimmed))


def _number(trimmed: pa.ChunkedArray, cells: pa.ChunkedArray, decimal: Decimal) -> Typed | None:
    if not _all(trimmed.slice(0, _PEEK), _NUMBER):
        return None
    # Leading zeros are looked for where there is a zero in front, which is seldom.
    fronted = trimmed.filter(pc.starts_with(pc.utf8_ltrim(trimmed, "+-"), "0"))
    if _any(fronted, _LEADING_ZERO):
        if not _all(trimmed, _NUMBER):
            return None
        return Typed(cells, "kept as text, since numbers would lose their leading zeros")
    unsigned = pc.utf8_ltrim(trimmed, "+") if _any(trimmed, r"^\+") else trimmed
    for data_type in (pa.int64(), pa.uint64()):
        with suppress(pa.ArrowInvalid):
            # Arrow takes 0x10 for a number too.
            return None if _any(fronted, r"^[+-]?0[xX]") else Typed(unsigned.cast(data_type))
    if _all(trimmed, _INTEGER):
        return Typed(cells, "kept as text, since the numbers have more than 64 bits")
    if decimal == "," and _any(trimmed, r"\."):
        return None
    with suppress(pa.ArrowInvalid):
        numbers = unsigned.cast(pa.float64())
        # What is not finite may be the text "nan" or "inf".
        if pc.all(pc.is_finite(numbers)).as_py() or _all(trimmed, _NUMBER):
            return Typed(numbers)
    return None


def _marked_number(trimmed: pa.ChunkedArray, name: str, decimal: Decimal) -> Typed | None:
    """Read numbers with a decimal comma, or with marks between thousands."""
    comma = decimal != "." and _all(trimmed, _DECIMAL_COMMA)
    thousands = decimal != "," and _all(trimmed, _THOUSANDS_COMMA)
    if comma and thousands:
        raise InputError(
            f"column {shown(name)} has commas that may mark decimals or thousands",
            hint="Say which with --read decimal=, or --read decimal=.",
        )
    if not comma and not thousands:
        return None
    plain = pc.utf8_ltrim(trimmed, "+")
    if comma:
        plain = pc.replace_substring(pc.replace_substring(plain, ".", ""), ",", ".")
        if _any(plain, _LEADING_ZERO):
            return None
        return Typed(plain.cast(pa.float64()), "the comma was read as decimal mark", comma=True)
    plain = pc.replace_substring(plain, ",", "")
    data_type = pa.int64() if _all(plain, _INTEGER) else pa.float64()
    return Typed(plain.cast(data_type), "the comma was read as mark of thousands")


def _refuse_thousands(table: pa.Table, columns: list[pa.ChunkedArray]) -> None:
    for i, name in enumerate(table.column_names):
        if not pa.types.is_floating(columns[i].type):
            continue
        if _all(pc.utf8_trim_whitespace(table.column(i)), _THOUSANDS_DOT):
            raise InputError(
                f"column {shown(name)} has dots that may mark decimals or thousands, "
                "and other columns have decimal commas",
                hint="Say which with --read decimal=, or --read decimal=.",
            )


def _truth(trimmed: pa.ChunkedArray) -> Typed | None:
    if not _all(trimmed, "^(?i:true|false)$"):
        return None
    return Typed(pc.equal(pc.utf8_lower(trimmed), "true"))


def _time(trimmed: pa.ChunkedArray, cells: pa.ChunkedArray) -> Typed | None:
    """Read ISO dates, points in time, and times of day."""
    try:
        if _all(trimmed, _ISO_DATE):
            return Typed(trimmed.cast(pa.date32()))
        if _all(trimmed, _CLOCK):
            day = pc.binary_join_element_wise("1970-01-01", trimmed, " ")
            fine = _any(trimmed, r"\.")
            moments = day.cast(pa.timestamp("us" if fine else "s"))
            return Typed(moments.cast(pa.time64("us") if fine else pa.time32("s")))
        if _all(trimmed, _ISO_TIME):
            return _moments(trimmed)
    except pa.ArrowInvalid:
        return Typed(cells, "kept as text, since some of its dates or times do not exist")
    return None


def _moments(trimmed: pa.ChunkedArray) -> Typed:
    digits = pc.max(pc.utf8_length(_part(trimmed, r"\.(?P<x>\d+)"))).as_py() or 0
    unit = "s" if digits == 0 else "ms" if digits <= 3 else "us" if digits <= 6 else "ns"
    zoned = pc.match_substring_regex(trimmed, f"[T ].*{_ZONE}")
    if not pc.any(zoned).as_py():
        return Typed(trimmed.cast(pa.timestamp(unit)))
    naive = pc.sum(pc.invert(zoned)).as_py()
    written = pc.unique(_part(trimmed, f"[T ].*?(?P<x>{_ZONE})")).drop_null().to_pylist()
    zones = {_offset(zone) for zone in written}
    whole = pc.if_else(zoned, trimmed, pc.binary_join_element_wise(trimmed, "Z", ""))
    moments = whole.cast(pa.timestamp(unit, "UTC"))
    if naive:
        return Typed(moments, f"{naive} times without a zone were taken as UTC, like the rest")
    if len(zones) > 1:
        return Typed(moments, "times of several zones were turned into UTC")
    (zone,) = zones
    return Typed(moments if zone == "+00:00" else moments.cast(pa.timestamp(unit, zone)))


def _offset(zone: str) -> str:
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return f"{zone[0]}{digits[:2]}:{digits[2:]}" if digits.strip("0") else "+00:00"


def _local_date(
    trimmed: pa.ChunkedArray, cells: pa.ChunkedArray, name: str, dayfirst: bool | None
) -> Typed | None:
    """Read dates such as 31/12/2020 or 12/31/2020, if it is clear which comes first."""
    if not _all(trimmed, _LOCAL_DATE):
        return None
    first = pc.max(_part(trimmed, r"^(?P<x>\d{1,2})").cast(pa.int8())).as_py()
    second = pc.max(_part(trimmed, r"^\d+[/.-](?P<x>\d{1,2})").cast(pa.int8())).as_py()
    if dayfirst is None and first <= 12 and second <= 12:
        raise InputError(
            f"column {shown(name)} has dates in which day and month cannot be told apart",
            hint="Say --read dayfirst=true or --read dayfirst=false, or write dates as YYYY-MM-DD.",
        )
    day_leads = first > 12 if dayfirst is None else dayfirst
    order = r"\3-\2-\1\4" if day_leads else r"\3-\1-\2\4"
    iso = pc.replace_substring_regex(trimmed, _LOCAL_DATE, order)
    iso = pc.replace_substring_regex(iso, r"-(\d)\b", r"-0\1")
    with_time = _any(trimmed, ":")
    try:
        moments = iso.cast(pa.timestamp("s") if with_time else pa.date32())
    except pa.ArrowInvalid:
        return Typed(cells, "kept as text, since some of its dates do not exist")
    told = "day before month" if day_leads else "month before day"
    return Typed(moments, f"dates were read with the {told}")


def _nearly_number(trimmed: pa.ChunkedArray) -> str | None:
    filled = len(trimmed) - trimmed.null_count
    if not pc.mean(pc.match_substring_regex(trimmed.slice(0, _PEEK), _NUMBER)).as_py():
        return None
    numbers = pc.sum(pc.match_substring_regex(trimmed, _NUMBER)).as_py() or 0
    others = filled - numbers
    if others == 0 or numbers < _MOSTLY * filled or pc.count_distinct(trimmed).as_py() < 10:
        return None
    return (
        f"kept as text, since {others} of {filled} cells are not numbers; "
        "if they mean missing, name their text with --null"
    )


def _part(cells: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    return pc.struct_field(pc.extract_regex(cells, pattern), "x")


def _all(cells: pa.ChunkedArray, pattern: str) -> bool:
    # Most columns fail within the first cells.
    for part in (cells.slice(0, _PEEK), cells):
        if pc.all(pc.match_substring_regex(part, pattern)).as_py() is False:
            return False
    return True


def _any(cells: pa.ChunkedArray, pattern: str) -> bool:
    return pc.any(pc.match_substring_regex(cells, pattern)).as_py() is True
