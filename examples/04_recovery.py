"""Try to read the training rows out of a model file.

A saved CTGAN (0.12.1) keeps, for every category of every column, the numbers of the rows
that hold it: whoever has the file has the categorical values of every patient. The attack
below looks for such lists in everything that a model holds, whatever it is called.

    python examples/04_recovery.py            # ours: 0 of 400 rows
    python examples/04_recovery.py --ctgan    # needs `pip install ctgan`: 400 of 400 rows
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from synthehr import Synthesizer
from synthehr.artifact import read_metadata
from synthehr.demo import simulate

COLUMNS = ["sex", "smoker", "site"]


def whole_numbers(held: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """Yield every array and list of whole numbers inside an object, however deep."""
    if id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, np.ndarray) or hasattr(held, "detach"):
        array = np.asarray(held if isinstance(held, np.ndarray) else held.detach())
        if array.dtype.kind in "iu":
            yield array.ravel()
        elif array.dtype == object:
            yield from whole_numbers(array.tolist(), seen)
    elif isinstance(held, dict):
        for value in held.values():
            yield from whole_numbers(value, seen)
    elif isinstance(held, (list, tuple, set)):
        if held and all(isinstance(each, int) for each in held):
            yield np.array(list(held))
        for value in held:
            yield from whole_numbers(value, seen)
    elif hasattr(held, "__dict__"):
        yield from whole_numbers(vars(held), seen)


def recovered(held: Any, table: pd.DataFrame) -> int:
    """Count the rows of which every categorical value can be read off lists of row numbers."""
    lists = {frozenset(array.tolist()) for array in whole_numbers(held, set())}
    known = np.ones(len(table), dtype=bool)
    for name in COLUMNS:
        of_column = np.zeros(len(table), dtype=bool)
        for rows in table.groupby(name, observed=True).indices.values():
            if frozenset(rows.tolist()) in lists:
                of_column[rows] = True
        known &= of_column
    return int(known.sum())


def ours(table: pd.DataFrame) -> dict[str, Any]:
    """Fit, save, and read back everything that is in the file."""
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ours.synthehr"
        Synthesizer(seed=1, settings={"train": {"steps": 50}}).fit(table).save(path)
        return {"tensors": load_file(path), "text": read_metadata(path).content}


def ctgan(table: pd.DataFrame) -> Any:
    """Fit, save and load a CTGAN."""
    library = import_module("ctgan")
    model = library.CTGAN(epochs=1)
    model.fit(table, COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/ctgan.pkl")
        return library.CTGAN.load(f"{folder}/ctgan.pkl")


def main() -> None:
    visits = simulate(600, 0).to_pandas()
    table = visits[[*COLUMNS, "age"]].dropna().head(400).reset_index(drop=True)
    name, make = ("CTGAN", ctgan) if "--ctgan" in sys.argv else ("synthehr", ours)
    found = recovered(make(table), table)
    print(f"{name}: all categorical values of {found} of {len(table)} rows recovered")


if __name__ == "__main__":
    main()
