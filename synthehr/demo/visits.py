"""The simulated visits: several rows a patient, irregular in time, until death or the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.demo.cohort import AGES, LEVELS, SEX_SHARES, SITES, Floats, age_shares
from synthehr.demo.visit_model import (
    ARMS,
    DAILY_DOSE_G,
    DEATHS_A_YEAR,
    DEATHS_BY_DECADE,
    FIRST_TAKEN,
    FOLLOW_UP_DAYS,
    GAP_MEAN_DAYS,
    GAP_SHAPE,
    INFECTION,
    LOST_CHANCE,
    MEDICATION_MOVES,
    MEDICATION_START,
    MEDICATIONS,
    MOST_VISITS,
    OEDEMA,
    STATE_MOVES,
    STATE_START,
    STATES,
    TIMED_LABS,
    VITALS,
    YEAR_DAYS,
)
from synthehr.errors import SynthehrError

DEAD = STATES.index("dead")
Grid = NDArray[np.int64]


def simulate_visits(
    patients: int = 1000, seed: int = 0, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Draw visits over time, one row each, of patients whose whole truth is in `visit_model`.

    A patient has 1 to `MOST_VISITS` rows: until the end of follow-up, until lost, or until
    death, which is a row of its own, the last one, on which nothing is measured.

    Parameters
    ----------
    patients : int
        Number of patients.
    seed : int
        Equal seeds give equal tables.
    columns : sequence of str, optional
        The columns wanted, in this order; all by default.

    Returns
    -------
    pyarrow.Table
        By patient, then by time: patient_id; day (since inclusion); age (years), sex, arm,
        site, died, which are constant; state, medication; systolic, diastolic (always below
        it), mean_pressure (of these two), heart_rate, weight, egfr; the labs of `TIMED_LABS`;
        infection, oedema; total_dose (g) and admissions, which never fall.

    Raises
    ------
    SynthehrError
        If a column is asked for that is not simulated.

    Examples
    --------
    >>> table = simulate_visits(3, seed=1, columns=["patient_id", "day", "egfr"])
    >>> table.column_names
    ['patient_id', 'day', 'egfr']
    """
    rng = np.random.default_rng(seed)
    sex, age = rng.choice(2, patients, p=SEX_SHARES), rng.choice(AGES, patients, p=age_shares())
    arm, site = rng.integers(0, 2, patients), rng.choice(len(SITES), patients, p=[*SITES.values()])
    day, state, held = _course(rng, age)
    living = state != DEAD
    died = (held & ~living).any(axis=1)
    patient = np.repeat(np.arange(patients), held.sum(axis=1))
    seen = living[held]
    made: dict[str, pa.Array] = {
        "patient_id": pa.array(np.char.add("V", np.char.zfill(patient.astype(str), 6))),
        "day": pa.array(day[held], type=pa.int32()),
        "age": pa.array(age[patient], type=pa.int32()),
        "sex": pa.array(np.array(LEVELS["sex"])[sex[patient]]),
        "arm": pa.array(np.array(ARMS)[arm[patient]]),
        "site": pa.array(np.array([*SITES])[site[patient]]),
        "died": pa.array(died[patient]),
        "state": pa.array(np.array(STATES)[state[held]]),
    }
    medication = _chain(rng, MEDICATION_START, MEDICATION_MOVES, day.shape)
    made["medication"] = pa.array(np.array(MEDICATIONS)[medication[held]], mask=~seen)
    for name, values in _vitals(rng, day / YEAR_DAYS, state, age, sex, arm).items():
        made[name] = pa.array(values[held], mask=~seen)
    for name, (values, taken) in _labs(rng, state).items():
        made[name] = pa.array(values[held], mask=~(seen & taken[held]))
    for name, logit in (("infection", INFECTION), ("oedema", OEDEMA)):
        made[name] = pa.array(_code(rng, state, logit)[held], mask=~seen)
    made["total_dose"] = pa.array(_total_dose(rng, day, medication)[held], type=pa.int32())
    made["admissions"] = pa.array(_admissions(state)[held], type=pa.int32())
    table = pa.table(made)
    if columns is None:
        return table
    if unknown := [name for name in columns if name not in made]:
        raise SynthehrError(
            f"visits are not simulated with {', '.join(unknown)}",
            hint=f"the columns are {', '.join(made)}",
        )
    return table.select(list(columns))


