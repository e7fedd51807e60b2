"""Write a table with cells taken away; see `masks.py`.

python make_holes.py TABLE.parquet HOLES.parquet --kind mar --share 0.3 --keep TARGET
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from masks import KINDS, holes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", default=None)
    options = parser.parse_args()
    table = pd.read_parquet(options.table)
    rng = np.random.default_rng(options.seed)
    chosen = holes(table, options.kind, options.share, rng, keep=options.keep)
    table.convert_dtypes().mask(chosen).to_parquet(options.output)


if __name__ == "__main__":
    main()
