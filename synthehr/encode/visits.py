"""How many records a patient has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray


@final
@dataclass(frozen=True)
class Visits:
    """Numbers of records of a patient, and how many patients have them.

    Attributes
    ----------
    sizes : ndarray of shape (S,), int64
        Numbers of records, ascending.
    shares : ndarray of shape (S,), float64
        Share of the patients with each; sums to 1.
    """

    sizes: NDArray[np.int64]
    shares: NDArray[np.float64]

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Deal n records out to patients: place of the first record of each record's patient.

        Records are dealt out as they come: those of one patient are independent of
        each other. The last patient may have fewer.
        """
        mean = float(self.sizes @ self.shares)
        starts = np.zeros(0, dtype=np.int64)
        end = 0
        while end < n:
            drawn = rng.choice(self.sizes, size=int((n - end) / mean * 1.1) + 8, p=self.shares)
            ends = end + np.cumsum(drawn)
            starts = np.concatenate([starts, ends - drawn])
            end = int(ends[-1])
        starts = starts[starts < n]
        return np.repeat(starts, np.diff(np.append(starts, n)))


def fit_visits(patients: NDArray[np.int64], k: int) -> Visits:
    """Learn how many records patients have; rare numbers count as the nearest common one."""
    records = np.bincount(patients)
    sizes, counts = np.unique(records[records > 0], return_counts=True)
    kept = sizes[counts >= k]
    if not len(kept):
        # NOTE: the mean over all patients, rounded, is no single patient's number.
        return Visits(np.array([max(1, round(len(patients) / counts.sum()))]), np.ones(1))
    nearest = np.abs(sizes[:, None] - kept[None, :]).argmin(axis=1)
    held = np.bincount(nearest, counts, len(kept))
    return Visits(kept.astype(np.int64), held / held.sum())
