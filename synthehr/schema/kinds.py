"""Guessing the kind of one column, with a reason that holds no cell value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from synthehr.arrow_types import is_text
from synthehr.kernels import compute as pc
from synthehr.schema.column import Kind
from synthehr.schema.words import words_of

NEARLY_UNIQUE = 0.9
_FEW = 10
_MANY_LEVELS = 1000
_ID_WORDS = {"id", "ids", "identifier", "uuid", "guid", "pid", "rowid", "recordid", "randid"}
_WEAK_ID_WORDS = {"no", "nr", "nbr", "num", "number", "key", "pk", "index", "row", "idx", "code"}
_NUMBER = r"^\s*[+-]?(\d+[.,]\d*|[.,]\d+|[1-9]\d{0,3}|0)([eE][+-]?\d+)?\s*$"
_DATE = r"^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([T ].*)?$"


class Guess(NamedTuple):
    """A kind, why, and how many distinct cells there are: of numbers, among 10 000 at most."""

    kind: Kind
    reason: str
    distinct: int


def guess(name: str, cells: pa.ChunkedArray) -> Guess:
    """Guess what the cells of a supported type mean.

    Parameters
    ----------
    name : str
        The column's name.
    cells : pyarrow.ChunkedArray of shape (N,)
        The column, as `synthehr.io.read` gives it.
    """
    filled = len(cells) - cells.null_count
    if filled == 0:
        return Guess("constant", "all cells are null", 0)
    data_type = cells.type
    counted = is_text(data_type) or pa.types.is_dictionary(data_type)
    # Hashing every number of a long column takes longer than all the rest.
    distinct = count_distinct(cells if counted else sample(cells))
    if distinct == 1 and not cells.null_count and (counted or _is_constant(cells)):
        return Guess("constant", "all cells are equal", 1)
    if pa.types.is_dictionary(data_type):
        if data_type.ordered:
            return Guess("ordinal", "ordered categories in the table", distinct)
        if not is_text(data_type):
            return Guess("categorical", "categories in the table", distinct)
    if is_text(data_type):
        kind, reason = _guess_text(name, cells, filled, distinct)
        return Guess(kind, reason, distinct)
    kind, reason = _guess_typed(name, cells, filled)
    return Guess(kind, reason, distinct)


def _is_constant(cells: pa.ChunkedArray) -> bool:
    first = cells.slice(0, 1).combine_chunks()[0]
    if pa.types.is_float16(cells.type):
        return count_distinct(cells) == 1
    return pc.all(pc.equal(cells, first)).as_py() is True


def count_distinct(cells: pa.ChunkedArray) -> int:
    """Count the distinct cells that are not null."""
    if pa.types.is_dictionary(cells.type):
        chunks = cells.unify_dictionaries().chunks
        cells = pa.chunked_array([chunk.indices for chunk in chunks], cells.type.index_type)
    if pa.types.is_null(cells.type):
        return 0
    if pa.types.is_float16(cells.type):
        cells = cells.cast(pa.float32())
    return pc.count_distinct(cells, mode="only_valid").as_py()


def is_named_like_id(name: str) -> bool:
    """Whether the name says that the column holds ids."""
    words = words_of(name)
    return bool(words) and (words[-1] in _ID_WORDS or words[0] == "id" or "mrn" in words)


def _guess_typed(name: str, cells: pa.ChunkedArray, filled: int) -> tuple[Kind, str]:
    data_type = cells.type
    kinds = pa.types
    if kinds.is_boolean(data_type):
        return "boolean", "true and false"
    if kinds.is_integer(data_type):
        return _guess_integer(name, cells, filled)
    if kinds.is_date(data_type):
        return "date", "calendar dates"
    if kinds.is_timestamp(data_type):
        return "datetime", "points in time"
    if kinds.is_duration(data_type):
        return "duration", "lengths of time"
    if kinds.is_time(data_type):
        return "duration", "times of day, taken as time since midnight"
    if kinds.is_floating(data_type) and _is_whole(cells):
        return "integer", f"whole numbers stored as {data_type}"
    return "numeric", "numbers"


def _guess_integer(name: str, cells: pa.ChunkedArray, filled: int) -> tuple[Kind, str]:
    words = words_of(name)
    named, numbered = is_named_like_id(name), bool(words) and words[-1] in _WEAK_ID_WORDS
    if named or (numbered and filled >= 20):
        distinct = count_distinct(cells)
        share = distinct / filled
        if named and distinct >= 20 and share >= 0.1:
            return "id", f"named like an id, {_percent(share)} distinct"
        if numbered and share > 0.99:
            return "id", f"named like a number of a record, {_percent(share)} distinct"
    if filled >= 50 and not cells.null_count and _counts_up(cells):
        return "id", "counts the rows"
    return "integer", "whole numbers"


def _guess_text(name: str, cells: pa.ChunkedArray, filled: int, distinct: int) -> tuple[Kind, str]:
    share = distinct / filled
    told = f"{distinct} distinct texts in {filled} cells"
    if is_named_like_id(name) and distinct >= 20 and share >= 0.1:
        return "id", f"named like an id, {told}"
    levels = sample(cells)
    length = pc.mean(pc.utf8_length(levels)).as_py() or 0.0
    if length > 50 and share > 0.2 and filled >= _FEW:
        return "text", f"{told}, {length:.0f} characters on average"
    unique = filled >= _FEW and (share > NEARLY_UNIQUE or (distinct > _MANY_LEVELS and share > 0.5))
    if not unique:
        return "categorical", told
    if _matching(levels, _DATE) > 0.9:
        return "text", "dates stored as text; turn them into dates first"
    if _matching(levels, _NUMBER) > 0.9:
        return "text", "numbers stored as text; turn them into numbers first"
    if _matching(levels, r"\s") < 0.05 and length <= 64:
        return "id", f"{told}, without spaces"
    return "text", told


def sample(cells: pa.ChunkedArray) -> pa.Array:
    """Take up to 10 000 cells that are not null, spread over the column."""
    flat = cells.drop_null()
    step = max(len(flat) // 10_000, 1)
    taken = flat.take(pa.array(np.arange(0, len(flat), step)))
    if pa.types.is_dictionary(taken.type):
        taken = taken.cast(taken.type.value_type)
    return taken.combine_chunks()


def _matching(cells: pa.Array, pattern: str) -> float:
    return pc.mean(pc.match_substring_regex(cells, pattern)).as_py() or 0.0


def _is_whole(cells: pa.ChunkedArray) -> bool:
    wide = cells.cast(pa.float64())
    small = pc.all(pc.less(pc.abs(wide), 2.0**53)).as_py()
    return bool(small and pc.all(pc.equal(pc.floor(wide), wide)).as_py())


def _counts_up(cells: pa.ChunkedArray) -> bool:
    extremes = pc.min_max(cells).as_py()
    if extremes["min"] not in (0, 1) or extremes["max"] - extremes["min"] != len(cells) - 1:
        return False
    wide = cells.cast(pa.int64())
    return bool(pc.all(pc.greater(wide.slice(1), wide.slice(0, len(wide) - 1))).as_py())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
