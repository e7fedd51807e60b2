"""The simulated outpatient visits: several rows a patient, in time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synthehr.demo.cohort import DAYS, LEVELS, SEX_SHARES, START

MEDICATIONS = ("none", "oral", "insulin")
MEDICATION_START = np.array([0.7, 0.25, 0.05])
MEDICATION_MOVES = np.array([[0.93, 0.06, 0.01], [0.05, 0.88, 0.07], [0.01, 0.04, 0.95]])
VISITS_MEAN = 6.0
GAP_MEAN_DAYS = 45.0
WEIGHT_LAG = 0.9
GLUCOSE_MISSING = 0.2


def simulate_visits(n: int = 500, seed: int = 0) -> pa.Table:
    """Draw outpatient visits over time, several per patient.

    Visits per patient are 1 + Poisson(`VISITS_MEAN` - 1), gaps geometric with mean
    `GAP_MEAN_DAYS`, medication a Markov chain by `MEDICATION_MOVES`, weight (kg) a first-order
    autoregression with lag correlation `WEIGHT_LAG` about the patient's own mean, glucose
    (mg/dl) missing at random in `GLUCOSE_MISSING` of visits.

    Returns
    -------
    pyarrow.Table
        patient_id, visit (date), sex, medication, weight, glucose; by patient, then by time.
    """
    rng = np.random.default_rng(seed)
    length = 1 + rng.poisson(VISITS_MEAN - 1, n)
    most = int(length.max(initial=1))
    sex, level = rng.choice(2, n, p=SEX_SHARES), rng.normal(0, 9, n)
    day, medication = np.empty((n, most), np.int64), np.empty((n, most), np.int64)
    drift = np.empty((n, most))
    day[:, 0], drift[:, 0] = rng.integers(0, DAYS, n), rng.standard_normal(n)
    medication[:, 0] = rng.choice(3, n, p=MEDICATION_START)
    innovation = np.sqrt(1 - WEIGHT_LAG**2)
    for t in range(1, most):
        day[:, t] = day[:, t - 1] + rng.geometric(1 / GAP_MEAN_DAYS, n)
        drift[:, t] = WEIGHT_LAG * drift[:, t - 1] + innovation * rng.standard_normal(n)
        thresholds = MEDICATION_MOVES.cumsum(axis=1)[medication[:, t - 1], :-1]
        medication[:, t] = (rng.random((n, 1)) > thresholds).sum(axis=1)
    held = np.arange(most) < length[:, None]
    patient = np.repeat(np.arange(n), length)
    weight = 68 + 13 * sex[patient] + level[patient] + 3 * drift[held]
    glucose = np.round(rng.normal(98 + 22 * medication[held], 15))
    return pa.table(
        {
            "patient_id": pa.array(np.char.add("V", np.char.zfill(patient.astype(str), 6))),
            "visit": pa.array(START.astype("datetime64[D]") + day[held]),
            "sex": pa.array(np.array(LEVELS["sex"])[sex[patient]]),
            "medication": pa.array(np.array(MEDICATIONS)[medication[held]]),
            "weight": pa.array(np.round(weight, 1)),
            "glucose": pa.array(glucose, mask=rng.random(len(patient)) < GLUCOSE_MISSING),
        }
    )
