"""Setting whole patients aside before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ConfigError, InputError
from synthehr.kernels import compute
from synthehr.seeds import SPLIT, generator


def patients_of(table: pa.Table, column: str | None) -> NDArray[np.int64] | None:
    """Give each patient of a table a number from 0, in order of appearance.

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
    if not pa.types.is_dictionary(cells.type):
        cells = compute.dictionary_encode(cells)
    indices = [np.asarray(chunk.indices) for chunk in cells.unify_dictionaries().chunks]
    return np.concatenate([np.zeros(0, np.int64), *indices]).astype(np.int64)


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
    aside = np.zeros(count, dtype=bool)
    aside[generator(seed, SPLIT).permutation(count)[:wanted]] = True
    return aside[who]


def as_fitted(
    table: pa.Table, patient: str | None, record: Mapping[str, Any]
) -> tuple[pa.Table, pa.Table]:
    """Split a table into what a model was fitted on and what was held out.

    Parameters
    ----------
    table : Table
        The table that the model was fitted on.
    patient : str or None
        The column that named the patient.
    record : mapping
        The run record of the model file.

    Raises
    ------
    InputError
        If it cannot be that table.
    """
    if record.get("privacy") is not None:
        # Neither how many records there were nor anybody left out is in a private model file.
        return table, table.slice(0, 0)
    if table.num_rows != record["records"]:
        raise InputError(
            f"the real table has {table.num_rows} records, and the model was fitted on "
            f"{record['records']}",
            hint="give the table that was fitted, or name the held-out records with --holdout",
        )
    patients = patients_of(table, patient)
    aside = held_out(table.num_rows, patients, record["holdout"], record["seed"])
    return table.filter(~aside), table.filter(aside)


def patients_as_fitted(
    table: pa.Table, starts: NDArray[np.int64], record: Mapping[str, Any]
) -> tuple[pa.Table, pa.Table]:
    """Split visits, sorted by patient, as `as_fitted` splits records.

    Parameters
    ----------
    table : Table
        The visits that the model was fitted on.
    starts : ndarray of shape (P + 1,), int64
        Where each patient's begin, and the end of the last's.
    record : mapping
        The run record of the model file.

    Raises
    ------
    InputError
        If they cannot be those visits.
    """
    if record.get("privacy") is not None:
        return table, table.slice(0, 0)
    patients = len(starts) - 1
    if (patients, table.num_rows) != (record["patients"], record["records"]):
        raise InputError(
            f"the real table has {patients} patients with {table.num_rows} visits, and the model "
            f"was fitted on {record['patients']} with {record['records']}",
            hint="give the visits that were fitted, or name held-out ones with --holdout",
        )
    aside = held_out(patients, None, record["holdout"], record["seed"])
    rows = np.repeat(aside, np.diff(starts))
    return table.filter(pa.array(~rows)), table.filter(pa.array(rows))
