"""Setting whole patients aside before anything is learned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthehr.errors import ConfigError, InputError

_STREAM = 0x5E7A51DE
"""Keeps the split's random numbers apart from those of the encoder and the model."""


def patients_of(table: pa.Table, column: str | None) -> NDArray[np.int64] | None:
    """Number the patients of a table 0, 1, … in order of appearance.

    Returns
    -------
    ndarray of shape (N,), or None
        The patient of each record; None where no column tells.

    Raises
    ------
    InputError
        If the patient is null in some record.
    """
    if column is None:
        return None
    cells = table.column(column)
    if cells.null_count:
        raise InputError(
            f"column {column} names the patient and is null in {cells.null_count} records",
            hint="fill it, drop those records, or choose another column with --patient",
        )
    encoded = pc.dictionary_encode(cells.combine_chunks())
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def held_out(
    n_records: int, patients: NDArray[np.int64] | None, share: float, seed: int
) -> NDArray[np.bool_]:
    """Choose the records to set aside, whole patients at a time.

    Parameters
    ----------
    n_records : int
        Number of records N.
    patients : ndarray of shape (N,), or None
        The patient of each record; None: each record is a patient.
    share : float
        Share of the patients, in [0, 0.5].
    seed : int
        Equal seeds choose the same patients.

    Returns
    -------
    ndarray of shape (N,), bool
        True where the record is set aside. With a share above 0 at least one patient is.

    Raises
    ------
    ConfigError
        If the share is out of range.
    """
    if not 0.0 <= share <= 0.5:
        raise ConfigError(
            "the held-out share must lie between 0 and 0.5", hint="leave --holdout at 0.1"
        )
    who = np.arange(n_records) if patients is None else patients
    count = int(who.max()) + 1 if n_records else 0
    wanted = min(max(1, round(share * count)), count - 1) if share else 0
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))
    aside = np.zeros(count, dtype=bool)
    aside[rng.permutation(count)[:wanted]] = True
    return aside[who]
