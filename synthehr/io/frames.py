"""Tables that are in memory already: pandas, polars, pyarrow, and what narwhals knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.io.pandas_types import (
    dtype_text,
    index_from_metadata,
    to_pandas,
    types_from_metadata,
)
from synthehr.schema.column import shown

if TYPE_CHECKING:
    import pandas as pd


Shape = Literal["pandas", "polars", "pyarrow"]
"""The library of a table that is given or given back."""


class Loaded(NamedTuple):
    """A table before it is tidied: its pandas dtypes if any, and what was noticed."""

    table: pa.Table
    pandas_types: dict[str, str] | None
    warnings: list[str]


def shape_of(data: Any) -> Shape:
    """Tell the library of a table; pandas for paths and all others."""
    package = type(data).__module__.partition(".")[0]
    return package if package in ("polars", "pyarrow") else "pandas"


def as_shape(table: pa.Table, shape: Shape, pandas_types: Mapping[str, str] | None) -> Any:
    """Give a table as one of that library, with its pandas dtypes where it is pandas."""
    if shape == "pyarrow":
        return table
    if shape == "polars":
        import polars

        return polars.from_arrow(table)
    return to_pandas(table, pandas_types)


def from_arrow(table: pa.Table) -> Loaded:
    """Take a table over; a stored pandas index is left out, and its dtypes are kept."""
    warnings = []
    index = index_from_metadata(table.schema)
    if index:
        warnings.append(_index_left_out(index))
    types = types_from_metadata(table.schema)
    table = table.select([i for i, name in enumerate(table.column_names) if name not in index])
    return Loaded(table.replace_schema_metadata(None), types, warnings)


def from_frame(source: Any) -> Loaded:
    """Turn a data frame of any library into a table.

    Raises
    ------
    InputError
        If it is no data frame, or a column cannot be represented.
    """
    if isinstance(source, pa.Table):
        return from_arrow(source)
    if isinstance(source, pa.RecordBatch):
        return from_arrow(pa.Table.from_batches([source]))
    if isinstance(source, pa.RecordBatchReader):
        return from_arrow(source.read_all())
    import narwhals as nw

    if nw.dependencies.is_pandas_dataframe(source):
        return from_pandas(source)
    try:
        frame = nw.from_native(source)
        frame = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
        table = frame.to_arrow()
    except TypeError:
        raise InputError(
            f"an object of type {type(source).__name__} is no table",
            hint="Give a path, or a table of pandas, polars or pyarrow.",
        ) from None
    except Exception as error:  # each library has its own exceptions, and some print cells
        raise InputError(
            f"the {type(source).__name__} could not be converted ({type(error).__name__})",
            hint="Convert it to a pyarrow table, or save it as Parquet.",
        ) from None
    return from_arrow(table)


def from_pandas(frame: pd.DataFrame) -> Loaded:
    """Turn a pandas DataFrame into a table, column by column, with its dtypes as text.

    Raises
    ------
    InputError
        If the labels are not single names, or a column cannot be represented.
    """
    import pandas as pd

    warnings: list[str] = []
    if isinstance(frame.columns, pd.MultiIndex) or any(isinstance(x, tuple) for x in frame.columns):
        raise InputError(
            "the column labels have several levels",
            hint="Flatten them, for instance with df.columns.map('_'.join).",
        )
    names = [str(label) for label in frame.columns]
    renamed = sum(not isinstance(label, str) for label in frame.columns)
    if renamed:
        warnings.append(f"{renamed} column labels are not text; they were turned into text.")
    if not _is_plain(frame.index):
        warnings.append(_index_left_out([str(x) for x in frame.index.names if x is not None]))
    arrays = []
    types: list[str] = []
    for position, name in enumerate(names):
        series = frame.iloc[:, position]
        if isinstance(series.dtype, pd.SparseDtype):
            series = series.sparse.to_dense()
            warnings.append(f"column {shown(name)} is sparse; it was made dense.")
        arrays.append(_array(series, name, warnings))
        types.append(dtype_text(series.dtype))
    table = pa.Table.from_arrays(arrays, names=names)
    return Loaded(table, dict(zip(names, types, strict=True)), warnings)


def _is_plain(index: pd.Index) -> bool:
    import pandas as pd

    if any(name is not None for name in index.names):
        return False
    # Filtered and shuffled frames keep unnamed integers, which mean nothing.
    return isinstance(index, pd.RangeIndex) or pd.api.types.is_integer_dtype(index.dtype)


def _array(series: pd.Series, name: str, warnings: list[str]) -> pa.Array | pa.ChunkedArray:
    import pandas as pd

    dtype = series.dtype
    inner = dtype.categories.dtype if isinstance(dtype, pd.CategoricalDtype) else dtype
    if isinstance(inner, pd.PeriodDtype | pd.IntervalDtype) or getattr(inner, "kind", "") in "cV":
        raise InputError(
            f"column {shown(name)} has the dtype {type(inner).__name__ or inner}",
            hint="Convert it before, to text, numbers or dates.",
        )
    if pd.api.types.is_object_dtype(dtype):
        series = _one_type(series, name, warnings)
    try:
        return pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _mixed(series, name) from None


def _one_type(series: pd.Series, name: str, warnings: list[str]) -> pd.Series:
    """Refuse a column of Python objects that are not of one type."""
    import pandas as pd

    found = pd.api.types.infer_dtype(series, skipna=True)
    if found in ("mixed-integer", "mixed", "complex", "period", "interval", "unknown-array"):
        kinds = {type(cell) for cell in series[series.notna()]}
        if len(kinds) != 1 or found not in ("mixed", "unknown-array"):
            raise _mixed(series, name)
    if found == "datetime":
        return _one_zone(series, name, warnings)
    return series


def _one_zone(series: pd.Series, name: str, warnings: list[str]) -> pd.Series:
    import pandas as pd

    cells = series[series.notna()]
    zones = {cell.tzinfo for cell in cells}
    if len(zones) <= 1:
        return series
    naive = sum(cell.tzinfo is None for cell in cells)
    told = f", {naive} times without a zone were taken as UTC" if naive else ""
    warnings.append(f"column {shown(name)} mixes time zones; it was turned into UTC{told}.")
    return pd.Series(pd.to_datetime(series, utc=True))


def _mixed(series: pd.Series, name: str) -> InputError:
    cells = series[series.notna()]
    counts = Counter(type(cell).__name__ for cell in cells)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.most_common(5))
    return InputError(
        f"column {shown(name)} mixes cells of different types ({told})",
        hint="Convert it to one type before, for instance with .astype('string').",
    )


def _index_left_out(names: Any) -> str:
    told = ", ".join(shown(name) for name in names)
    told = f" ({told})" if told else ""
    return f"the table's index{told} is not read; call reset_index() first to keep it as a column."
