"""Tables in and out: Parquet, CSV, Arrow, pandas, polars; whole or not at all."""

from __future__ import annotations

from synthehr.io.atomic import check_target, replacing, write_bytes, write_text
from synthehr.io.pandas_types import to_pandas
from synthehr.io.source import Overview, Source, overview, read
from synthehr.io.write import write_table

__all__ = [
    "Overview",
    "Source",
    "check_target",
    "overview",
    "read",
    "replacing",
    "to_pandas",
    "write_bytes",
    "write_table",
    "write_text",
]
