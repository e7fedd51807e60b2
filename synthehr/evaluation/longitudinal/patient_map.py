"""A map of patients: synthetic ones over where real ones are.

Its axes are the first two principal components of real patients' summaries, `histories`. No real
patient is shown: a cell with some and fewer than `SMALLEST` of them is left blank.
"""

from __future__ import annotations

import numpy as np

from synthehr.evaluation.longitudinal.patients import Patients
from synthehr.evaluation.longitudinal.results import PatientMap
from synthehr.evaluation.results import SMALLEST
from synthehr.evaluation.task import generator_of

MOST_CELLS, PER_CELL = 14, 3 * SMALLEST
"""Columns of cells, and rows: so many that a cell has so many real patients on average."""
MOST_DRAWN = 250
"""Synthetic patients that are drawn."""
FURTHEST = 0.98
"""Share of the real patients that each axis holds, at most."""
CLIPPED = 4.0
"""Standard deviations beyond which a feature counts as so far: no outlier is an axis."""


def patient_map(patients: Patients) -> PatientMap | None:
    """Place patients on the axes on which the real ones differ most."""
    lines = (patients.unseen, patients.trained, patients.synthetic)
    told = [patients.told(line) for line in lines]
    used = ~told[0].categorical
    real = np.vstack([each.values[:, used] for each in told[:2]])
    synthetic = told[2].values[:, used]
    known = np.isfinite(real).sum(axis=0) > 1
    real, synthetic = real[:, known], synthetic[:, known]
    mean, sd = np.nanmean(real, axis=0), np.nanstd(real, axis=0)
    moving = sd > 0
    if moving.sum() < 2:
        return None
    scaled = [
        np.nan_to_num(np.clip((each - mean) / np.where(moving, sd, 1.0), -CLIPPED, CLIPPED))[
            :, moving
        ]
        for each in (real, synthetic)
    ]
    centre = scaled[0].mean(axis=0)
    _, spread, axes = np.linalg.svd(scaled[0] - centre, full_matrices=False)
    if len(spread) < 2 or spread[1] < 1e-9:
        return None
    # The sign of a component is arbitrary: its largest weight points up.
    axes = axes[:2] * np.sign(axes[:2][[0, 1], np.abs(axes[:2]).argmax(axis=1)])[:, None]
    places = [(each - centre) @ axes.T for each in scaled]
    # An end with fewer patients beyond it would be the place of some few.
    beyond = max((1 - FURTHEST) / 2, SMALLEST / len(places[0]))
    if beyond >= 0.5:
        return None
    ends = np.quantile(places[0], [beyond, 1 - beyond], axis=0)
    cells = int(np.clip(np.sqrt(len(places[0]) / PER_CELL), 2, MOST_CELLS))
    x, y = (np.linspace(low, high, cells + 1) for low, high in ends.T)
    if x[0] == x[-1] or y[0] == y[-1]:
        return None
    counts = np.histogram2d(places[0][:, 1], places[0][:, 0], bins=(y, x))[0]
    shares = np.where((counts > 0) & (counts < SMALLEST), np.nan, counts / len(places[0]))
    if not (shares > 0).any():
        return None
    rng = generator_of(patients.seed, "patient map")
    shown = places[1][rng.permutation(len(places[1]))[:MOST_DRAWN]]
    shown = shown[((shown >= ends[0]) & (shown <= ends[1])).all(axis=1)]
    explained = spread[:2] ** 2 / (spread**2).sum()
    return PatientMap(
        (tuple(x.tolist()), tuple(y.tolist())),
        tuple(tuple(row) for row in shares.tolist()),
        tuple((float(a), float(b)) for a, b in shown),
        (float(explained[0]), float(explained[1])),
    )
