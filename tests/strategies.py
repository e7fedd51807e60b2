"""Hypothesis strategies for arbitrary tables, over all Arrow and pandas types a table can have.

Hypothesis draws the outline (types, kinds, lengths, shares, a seed) and NumPy fills it in, so
that whole tables are cheap and still shrink to small ones.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from hypothesis import strategies as st
from numpy.typing import NDArray

from synthehr.schema.column import Column
from synthehr.schema.table import Schema

UNITS = ("s", "ms", "us", "ns")
NAMES = ("age", "sex", "", " ", "a b", "é", "=1+1", "<b>", "x\n", "日本", "id", "0", "null", "a.1")
WORDS = (
    "",
    " ",
    "a",
    "A",
    "NA",
    "null",
    "0012",
    "=1+1",
    "<script>",
    "naïve",
    "日本",
    "_RARE_",
    "x" * 300,
)
SHAPES = ("few", "many", "grid", "spread", "extreme", "constant")

NUMERIC_TYPES: tuple[pa.DataType, ...] = (
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal128(9, 2), pa.decimal128(38, 9), pa.decimal128(18, -2), pa.decimal256(50, 3)),
    *(pa.decimal32(7, 1), pa.decimal64(16, 4)),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(pa.timestamp(unit) for unit in UNITS),
    *(pa.timestamp("us", tz="Europe/Paris"), pa.timestamp("ns", tz="UTC")),
    *(pa.duration(unit) for unit in UNITS),
)
LEVEL_TYPES: tuple[pa.DataType, ...] = (
    *(pa.bool_(), pa.string(), pa.large_string()),
    *(pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.string(), ordered=True)),
    *(pa.dictionary(pa.int16(), pa.int64()), pa.dictionary(pa.int8(), pa.bool_())),
)


class Drawn(NamedTuple):
    """A table, its schema, and whose each record is (None: each record is a patient)."""

    table: pa.Table
    schema: Schema
    patients: NDArray[np.int64] | None


def arrow_types() -> st.SearchStrategy[pa.DataType]:
    """All types that can be modelled, and the null type."""
    return st.sampled_from((*NUMERIC_TYPES, *LEVEL_TYPES, pa.null()))


@st.composite
def arrays(draw: st.DrawFn, n: int, data_type: pa.DataType) -> pa.ChunkedArray:
    """A column of n cells in one or two chunks, with or without nulls."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.sampled_from(SHAPES))
    share = draw(st.sampled_from((0.0, 0.0, 0.02, 0.5, 1.0)))
    array = filled(data_type, n, shape, share, rng)
    at = draw(st.integers(0, n)) if draw(st.booleans()) else 0
    chunks = [array] if at == 0 else [array.slice(0, at), array.slice(at)]
    return pa.chunked_array(chunks, type=data_type)


@st.composite
def tables(
    draw: st.DrawFn, *, min_rows: int = 1, max_rows: int = 120, max_columns: int = 6
) -> Drawn:
    """A table with a schema in which every column has a kind that its type allows."""
    n = draw(st.integers(min_rows, max_rows))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=max_columns, unique=True))
    data_types = [draw(arrow_types()) for _ in names]
    cells = [draw(arrays(n, data_type)) for data_type in data_types]
    kinds = [draw(st.sampled_from(kinds_of(data_type))) for data_type in data_types]
    columns = [
        Column(
            name=name,
            kind=kind,
            role="drop" if kind == "text" else "feature",
            arrow_type=str(data_type),
            nullable=array.null_count > 0,
        )
        for name, data_type, kind, array in zip(names, data_types, kinds, cells, strict=True)
    ]
    patients = None
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        patients = rng.integers(0, draw(st.integers(1, n)), n)
        if draw(st.booleans()) and "pid" not in names:
            names.append("pid")
            cells.append(pa.chunked_array([pa.array([f"P{each:05d}" for each in patients])]))
            columns.append(Column(name="pid", kind="id", role="patient", arrow_type="string"))
    return Drawn(pa.table(cells, names=names), Schema(tuple(columns)), patients)


