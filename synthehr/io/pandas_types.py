"""pandas dtypes as text, and a DataFrame that has them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from synthehr.arrow_types import arrow_type

if TYPE_CHECKING:
    import pandas as pd

_ARROW = "ArrowDtype["
_NULLABLE_INTEGERS = {
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
    "bool": "boolean",
}  # fmt: skip


def dtype_text(dtype: Any) -> str:
    """Write a pandas dtype as text that `to_pandas` understands.

    `str(dtype)` alone does not tell "string" with Python cells from "string" with Arrow
    cells, nor the latter from an ``ArrowDtype`` of text.
    """
    import pandas as pd

    if isinstance(dtype, pd.ArrowDtype):
        return f"{_ARROW}{dtype.pyarrow_dtype}]"
    if isinstance(dtype, pd.StringDtype) and str(dtype) != "str":
        return f"string[{dtype.storage}]"
    return str(dtype)


def types_from_metadata(schema: pa.Schema) -> dict[str, str] | None:
    """Read the pandas dtypes that pandas or pyarrow left in a file's metadata."""
    entries = _metadata(schema).get("columns")
    if not isinstance(entries, list):
        return None
    types: dict[str, str] = {}
    for entry in entries:
        name, dtype = entry.get("field_name"), entry.get("numpy_type")
        if not isinstance(name, str) or not isinstance(dtype, str) or name not in schema.names:
            continue
        data_type = schema.field(name).type
        if entry.get("pandas_type") == "categorical":
            # pandas restores text categories only: Parquet knows no other.
            if pa.types.is_dictionary(data_type):
                types[name] = "category"
        elif dtype.endswith("[pyarrow]") and dtype != "string[pyarrow]":
            types[name] = f"{_ARROW}{dtype.removesuffix('[pyarrow]')}]"
        elif pa.types.is_timestamp(data_type) and dtype.startswith("datetime64"):
            zone = f", {data_type.tz}" if data_type.tz else ""
            types[name] = f"datetime64[{data_type.unit}{zone}]"
        else:
            types[name] = dtype
    return types or None


def index_from_metadata(schema: pa.Schema) -> tuple[str, ...]:
    """Name the columns of a file that were a pandas index."""
    entries = _metadata(schema).get("index_columns")
    entries = entries if isinstance(entries, list) else []
    return tuple(name for name in entries if isinstance(name, str) and name in schema.names)


def metadata_for(schema: pa.Schema, types: Mapping[str, str]) -> dict[bytes, bytes]:
    """Write the metadata by which `pandas.read_parquet` restores these dtypes."""
    import pandas as pd

    columns = []
    for field in schema:
        dtype = types.get(field.name)
        # pandas cannot read back what it calls an Arrow-backed dictionary.
        if dtype is None or dtype.startswith(f"{_ARROW}dictionary"):
            continue
        details = None
        numpy_type = dtype
        pandas_type = str(field.type)
        if dtype == "category":
            details = {"num_categories": None, "ordered": bool(field.type.ordered)}
            pandas_type, numpy_type = "categorical", str(field.type.index_type)
        elif pa.types.is_timestamp(field.type):
            details = {"timezone": field.type.tz} if field.type.tz else None
            pandas_type = "datetimetz" if field.type.tz else "datetime"
            numpy_type = dtype if dtype.startswith(_ARROW) else f"datetime64[{field.type.unit}]"
        if numpy_type.startswith(_ARROW):
            numpy_type = f"{numpy_type[len(_ARROW) : -1]}[pyarrow]"
        columns.append(
            {
                "name": field.name,
                "field_name": field.name,
                "pandas_type": pandas_type,
                "numpy_type": numpy_type,
                "metadata": details,
            }
        )
    content = {
        "index_columns": [],
        "column_indexes": [],
        "columns": columns,
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": pd.__version__,
    }
    return {b"pandas": json.dumps(content).encode()}


def to_pandas(table: pa.Table, pandas_types: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Turn a table into a DataFrame with the dtypes that the fitted one had.

    Columns without a known dtype take pandas' usual one, except that integers and
    booleans with nulls become nullable dtypes: a float would change large integers.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    pandas_types : mapping from column name to text, or None
        As given by `synthehr.io.read`.
    """
    import pandas as pd

    types = pandas_types or {}
    columns = {
        i: _series(table.column(i), types.get(name)) for i, name in enumerate(table.column_names)
    }
    frame = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
    frame.columns = pd.Index(table.column_names, dtype=object)
    return frame


def _series(cells: pa.ChunkedArray, dtype: str | None) -> pd.Series:
    import pandas as pd

    if dtype is None:
        nullable = _NULLABLE_INTEGERS.get(str(cells.type)) if cells.null_count else None
        return _series(cells, nullable) if nullable else cells.to_pandas()
    if dtype.startswith(_ARROW):
        return pd.Series(
            pd.arrays.ArrowExtensionArray(cells.cast(arrow_type(dtype[len(_ARROW) : -1])))
        )
    if dtype == "object":
        return cells.to_pandas(integer_object_nulls=True).astype(object)
    if dtype == "category":
        return cells.to_pandas()
    target: Any = pd.api.types.pandas_dtype(dtype)
    if hasattr(target, "__from_arrow__") and not isinstance(target, pd.DatetimeTZDtype):
        return pd.Series(target.__from_arrow__(cells))
    if cells.null_count and str(target) in _NULLABLE_INTEGERS:
        return _series(cells, _NULLABLE_INTEGERS[str(target)])
    return cells.to_pandas().astype(target)


def _metadata(schema: pa.Schema) -> dict[str, Any]:
    try:
        content = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
