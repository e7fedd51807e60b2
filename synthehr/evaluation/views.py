"""The tables to compare, brought to the same columns and the same numbers.

A `View` is what every figure is computed from: numbers as floats, dates as days since
1970-01-01, categories as codes over the union of the levels, null as nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.evaluation.results import ColumnKind
from synthehr.schema.column import shown

SECONDS_A_DAY = 86_400.0
PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


@dataclass(frozen=True)
class View:
    """One table in comparable numbers.

    Attributes
    ----------
    values : ndarray of shape (N, D), float64
        Column-major; nan is null.
    patients : ndarray of shape (N,), int64
        The patient of each record, as codes from 0.
    """

    values: NDArray[np.float64]
    patients: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of records."""
        return len(self.patients)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return int(self.patients.max(initial=-1)) + 1

    def take(self, rows: NDArray[np.int64]) -> View:
        """Keep these records."""
        _, patients = np.unique(self.patients[rows], return_inverse=True)
        return View(np.asfortranarray(self.values[rows]), patients.astype(np.int64))

    def sample(self, n: int, rng: np.random.Generator) -> View:
        """Draw at most n records without replacement."""
        if n >= self.rows:
            return self
        return self.take(rng.permutation(self.rows)[:n])

    def halves(self, rng: np.random.Generator) -> tuple[View, View]:
        """Split into two parts of half the patients each."""
        first = np.zeros(self.n_patients, dtype=bool)
        first[rng.permutation(self.n_patients)[: self.n_patients // 2]] = True
        mine = first[self.patients]
        return self.take(np.flatnonzero(mine)), self.take(np.flatnonzero(~mine))


class Compared(NamedTuple):
    """A compared column: its name, how it is compared, and the levels behind the codes."""

    name: str
    kind: ColumnKind
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Views:
    """Real, synthetic and held-out records over the same columns.

    Attributes
    ----------
    columns : tuple of Compared
        The D columns. Codes of categories count from the commonest real level.
    real, synthetic : View
        The two tables that are compared.
    holdout : View or None
        Real records that the synthetic ones were not made from.
    grouped : bool
        Whether a patient may hold several records.
    """

    columns: tuple[Compared, ...]
    real: View
    synthetic: View
    holdout: View | None
    grouped: bool

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Mask of shape (D,): which columns hold codes."""
        return np.array([column.kind == "category" for column in self.columns])

    def with_tables(self, real: View, synthetic: View, holdout: View | None) -> Views:
        """Put other records under the same columns."""
        return replace(self, real=real, synthetic=synthetic, holdout=holdout)


def align(
    real: pa.Table,
    synthetic: pa.Table,
    holdout: pa.Table | None = None,
    *,
    patient: str | None = None,
    categories: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Views:
    """Bring tables to the same columns and codes.

    Parameters
    ----------
    real, synthetic, holdout : pyarrow.Table
        The tables; columns may come in any order.
    patient : str or None
        The column that says whose record it is. Not compared.
    categories : sequence of str
        Columns to compare as categories although they hold numbers.
    leave_out : sequence of str
        Columns not to compare; tables may lack them.

    Raises
    ------
    InputError
        If a table is empty, lacks a column, has one too many, or holds another kind of value,
        or if a patient is in both the real and the held-out table.
    """
    tables = {"real": real, "synthetic": synthetic}
    if holdout is not None:
        tables["held-out"] = holdout
    skipped = {*leave_out, patient}
    names = [name for name in real.column_names if name not in skipped]
    _check_columns(tables, names, skipped, patient)
    if patient is not None and holdout is not None:
        _check_patients(real.column(patient), holdout.column(patient), patient)
    columns, values = [], []
    for name in names:
        chunks = [table.column(name) for table in tables.values()]
        column, numbers = _column(name, chunks, list(tables), name in categories)
        columns.append(column)
        values.append(numbers)
    views = []
    for i, table in enumerate(tables.values()):
        matrix = np.empty((table.num_rows, len(names)), order="F")
        for j, numbers in enumerate(values):
            matrix[:, j] = numbers[i]
        views.append(View(matrix, _patients(table, patient)))
    return Views(
        columns=tuple(columns),
        real=views[0],
        synthetic=views[1],
        holdout=views[2] if holdout is not None else None,
        grouped=patient is not None,
    )


def _check_columns(
    tables: dict[str, pa.Table], names: list[str], skipped: set[str | None], patient: str | None
) -> None:
    wanted = names if patient is None else [*names, patient]
    for which, table in tables.items():
        if table.num_rows == 0:
            raise InputError(f"the {which} table has no rows", hint="give a table with records")
        lacking = [name for name in wanted if name not in table.column_names]
        if lacking:
            raise InputError(
                f"the {which} table lacks {_listed(lacking)} of the real table",
                hint="compare tables with the same columns, or drop the column from the real one",
            )
        extra = [n for n in table.column_names if n not in names and n not in skipped]
        if extra:
            raise InputError(
                f"the {which} table has {_listed(extra)}, which the real table lacks",
                hint="compare tables with the same columns",
            )
    if not names:
        raise InputError(
            "no column is left to compare", hint="give tables with more than ids and free text"
        )


def _listed(names: list[str]) -> str:
    first = ", ".join(shown(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"the column{'s' if len(names) > 1 else ''} {first}{more}"


def _sort_of(dtype: pa.DataType) -> str:
    if isinstance(dtype, pa.DictionaryType):
        return _sort_of(dtype.value_type)
    if pa.types.is_null(dtype):
        return "null"
    if pa.types.is_boolean(dtype):
        return "booleans"
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "numbers"
    if pa.types.is_date(dtype) or pa.types.is_timestamp(dtype):
        return "dates"
    if pa.types.is_duration(dtype) or pa.types.is_time(dtype):
        return "durations"
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or str(dtype) == "string_view":
        return "text"
    return "other"


def _column(
    name: str, chunks: list[pa.ChunkedArray], which: list[str], as_category: bool
) -> tuple[Compared, list[NDArray[np.float64]]]:
    sorts = [_sort_of(chunk.type) for chunk in chunks]
    known = [sort for sort in sorts if sort != "null"]
    if "other" in known:
        raise InputError(
            f"column {shown(name)} holds nested or binary values, which cannot be compared",
            hint="drop the column from every table",
        )
    for sort, table in zip(sorts, which, strict=True):
        if sort != "null" and sort != known[0]:
            raise InputError(
                f"column {shown(name)} holds {known[0]} in one table and {sort} in the {table} one",
                hint="write both tables with the same column types",
            )
    if not known:
        return Compared(name, "category", ()), [np.full(len(c), np.nan) for c in chunks]
    if known[0] in ("text", "booleans"):
        levels, codes = _codes([_strings(chunk) for chunk in chunks])
        return Compared(name, "category", levels), codes
    numbers = [_numbers(chunk) for chunk in chunks]
    if as_category and known[0] == "numbers":
        texts = [pa.chunked_array([_number_labels(values)]) for values in numbers]
        levels, codes = _codes(texts)
        return Compared(name, "category", levels), codes
    return Compared(name, "date" if known[0] == "dates" else "number", ()), numbers


def _strings(chunk: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(chunk.type, pa.DictionaryType):
        chunk = pc.cast(chunk, chunk.type.value_type)
    return pc.cast(chunk, pa.large_string())


def _number_labels(values: NDArray[np.float64]) -> pa.Array:
    distinct, inverse = np.unique(values, return_inverse=True)
    labels = pa.array([None if np.isnan(v) else f"{v:.12g}" for v in distinct], pa.large_string())
    return labels.take(pa.array(inverse))


def _numbers(chunk: pa.ChunkedArray) -> NDArray[np.float64]:
    """Turn numbers, dates (days) or durations (seconds) into floats, null into nan."""
    dtype = chunk.type
    if isinstance(dtype, pa.DictionaryType):
        chunk, dtype = pc.cast(chunk, dtype.value_type), dtype.value_type
    scale = 1.0
    if pa.types.is_date32(dtype):
        chunk = pc.cast(chunk, pa.int32())
    elif pa.types.is_date64(dtype):
        chunk, scale = pc.cast(chunk, pa.int64()), SECONDS_A_DAY * 1e3
    elif pa.types.is_timestamp(dtype):
        chunk, scale = pc.cast(chunk, pa.int64()), SECONDS_A_DAY * PER_SECOND[dtype.unit]
    elif pa.types.is_time32(dtype):
        chunk, scale = pc.cast(chunk, pa.int32()), PER_SECOND[dtype.unit]
    elif pa.types.is_time64(dtype) or pa.types.is_duration(dtype):
        chunk, scale = pc.cast(chunk, pa.int64()), PER_SECOND[dtype.unit]
    values = pc.cast(chunk, pa.float64(), safe=False)
    numbers = pc.fill_null(values, float("nan")).to_numpy()
    return numbers / scale


def _codes(
    chunks: list[pa.ChunkedArray],
) -> tuple[tuple[str, ...], list[NDArray[np.float64]]]:
    """Code the levels of all tables, from the commonest in the first table down."""
    pooled = pa.chunked_array([part for chunk in chunks for part in chunk.chunks], chunks[0].type)
    encoded = pooled.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    labels = np.asarray(encoded.dictionary.to_pylist(), dtype=object)
    indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    first = indices[: len(chunks[0])]
    counts = np.bincount(first[first >= 0], minlength=len(labels))
    order = np.lexsort((labels.astype(str), -counts))
    rank = np.empty(len(labels) + 1)
    rank[order] = np.arange(len(labels))
    rank[-1] = np.nan
    codes = rank[indices]
    ends = np.cumsum([len(chunk) for chunk in chunks])[:-1]
    return tuple(str(label) for label in labels[order]), np.split(codes, ends)


def _check_patients(real: pa.ChunkedArray, holdout: pa.ChunkedArray, patient: str) -> None:
    known, seen = (pc.cast(ids, pa.large_string()).unique() for ids in (real, holdout))
    shared = len(set(seen.to_pylist()) & set(known.to_pylist()))
    if shared:
        raise InputError(
            f"{shared} of {len(seen)} held-out patients have records in the real table too",
            hint=f"hold whole patients out, by column {shown(patient)}",
        )


def _patients(table: pa.Table, patient: str | None) -> NDArray[np.int64]:
    if patient is None:
        return np.arange(table.num_rows, dtype=np.int64)
    column = table.column(patient)
    if column.null_count:
        raise InputError(
            f"the patient column {shown(patient)} has {column.null_count} nulls",
            hint="every record needs a patient; drop those records",
        )
    if isinstance(column.type, pa.DictionaryType):
        column = pc.cast(column, column.type.value_type)
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
