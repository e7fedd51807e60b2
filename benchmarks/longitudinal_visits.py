"""Visits as the suite of visits reads them: sorted, time as a number.

    python longitudinal_visits.py TRAIN.parquet SYNTHETIC.parquet

writes SYNTHETIC anew with the dtypes of TRAIN: the scorer compares levels by how they are spelled,
so that a rival who gives 1.0 for 1 would lose for it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

FEW = 8
"""Numbers with as many values or fewer are levels, as `score_seq.py` has it."""


class Keys(NamedTuple):
    """The columns of the patient and of the time."""

    patient: str
    time: str

    @classmethod
    def of(cls, split: Path) -> Keys:
        """Read what `split_seq.py` and `longitudinal_sets.py` write beside a split."""
        patient, time = (split / "keys").read_text().split()
        return cls(patient, time)


def read_visits(path: Path, keys: Keys) -> pd.DataFrame:
    """Visits by patient and time; times are days where they are dates."""
    return ordered(pd.read_parquet(path), keys)


def ordered(frame: pd.DataFrame, keys: Keys) -> pd.DataFrame:
    """Sort visits by patient and time, with time and numbers as plain floats."""
    made = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            made[name] = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        elif pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            made[name] = column.astype("Float64").astype(float)
        else:
            made[name] = column
    plain = pd.DataFrame(made)
    return plain.sort_values([keys.patient, keys.time], kind="stable").reset_index(drop=True)


def alike(made: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Give synthetic columns the dtypes of the training ones, where no value changes by it."""
    found = made.copy()
    for name in made.columns:
        kind, cells = train[name].dtype, made[name]
        if pd.api.types.is_bool_dtype(kind):
            texts = cells.astype("string").str.lower()
            whole = texts.map({"true": True, "false": False, "1": True, "0": False})
            found[name] = (
                whole.astype("boolean")
                if int(whole.notna().sum()) == int(cells.notna().sum())
                else cells
            )
        elif pd.api.types.is_integer_dtype(kind) and pd.api.types.is_numeric_dtype(cells):
            numbers = cells.astype("Float64")
            fits = int((numbers.dropna() % 1).astype(bool).sum()) == 0
            found[name] = numbers.astype("Int64") if fits else cells
        elif pd.api.types.is_float_dtype(kind) and pd.api.types.is_numeric_dtype(cells):
            found[name] = cells.astype("Float64").astype("float64")
    return found


def static_of(frame: pd.DataFrame, keys: Keys) -> list[str]:
    """Columns that are constant in every patient."""
    most = frame.groupby(keys.patient).nunique(dropna=False).max()
    return [name for name in frame.columns if name not in keys and most[name] == 1]


def numbers_of(frame: pd.DataFrame, keys: Keys) -> list[str]:
    """Columns of which differences mean something."""
    return [
        name
        for name in frame.columns
        if name not in keys
        and pd.api.types.is_float_dtype(frame[name])
        and frame[name].nunique() > FEW
    ]


def main(arguments: list[str]) -> None:
    train, path = map(Path, arguments)
    alike(pd.read_parquet(path), pd.read_parquet(train)).to_parquet(path, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
