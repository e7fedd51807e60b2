"""Declare bounds and levels of a public data set in a schema, for benchmarks only.

    python public.py IN.json OUT.json TABLE.parquet [TABLE.parquet …]

Whoever does this with patients' records gives up what differential privacy promises: bounds and
levels have to be known without them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from synthehr.encode.axis import combined, to_axis

NUMBERS = ("numeric", "integer", "duration", "date", "datetime")
LEVELS = ("categorical", "ordinal", "constant")


def declared(schema: dict[str, Any], tables: Sequence[pa.Table]) -> dict[str, Any]:
    """Put the bounds and levels that all tables hold together into a schema's JSON."""
    columns = []
    for column in schema["columns"]:
        cells = [table[column["name"]] for table in tables]
        public: dict[str, Any] = {}
        if column["kind"] in NUMBERS:
            axes = [to_axis(combined(some), column["name"]) for some in cells]
            held = [axis.values[axis.valid] for axis in axes if axis.valid.any()]
            low, high = min(each.min() for each in held), max(each.max() for each in held)
            public["bounds"] = [float(low), float(high)]
        elif column["kind"] in LEVELS and not column.get("levels"):
            held = {value for some in cells for value in some.unique().to_pylist()}
            public["levels"] = sorted(held - {None})
        columns.append(column | public)
    return schema | {"columns": columns}


def main(arguments: Sequence[str]) -> None:
    inferred, target, *tables = map(Path, arguments)
    whole = declared(json.loads(inferred.read_text()), [pq.read_table(path) for path in tables])
    target.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