def _course(rng: np.random.Generator, age: NDArray[np.int64]) -> tuple[Grid, Grid, Grid]:
    """Days, states, and which visits are held; each of shape (patients, `MOST_VISITS`)."""
    n = len(age)
    shape = n, MOST_VISITS
    day, held = np.zeros(shape, np.int64), np.zeros(shape, bool)
    state = _chain(rng, STATE_START, STATE_MOVES, shape)
    end = rng.integers(*FOLLOW_UP_DAYS, n)
    hazard = np.exp(DEATHS_BY_DECADE * (age - 65) / 10) / YEAR_DAYS
    held[:, 0] = True
    for t in range(1, MOST_VISITS):
        before = np.minimum(state[:, t - 1], DEAD - 1)
        gap = np.ceil(rng.gamma(GAP_SHAPE, GAP_MEAN_DAYS[before] / GAP_SHAPE)).astype(np.int64)
        wait = np.ceil(rng.exponential(1 / (hazard * DEATHS_A_YEAR[before]))).astype(np.int64)
        dies, lost = wait <= gap, rng.random(n) < LOST_CHANCE
        day[:, t] = day[:, t - 1] + np.where(dies, wait, gap)
        held[:, t] = held[:, t - 1] & (state[:, t - 1] != DEAD) & (day[:, t] <= end)
        held[:, t] &= dies | ~lost
        state[:, t] = np.where(dies, DEAD, state[:, t])
    return day, state, held


def _chain(rng: np.random.Generator, start: Floats, moves: Floats, shape: tuple[int, ...]) -> Grid:
    """Draw a Markov chain for each patient."""
    n, visits = shape
    found = np.empty(shape, np.int64)
    found[:, 0] = rng.choice(len(start), n, p=start)
    thresholds = moves.cumsum(axis=1)[:, :-1]
    for t in range(1, visits):
        found[:, t] = (rng.random((n, 1)) > thresholds[found[:, t - 1]]).sum(axis=1)
    return found


def _noise(rng: np.random.Generator, lag: float, shape: tuple[int, ...]) -> Floats:
    """Draw a standard normal first-order autoregression for each patient."""
    noise = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        noise[:, t] = lag * noise[:, t - 1] + np.sqrt(1 - lag**2) * noise[:, t]
    return noise


def _vitals(
    rng: np.random.Generator,
    years: Floats,
    state: Grid,
    age: NDArray[np.int64],
    sex: NDArray[np.int64],
    arm: NDArray[np.int64],
) -> dict[str, Floats]:
    severity = np.minimum(state, DEAD - 1)
    found: dict[str, Floats] = {}
    for name, vital in VITALS.items():
        u, v = rng.standard_normal((2, len(age), 1))
        base = vital.location + vital.male * sex + vital.decade * (age - 65) / 10
        slope = (vital.slope + vital.treated * arm)[:, None] + vital.slope_between * v
        value = base[:, None] + vital.between * u + np.array(vital.by_state)[severity]
        value += slope * years + vital.within * _noise(rng, vital.lag, state.shape)
        found[name] = np.round(value, vital.decimals)
    pulse = np.maximum(found.pop("pulse_pressure"), 10)
    systolic = found.pop("systolic")
    diastolic = systolic - pulse
    mean_pressure = np.round((systolic + 2 * diastolic) / 3, 1)
    return {
        "systolic": systolic,
        "diastolic": diastolic,
        "mean_pressure": mean_pressure,
    } | found


def _labs(rng: np.random.Generator, state: Grid) -> dict[str, tuple[Floats, NDArray[np.bool_]]]:
    """Value of each lab at every visit, and whether it was taken there."""
    severity = np.minimum(state, DEAD - 1)
    found = {}
    for name, lab in TIMED_LABS.items():
        z = np.array(lab.by_state)[severity] + _noise(rng, lab.lag, state.shape)
        raw = lab.location + lab.scale * z
        value = np.round(np.exp(raw) if lab.log else raw, lab.decimals)
        logit = lab.rule.intercept + lab.rule.severity * severity[:, 1:]
        logit = logit + lab.rule.previous * z[:, :-1]
        taken = rng.random(state.shape)
        taken[:, 1:] *= 1 + np.exp(-logit)
        taken[:, 0] /= FIRST_TAKEN
        found[name] = value, taken < 1
    return found


def _code(
    rng: np.random.Generator, state: Grid, logit: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Whether a diagnosis is coded, which persists from visit to visit."""
    intercept, by_state, again = logit
    draws, found = rng.random(state.shape), np.zeros(state.shape, bool)
    for t in range(state.shape[1]):
        before = found[:, t - 1] if t else False
        line = intercept + by_state * np.minimum(state[:, t], DEAD - 1) + again * before
        found[:, t] = draws[:, t] < 1 / (1 + np.exp(-line))
    return found


def _total_dose(rng: np.random.Generator, day: Grid, medication: Grid) -> Floats:
    """Grams taken since inclusion: what was prescribed, and six to ten tenths of it taken."""
    taken = np.diff(day, axis=1) * DAILY_DOSE_G[medication[:, :-1]]
    taken *= rng.uniform(0.6, 1.0, taken.shape)
    total = np.zeros(day.shape)
    total[:, 1:] = np.round(taken.cumsum(axis=1))
    return total


def _admissions(state: Grid) -> Grid:
    """How often the patient came from home to ward or intensive care, up to this visit."""
    admitted = (state > 0) & (state != DEAD)
    came = admitted.copy()
    came[:, 1:] &= state[:, :-1] == 0
    return came.cumsum(axis=1)
