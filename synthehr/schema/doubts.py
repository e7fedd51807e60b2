"""What is modelled as it is but looks wrong: few records, codes for missing, odd dates."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

import pyarrow as pa

from synthehr.kernels import compute as pc
from synthehr.schema.column import shown
from synthehr.schema.kinds import count_distinct
from synthehr.schema.table import Schema

_FEW_RECORDS = 1000
_NINES = (99.0, 99.9, 999.0, 999.9, 9999.0, 9999.9, 99999.0, 999999.0, 9999999.0, 99999999.0)
_NEGATIVE = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)
_DAYS = {
    (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days
    for text in ("1800-01-01", "1900-01-01", "1970-01-01", "2099-12-31", "2999-12-31", "9999-12-31")
}
_YEARS_20 = 20 * 365
_ORDERS = (
    ("admission", "discharge"), ("admit", "disch"), ("start", "end"), ("start", "stop"),
    ("begin", "end"), ("birth", "death"), ("dob", "dod"), ("intime", "outtime"),
    ("birth", "admi"), ("dob", "admi"),
)  # fmt: skip


def doubts(schema: Schema, table: pa.Table) -> tuple[str, ...]:
    """Say what a person should look at before believing the table.

    Parameters
    ----------
    schema : Schema
        What the columns are.
    table : pyarrow.Table
        As `synthehr.io.read` gives it.

    Returns
    -------
    tuple of str
        Sentences that name columns and counts, and no cell value.
    """
    warnings: list[str] = []
    if table.num_rows < _FEW_RECORDS:
        warnings.append(
            f"the table has {table.num_rows} records: too few for firm figures on privacy."
        )
    warnings.extend(_repeating_ids(schema, table))
    days: dict[str, pa.ChunkedArray] = {}
    for column in schema.features:
        cells = table.column(column.name)
        if column.kind in ("date", "datetime"):
            days[column.name] = cells.cast(pa.date32(), safe=False)
            apart = _days_apart(days[column.name].cast(pa.int32()))
        elif column.kind in ("numeric", "integer"):
            apart = _numbers_apart(cells)
        else:
            continue
        if apart:
            warnings.append(
                f"column {shown(column.name)}: {apart} cells hold a value far from all others that "
                "is a common code for missing; make them null if they mean that."
            )
    warnings.extend(_disorder(days))
    return tuple(warnings)


def _repeating_ids(schema: Schema, table: pa.Table) -> Iterator[str]:
    if schema.patient is not None:
        return
    for column in schema.features:
        cells = table.column(column.name)
        if column.kind == "id" and 0 < count_distinct(cells) < len(cells) - cells.null_count:
            yield (
                f"column {shown(column.name)} holds ids that repeat; if they name patients, say "
                f"--patient {shown(column.name)}, so that a patient's records stay together."
            )


def _numbers_apart(cells: pa.ChunkedArray) -> int:
    if not (pa.types.is_integer(cells.type) or pa.types.is_float64(cells.type)):
        cells = cells.cast(pa.float64(), safe=False)
    extremes = pc.min_max(cells).as_py()
    low, high = extremes["min"], extremes["max"]
    if high in _NINES:
        rest = pc.max(cells.filter(pc.less(cells, high))).as_py()
        if rest is not None and high > 2 * rest:
            return pc.sum(pc.equal(cells, high)).as_py()
    if low in _NEGATIVE and high >= 20:
        rest = pc.min(cells.filter(pc.greater(cells, low))).as_py()
        if rest is not None and rest >= 0:
            return pc.sum(pc.equal(cells, low)).as_py()
    return 0


def _days_apart(cells: pa.ChunkedArray) -> int:
    extremes = pc.min_max(cells).as_py()
    for edge, inner in (("max", pc.max), ("min", pc.min)):
        value = extremes[edge]
        if value not in _DAYS:
            continue
        rest = inner(cells.filter(pc.not_equal(cells, value))).as_py()
        if rest is not None and abs(rest - value) > _YEARS_20:
            return pc.sum(pc.equal(cells, value)).as_py()
    return 0


def _disorder(days: Mapping[str, pa.ChunkedArray]) -> Iterator[str]:
    for begin, end in _pairs(tuple(days)):
        count = pc.sum(pc.less(days[end], days[begin])).as_py()
        if count:
            yield f"{count} records have {shown(end)} before {shown(begin)}; they are kept."
    today = pa.scalar(datetime.date.today(), pa.date32())
    for name, cells in days.items():
        if "birth" in name.lower() or "dob" in name.lower():
            count = pc.sum(pc.greater(cells, today)).as_py()
            if count:
                yield f"column {shown(name)}: {count} births lie in the future; they are kept."


def _pairs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    lower = {name.lower(): name for name in names}
    pairs: list[tuple[str, str]] = []
    for first, last in _ORDERS:
        begins = [name for name in lower if first in name]
        ends = [name for name in lower if last in name]
        for begin in begins:
            end = begin.replace(first, last)
            if end not in lower and len(begins) == len(ends) == 1:
                end = ends[0]
            pair = (lower[begin], lower.get(end, ""))
            if pair[1] and pair[0] != pair[1] and pair not in pairs:
                pairs.append(pair)
    return pairs
