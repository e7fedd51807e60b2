"""Count patients, not records."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

BITMAP = 1 << 25


def patient_codes(patients: ArrayLike) -> NDArray[np.int64]:
    """Give the patients of a table the numbers 0, 1, ...; shape (N,)."""
    return np.unique(np.asarray(patients), return_inverse=True)[1].reshape(-1).astype(np.int64)


def holders(
    groups: NDArray[np.integer], n_groups: int, patients: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Count the distinct patients of each group of records.

    Parameters
    ----------
    groups : ndarray of shape (N,)
        Group of each record, 0 to n_groups - 1.
    n_groups : int
        Number of groups.
    patients : ndarray of shape (N,), or None
        Number of each record's patient; None where each record is a patient.
    """
    if patients is None or not len(groups):
        return np.bincount(groups, minlength=n_groups).astype(np.int64)
    n_patients = int(patients.max()) + 1
    pairs = groups.astype(np.int64) * n_patients + patients
    if n_groups * n_patients <= BITMAP:
        seen = np.zeros(n_groups * n_patients, dtype=bool)
        seen[pairs] = True
        return seen.reshape(n_groups, n_patients).sum(axis=1, dtype=np.int64)
    pairs.sort()
    first = np.concatenate([[True], pairs[1:] != pairs[:-1]])
    return np.bincount(pairs[first] // n_patients, minlength=n_groups).astype(np.int64)


def count_patients(patients: NDArray[np.int64]) -> int:
    """Count distinct patients."""
    return int((np.bincount(patients) > 0).sum())
