"""Lists of codes in a cell, spread over a column for each code, and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.errors import InputError
from synthehr.io.names import check_names
from synthehr.io.source import Source
from synthehr.io.visits.keys import check_patients, ranks
from synthehr.io.visits.pivot import by_number, holders
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

DETAIL = "list "
"""Before the name of a list in the details of visits, whose values are types."""
TYPES = {"string": pa.string(), "int64": pa.int64()}


def spread(
    source: Source, patient: str, rare_patients: int = 10, known: Sequence[str] | None = None
) -> tuple[Source, dict[str, str]]:
    """Give every code of a list a column of booleans, ``diagnoses: I10``.

    Parameters
    ----------
    source : Source
        Lists of texts or whole numbers; all other columns stay.
    patient : str
        The column of ids.
    rare_patients : int
        Codes of fewer patients are left out: that they occur could tell of one.
    known : sequence of str or None
        Columns that are wanted, where they are known from before; a list of which there are
        none stays.

    Returns
    -------
    source : Source
        Where a list is null, all of its columns are.
    details : dict from str to str
        Names of lists, and types of their codes.

    Raises
    ------
    InputError
        If no code of a list is left, or a column has the name of a code's.
    """
    prefixes = {name.partition(": ")[0] for name in known or ()}
    lists = [
        field.name
        for field in source.table.schema
        if _is_list(field.type) and (known is None or field.name in prefixes)
    ]
    if not lists or patient not in source.table.column_names:
        return source, {}
    check_patients(source.table.column(patient), patient)
    owners = ranks(source.table.column(patient))
    names: list[str] = []
    columns: list[pa.ChunkedArray | pa.Array] = []
    details: dict[str, str] = {}
    warnings = list(source.warnings)
    for name, cells in zip(source.table.column_names, source.table.columns, strict=True):
        if name not in lists:
            found = {name: cells}
        else:
            wanted = None if known is None else [x for x in known if x.startswith(f"{name}: ")]
            found, few = _marked(name, cells.combine_chunks(), owners, rare_patients, wanted)
            whole = pa.types.is_integer(cells.type.value_type)
            details[f"{DETAIL}{name}"] = "int64" if whole else "string"
            if few:
                warnings.append(
                    f"{few} codes of {shown(name)} of fewer than {rare_patients} patients were "
                    "left out."
                )
        names += found
        columns += found.values()
    check_names(names)
    types = {k: v for k, v in (source.pandas_types or {}).items() if k not in lists} or None
    return Source(pa.table(columns, names), types, tuple(warnings)), details


def folded(table: pa.Table, details: Mapping[str, str]) -> pa.Table:
    """Put codes back into their lists, in the order of their columns.

    A list is null where all of its columns are.
    """
    for key, of in details.items():
        name = key.removeprefix(DETAIL)
        members = [x for x in table.column_names if x.startswith(f"{name}: ")]
        if not key.startswith(DETAIL) or not members:
            continue
        cells = np.stack([_flags(table.column(x)) for x in members], 1)
        words = pa.array([x.removeprefix(f"{name}: ") for x in members]).cast(TYPES[of])
        held = words.take(pa.array(np.nonzero(cells == 1)[1]))
        ends = np.concatenate([[0], np.cumsum((cells == 1).sum(1))]).astype(np.int32)
        is_null = pa.array((cells < 0).all(1))
        lists = pa.ListArray.from_arrays(pa.array(ends), held, mask=is_null)
        place = table.column_names.index(members[0])
        table = table.drop_columns(members).add_column(place, name, lists)
    return table


def _flags(cells: pa.ChunkedArray) -> NDArray[np.int8]:
    """Give 1 for true, 0 for false and -1 for null; (N,)."""
    return np.asarray(pc.fill_null(cells.cast(pa.int8()), -1))


def _marked(
    name: str,
    cells: pa.Array,
    owners: NDArray[np.int64],
    rare_patients: int,
    wanted: Sequence[str] | None,
) -> tuple[dict[str, pa.Array], int]:
    """Make the columns of a list; count the codes that are left out for being rare."""
    values, rows = pc.list_flatten(cells), np.asarray(pc.list_parent_indices(cells))
    there = pc.is_valid(values)
    words = values.filter(there).cast(pa.string()).dictionary_encode()
    numbers, rows = np.asarray(words.indices).astype(np.int64), rows[np.asarray(there)]
    place = {word: number for number, word in enumerate(words.dictionary.to_pylist())}
    few = 0
    if wanted is None:
        held = holders(numbers, owners[rows])
        few = int((held < rare_patients).sum())
        common = [word for word, number in place.items() if held[number] >= rare_patients]
        wanted = [f"{name}: {word}" for word in sorted(common)]
    if not wanted:
        raise InputError(
            f"no code of {shown(name)} is held by {rare_patients} patients",
            hint="Leave the column out, or bring the codes to coarser ones.",
        )
    is_null, at = np.asarray(pc.is_null(cells)), dict(by_number(numbers))
    columns = {}
    for column in wanted:
        flags = np.zeros(len(cells), dtype=bool)
        number = place.get(column.removeprefix(f"{name}: "))
        if number is not None:
            flags[rows[at[number]]] = True
        columns[column] = pa.array(flags, mask=is_null)
    return columns, few


def _is_list(kind: pa.DataType) -> bool:
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return False
    of = kind.value_type
    of = of.value_type if pa.types.is_dictionary(of) else of
    return is_text(of) or pa.types.is_integer(of)
