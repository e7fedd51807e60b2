"""Halve a data set with a rare class for the suite of rebalancing.

    python rebalance_sets.py DATA TRAIN.parquet TEST.parquet --seed 3 --shared ../shared/data

The column `rare` says who is in the rare class; what it was made of, and what is told about a
patient only after the diagnosis, is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

MOST_ROWS = 10_000


class RareClass(NamedTuple):
    """Which level of which column is the rare class, and which columns go."""

    column: str
    level: object
    leave_out: tuple[str, ...] = ()


SETS = {
    "stroke": RareClass("stroke", 1, ("id",)),
    "thyroid": RareClass("target", "F", ("patient_id",)),
    "hypothyroid": RareClass("Class", "primary_hypothyroid"),
    "cervical_cancer": RareClass("Biopsy", 1, ("Hinselmann", "Schiller", "Citology")),
    "diabetes130": RareClass("readmitted", "<30", ("encounter_id", "patient_nbr")),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", choices=SETS)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--shared", type=Path, required=True)
    options = parser.parse_args()
    rare = SETS[options.data]
    table = pd.read_parquet(options.shared / options.data / f"{options.data}.parquet")
    if options.data == "diabetes130":
        # a patient's first stay, so that no patient is on both sides
        table = table.drop_duplicates("patient_nbr")
    table = table.sample(min(len(table), MOST_ROWS), random_state=0).reset_index(drop=True)
    label = table[rare.column] == rare.level
    table = table.drop(columns=[rare.column, *rare.leave_out])
    table = table.loc[:, table.nunique(dropna=False) > 1]
    table["rare"] = np.where(label, "yes", "no")
    repetition, half = divmod(options.seed, 2)
    rng = np.random.default_rng(repetition)
    first = np.zeros(len(table), dtype=bool)
    for level in ("yes", "no"):
        rows = rng.permutation(np.flatnonzero(table["rare"] == level))
        first[rows[: len(rows) // 2]] = True
    halves = (table[first], table[~first])
    halves[half].to_parquet(options.train, index=False)
    halves[1 - half].to_parquet(options.test, index=False)


if __name__ == "__main__":
    main()
