"""Tables in and out: Parquet, CSV, Arrow, pandas, polars; whole or not at all."""

from __future__ import annotations

from synthehr.io.atomic import check_target, replacing, write_bytes, write_text
from synthehr.io.frames import Shape, as_shape, shape_of
from synthehr.io.pandas_types import to_pandas
from synthehr.io.source import Overview, Source, overview, read
from synthehr.io.write import write_table

__all__ = [
    "Overview",
    "Shape",
    "Source",
    "as_shape",
    "check_target",
    "overview",
    "read",
    "replacing",
    "shape_of",
    "to_pandas",
    "write_bytes",
    "write_table",
    "write_text",
]