@st.composite
def frames(draw: st.DrawFn, *, min_rows: int = 1, max_rows: int = 200) -> pd.DataFrame:
    """A pandas table with columns of many dtypes and a default index."""
    n = draw(st.integers(min_rows, max_rows))
    dtypes = draw(st.lists(st.sampled_from(sorted(_PANDAS)), min_size=1, max_size=6, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return pd.DataFrame({dtype: _PANDAS[dtype](n, rng) for dtype in dtypes})


def kinds_of(data_type: pa.DataType) -> tuple[Any, ...]:
    """The kinds that a column of this type may be declared as."""
    if pa.types.is_null(data_type):
        return ("constant", "categorical", "numeric")
    if pa.types.is_boolean(data_type):
        return ("boolean", "categorical")
    if pa.types.is_dictionary(data_type):
        return ("categorical", "ordinal", "constant")
    if pa.types.is_date(data_type):
        return ("date", "categorical", "constant")
    if pa.types.is_timestamp(data_type):
        return ("datetime", "categorical")
    if pa.types.is_time(data_type) or pa.types.is_duration(data_type):
        return ("duration", "ordinal")
    if data_type in NUMERIC_TYPES:
        return ("numeric", "integer", "categorical", "ordinal", "id", "constant")
    return ("categorical", "ordinal", "id", "text", "constant")


def filled(
    data_type: pa.DataType, n: int, shape: str, null_share: float, rng: np.random.Generator
) -> pa.Array:
    """Fill n cells of a type: few levels, many, on a grid, spread, at the ends, or all equal."""
    mask = rng.random(n) < null_share
    if pa.types.is_null(data_type):
        return pa.nulls(n)
    if pa.types.is_dictionary(data_type):
        size = 1 if shape == "constant" else 100 if shape in ("many", "spread") else 4
        values = filled(data_type.value_type, size, shape, 0.0, rng).unique()
        index = pa.array(rng.integers(0, len(values), n), data_type.index_type, mask=mask)
        return pa.DictionaryArray.from_arrays(index, values, ordered=data_type.ordered)
    if pa.types.is_boolean(data_type):
        return pa.array(rng.random(n) < (1.0 if shape == "constant" else 0.3), mask=mask)
    if pa.types.is_string(data_type) or pa.types.is_large_string(data_type):
        words = np.array([*WORDS, *(f"code {number}" for number in range(400))], dtype=object)
        size = {"constant": 1, "few": 4, "many": 400}.get(shape, len(WORDS))
        return pa.array(words[rng.integers(0, size, n)], data_type, mask=mask)
    if pa.types.is_floating(data_type):
        return pa.array(_floats(n, shape, data_type.to_pandas_dtype(), rng), data_type, mask=mask)
    return _integers(data_type, n, shape, mask, rng)


def _floats(n: int, shape: str, float_type: Any, rng: np.random.Generator) -> NDArray[Any]:
    limits = np.finfo(float_type)
    if shape == "constant":
        return np.full(n, 36.6, dtype=float_type)
    if shape == "few":
        return rng.choice([0.0, -0.0, 0.1, 7.5], n).astype(float_type)
    if shape == "grid":
        return (rng.integers(-300, 900, n) / 10).astype(float_type)
    if shape == "extreme":
        ends = [limits.max, -limits.max, limits.smallest_subnormal, limits.tiny, 0.0, 1.0]
        return rng.choice(np.array(ends, dtype=float_type), n)
    return (rng.normal(size=n) * (1.0 if shape == "many" else 1e3)).astype(float_type)


def _integers(
    data_type: pa.DataType, n: int, shape: str, mask: NDArray[np.bool_], rng: np.random.Generator
) -> pa.Array:
    low, high, unit = _range(data_type)
    if shape == "constant":
        numbers = np.full(n, min(high, 7))
    elif shape == "few":
        numbers = rng.choice([0, 1, min(high, 99)], n)
    elif shape == "extreme":
        numbers = rng.choice(np.array([low, low + 1, 0, high - 1, high], dtype=object), n)
    elif shape == "grid":
        numbers = rng.integers(0, 12, n) * 10
    else:
        spread = (high - low) // (1 if shape == "spread" else 10**3)
        numbers = rng.integers(0, max(spread, 1), n, dtype=np.uint64).astype(object) + low
    numbers = [
        None if gone else int(number) * unit for number, gone in zip(numbers, mask, strict=True)
    ]
    if pa.types.is_decimal(data_type):
        cells = [
            None if number is None else Decimal(number).scaleb(-data_type.scale)
            for number in numbers
        ]
        return pa.array(cells, data_type)
    if pa.types.is_integer(data_type):
        return pa.array(numbers, data_type)
    storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
    return pa.array(numbers, storage).view(data_type)


def _range(data_type: pa.DataType) -> tuple[int, int, int]:
    """Smallest and largest number of a type, and the unit it is counted in."""
    if pa.types.is_integer(data_type):
        limits = np.iinfo(data_type.to_pandas_dtype())
        return int(limits.min), int(limits.max), 1
    if pa.types.is_decimal(data_type):
        most = 10 ** min(data_type.precision, 18) - 1
        return -most, most, 1
    if pa.types.is_time(data_type):
        return 0, 86_400 * 1000 ** UNITS.index(data_type.unit) - 1, 1
    if pa.types.is_date32(data_type):
        return -700_000, 2_900_000, 1
    if pa.types.is_date64(data_type):
        return -700_000, 2_900_000, 86_400_000
    per_second = 1000 ** UNITS.index(data_type.unit)
    return -9_000_000_000 * per_second, 9_000_000_000 * per_second, 1


def _with_nulls(values: Any, dtype: str, rng: np.random.Generator) -> pd.Series:
    series = pd.Series(values).astype(dtype)
    return series.mask(rng.random(len(series)) < 0.2)


def _days(n: int, rng: np.random.Generator) -> NDArray[Any]:
    return np.datetime64("2019-01-01") + rng.integers(0, 900, n).astype("timedelta64[D]")


_PANDAS: dict[str, Any] = {
    **{
        dtype: lambda n, rng, dtype=dtype: pd.Series(rng.integers(0, 90, n)).astype(dtype)
        for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
    },
    **{
        dtype: lambda n, rng, dtype=dtype: _with_nulls(rng.integers(0, 90, n), dtype, rng)
        for dtype in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
    },
    **{
        dtype: lambda n, rng, dtype=dtype: _with_nulls(rng.normal(size=n), dtype, rng)
        for dtype in ("float32", "float64", "Float32", "Float64", "double[pyarrow]")
    },
    "bool": lambda n, rng: pd.Series(rng.random(n) < 0.4),
    "boolean": lambda n, rng: _with_nulls(rng.random(n) < 0.4, "boolean", rng),
    "object": lambda n, rng: pd.Series(rng.choice(["a", "b", "c"], n), dtype=object),
    "string": lambda n, rng: _with_nulls(rng.choice(["a", "b", "c"], n), "string", rng),
    "category": lambda n, rng: pd.Series(
        pd.Categorical(rng.choice(["a", "b"], n), categories=["b", "unused", "a"])
    ),
    "ordered": lambda n, rng: pd.Series(
        pd.Categorical(rng.choice(["low", "high"], n), ["low", "mid", "high"], ordered=True)
    ),
    "datetime64[ns]": lambda n, rng: pd.Series(_days(n, rng).astype("datetime64[ns]")),
    "datetime64[s]": lambda n, rng: pd.Series(_days(n, rng).astype("datetime64[s]")),
    "datetime64[ns, tz]": lambda n, rng: pd.Series(
        _days(n, rng).astype("datetime64[ns]")
    ).dt.tz_localize("Europe/Paris"),
    "timedelta64[ns]": lambda n, rng: pd.Series(rng.integers(0, 90, n).astype("timedelta64[m]")),
    "date objects": lambda n, rng: pd.Series(
        [dt.date(2020, 1, 1) + dt.timedelta(int(day)) for day in rng.integers(0, 90, n)]
    ),
    "decimal objects": lambda n, rng: pd.Series(
        [Decimal(int(cents)).scaleb(-2) for cents in rng.integers(0, 9000, n)]
    ),
}
