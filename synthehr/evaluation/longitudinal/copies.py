"""Whether visits of a training patient come back as they were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.timeline import Timeline
from synthehr.evaluation.metric import Estimate, wilson
from synthehr.evaluation.similarity import hashes
from synthehr.evaluation.views import View

RUN = 3
"""Visits in a row that make a run."""


def copied_runs(line: Timeline, training: Timeline, static: NDArray[np.bool_]) -> Estimate:
    """Estimate the share of patients that have a run in common with some training patient.

    Of the patients that have a run: three visits in a row, all values that may change and the
    times between. Each visit of it holds a value, and at least one value changes within it; an
    unchanged run is no patient's own.
    """
    known = _runs(training, static)[0]
    runs, owners = _runs(line, static)
    copied = np.unique(owners[np.isin(runs, known)])
    return wilson(len(copied), len(np.unique(owners)))


def _runs(
    line: Timeline, static: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hash the runs, and say whose they are."""
    values = line.values[:, ~static]
    ends = line.after(RUN - 1)
    if not values.shape[1] or not len(ends):
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    visits = hashes(View(values, line.patients))
    gaps = np.zeros(line.rows)
    gaps[line.later] = line.gaps
    held = np.logical_or.reduce(~np.isnan(values), axis=1)
    steps = [ends - back for back in range(RUN)]
    full = np.column_stack([held[rows] for rows in steps])
    moved = np.column_stack([visits[rows] != visits[ends] for rows in steps])
    ends = ends[full.all(axis=1) & moved.any(axis=1)]
    whole = [gaps[ends - back] for back in range(RUN - 1)]
    # As many digits of a visit's hash as a float holds, so that a run is hashed as a record is.
    whole += [(visits[ends - back] >> np.uint64(24)).astype(np.float64) for back in range(RUN)]
    return hashes(View(np.stack(whole, axis=1), line.patients[ends])), line.patients[ends]
