"""The classes of a table, how many patients hold each, and how many records each is to get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import encoded
from synthehr.encode.rare import holders
from synthehr.errors import ConditionError, ConfigError, InputError
from synthehr.kernels import compute
from synthehr.schema.column import nearest, shown

FEWEST = 20
"""Patients that a class needs: of fewer, what is drawn is what these few are like."""
RATIO = 0.5
"""How large a class becomes beside the largest one, where nothing else is asked for."""


@dataclass(frozen=True)
class Classes:
    """Which class each record is in.

    Attributes
    ----------
    levels : Table of K rows
        The combinations of levels of the target columns.
    of_record : ndarray of shape (N,), int64
        Class of each record; -1 where a target is null.
    records, patients : ndarray of shape (K,), int64
        How many of each are in a class.
    """

    levels: pa.Table
    of_record: NDArray[np.int64]
    records: NDArray[np.int64]
    patients: NDArray[np.int64]

    @property
    def names(self) -> list[str]:
        """Name each class by its levels."""
        return [", ".join(map(str, row.values())) for row in self.levels.to_pylist()]


def classes_of(
    table: pa.Table, targets: Sequence[str], patients: NDArray[np.int64] | None
) -> Classes:
    """Tell the classes of a table apart.

    Parameters
    ----------
    table : Table of N rows
        The records.
    targets : sequence of str
        The columns whose levels, together, are the classes.
    patients : ndarray of shape (N,), or None
        Patient of each record; None where each record is one.

    Raises
    ------
    SynthehrError
        A column is not there, or there are not two classes.
    """
    if not targets:
        raise ConfigError("rebalancing needs a target", hint="for example --target diagnosis")
    code, is_null = np.zeros(table.num_rows, dtype=np.int64), np.zeros(table.num_rows, dtype=bool)
    for name in targets:
        if name not in table.column_names:
            raise ConditionError(
                f"the table has no column {shown(name)}",
                hint=nearest(name, tuple(table.column_names)),
            )
        cells = encoded(table[name])
        is_null |= cells.is_null().to_numpy(zero_copy_only=False)
        index = compute.fill_null(cells.indices, 0).to_numpy(zero_copy_only=False)
        code = code * max(len(cells.dictionary), 1) + index
    found, first, of_record = np.unique(code[~is_null], return_index=True, return_inverse=True)
    if len(found) < 2:
        raise InputError(
            f"{len(found)} classes are too few to be balanced", hint="choose another --target"
        )
    everyone = np.full(table.num_rows, -1, dtype=np.int64)
    everyone[~is_null] = of_record
    held = np.bincount(of_record)
    who = None if patients is None else patients[~is_null]
    levels = table.select(list(targets)).take(np.flatnonzero(~is_null)[first])
    return Classes(levels, everyone, held, holders(of_record, len(found), who))


def to_add(classes: Classes, to: float | Mapping[str, float]) -> NDArray[np.int64]:
    """Count the records that each class is to get.

    Parameters
    ----------
    classes : Classes
        The classes.
    to : float, or mapping from the name of a class
        How large every class, or these, shall be beside the largest; above 1 it is a number
        of records.

    Returns
    -------
    ndarray of shape (K,), int64
        0 for classes that are large enough.

    Raises
    ------
    ConfigError
        A number is not above 0, or a class is not there.
    """
    wanted: Mapping[str, float] = (
        to if isinstance(to, Mapping) else dict.fromkeys(classes.names, to)
    )
    added = np.zeros(len(classes.records), dtype=np.int64)
    for name, size in wanted.items():
        if name not in classes.names:
            raise ConfigError(
                "a class of --to is not there",
                hint=f"the target has {len(classes.names)} classes; write them as the table does",
            )
        if not 0 < size < np.inf:
            raise ConfigError("sizes in --to must be above 0", hint="for example --to 0.5")
        place = classes.names.index(name)
        goal = size * classes.records.max() if size <= 1 else size
        added[place] = max(0, round(goal) - int(classes.records[place]))
    return added


def refuse_few(classes: Classes, added: NDArray[np.int64]) -> None:
    """Refuse to grow a class that too few patients hold.

    Raises
    ------
    InputError
        Naming how many do.
    """
    few = classes.patients[(added > 0) & (classes.patients < FEWEST)]
    if len(few):
        raise InputError(
            f"{len(few)} classes are held by fewer than {FEWEST} patients, the smallest by "
            f"{few.min()}: what is drawn of them would be copies of a few",
            hint="leave them out with --to LEVEL=0.5, or insist with --allow-few",
        )
