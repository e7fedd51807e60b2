"""What every table goes through once, whichever door it came in by."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from synthehr.arrow_types import is_text
from synthehr.errors import InputError
from synthehr.io.names import check_names, odd_names
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

LONG_CELL = 32_767
_MOST_TRUTHS = 20
_TRUTHS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"}, {"1", "0"})
_INVISIBLE = "[\u200b\u200c\u200d\u2060\ufeff]"


def tidy(
    table: pa.Table, *, infinity: Literal["refuse", "null"] = "refuse"
) -> tuple[pa.Table, list[str]]:
    """Check names and cells, and bring each column into the form used inside.

    NaN becomes null, dictionaries lose the levels that no cell holds, spellings of a
    level that look alike are joined. Types that cannot be modelled are left alone: the
    schema refuses or drops them.

    Parameters
    ----------
    table : pyarrow.Table
        As read.
    infinity : {"refuse", "null"}
        What to do with infinite cells.

    Returns
    -------
    table : pyarrow.Table
        The same rows and columns.
    warnings : list of str
        What was changed or looked odd, without any cell value.

    Raises
    ------
    InputError
        If there are no rows or columns, two names are alike, a text cell holds NUL, or
        an infinite cell is refused.
    """
    check_names(table.column_names)
    if table.num_rows == 0:
        raise InputError("the table has no rows", hint="Give a table with records in it.")
    warnings = odd_names(table.column_names)
    columns = [
        _tidy(table.column(i), name, infinity, warnings)
        for i, name in enumerate(table.column_names)
    ]
    return pa.Table.from_arrays(columns, names=table.column_names), warnings


def _tidy(cells: pa.ChunkedArray, name: str, infinity: str, warnings: list[str]) -> pa.ChunkedArray:
    data_type = cells.type
    if isinstance(data_type, pa.RunEndEncodedType):
        cells = pa.chunked_array([pc.run_end_decode(x) for x in cells.chunks], data_type.value_type)
    if pa.types.is_string_view(cells.type):
        cells = cells.cast(pa.large_string())
    if pa.types.is_floating(cells.type):
        return _finite(cells, name, infinity, warnings)
    if pa.types.is_dictionary(cells.type):
        cells = _used_levels(cells)
    if is_text(cells.type):
        return _text(cells, name, warnings)
    return cells


def _finite(
    cells: pa.ChunkedArray, name: str, infinity: str, warnings: list[str]
) -> pa.ChunkedArray:
    # Arrow's kernels lack half precision, and widening it loses nothing.
    wide = cells.cast(pa.float32()) if pa.types.is_float16(cells.type) else cells
    infinite = pc.sum(pc.is_inf(wide)).as_py() or 0
    if infinite and infinity == "refuse":
        raise InputError(
            f"column {shown(name)} has {infinite} infinite cells",
            hint="Correct them, or read them as missing with --read infinity=null.",
        )
    finite = pc.is_finite(wide)
    spoilt = pc.sum(pc.invert(finite)).as_py() or 0
    if not spoilt:
        return cells
    if spoilt > infinite:
        warnings.append(
            f"column {shown(name)}: {spoilt - infinite} cells are not a number (NaN); "
            "they are read as missing."
        )
    if infinite:
        warnings.append(f"column {shown(name)}: {infinite} infinite cells are read as missing.")
    return pc.if_else(finite, wide, pa.scalar(None, wide.type)).cast(cells.type)


def _used_levels(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Drop the levels that no cell holds: they can name patients of another table."""
    data_type = cells.type
    whole = cells.unify_dictionaries().combine_chunks()
    array = whole if isinstance(whole, pa.DictionaryArray) else whole.chunk(0)
    used = pc.sort_indices(pc.unique(array.indices.drop_null()))
    kept = pc.unique(array.indices.drop_null()).take(used)
    if len(kept) == len(array.dictionary) and not array.dictionary.null_count:
        return pa.chunked_array([array], data_type)
    levels = array.dictionary.take(kept)
    indices = pc.index_in(array.indices, kept).cast(data_type.index_type)
    if levels.null_count:
        return pa.chunked_array(
            [array.cast(data_type.value_type).dictionary_encode().cast(data_type)]
        )
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(indices, levels, ordered=data_type.ordered)], data_type
    )


def _text(cells: pa.ChunkedArray, name: str, warnings: list[str]) -> pa.ChunkedArray:
    levels = _levels(cells)
    if pc.any(pc.match_substring(levels, "\x00")).as_py():
        raise InputError(
            f"column {shown(name)} has text cells that hold a NUL character",
            hint="Remove the character at the source; other programs cut the text there.",
        )
    longest = pc.max(pc.utf8_length(levels)).as_py() or 0
    if longest > LONG_CELL:
        warnings.append(f"column {shown(name)}: the longest cell has {longest} characters.")
    _refuse_mixed_truth(levels, name)
    plain = _normalised(levels)
    merged = 0
    if pc.all(pc.equal(plain, levels)).as_py() is False:
        merged = len(levels) - pc.count_distinct(plain).as_py()
    if merged <= 0:
        return cells
    warnings.append(
        f"column {shown(name)}: {merged} spellings differed from another only in spaces at the "
        "end or in Unicode form; they were joined."
    )
    flat = cells.cast(cells.type.value_type) if pa.types.is_dictionary(cells.type) else cells
    joined = _normalised(flat)
    if not pa.types.is_dictionary(cells.type):
        return joined
    ordered = pc.unique(plain)
    indices = pc.index_in(joined, ordered).cast(cells.type.index_type)
    return pa.chunked_array(
        [
            pa.DictionaryArray.from_arrays(chunk, ordered, ordered=cells.type.ordered)
            for chunk in indices.chunks
        ],
        cells.type,
    )


def _refuse_mixed_truth(levels: pa.Array, name: str) -> None:
    if not 2 < len(levels) <= _MOST_TRUTHS:
        return
    seen = {level.strip().lower() for level in levels.to_pylist()}
    ways = [way for way in _TRUTHS if seen & way]
    if seen <= set().union(*_TRUTHS) and len(ways) > 1:
        raise InputError(
            f"column {shown(name)} writes yes and no in {len(ways)} ways",
            hint="Bring them to one, such as true and false.",
        )


def _levels(cells: pa.ChunkedArray) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        return cells.chunk(0).dictionary
    return pc.unique(cells).drop_null()


def _normalised(cells: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    if pc.all(pc.string_is_ascii(cells)).as_py() is not False:
        return pc.ascii_rtrim_whitespace(cells)
    seen = pc.replace_substring_regex(cells, _INVISIBLE, "")
    return pc.utf8_rtrim_whitespace(pc.utf8_normalize(seen, "NFC"))
