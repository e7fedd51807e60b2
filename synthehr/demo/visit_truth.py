"""What can be estimated from simulated visits, or from synthetic ones, beside its known truth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.demo.cohort import Floats
from synthehr.demo.visit_model import ARMS, SLOPES, STATES, TIMED_LABS, VITALS, YEAR_DAYS

Z = 1.959963984540054
NEWTON_STEPS = 25
FEWEST = 20
TERMS = ("intercept", "previous", "severity")


class KnownEstimate(NamedTuple):
    """An estimate, its 95 % interval, and the value the simulator was given."""

    value: float
    low: float
    high: float
    truth: float

    @property
    def error(self) -> float:
        """Distance from the truth as a share of it."""
        return abs(self.value - self.truth) / abs(self.truth)

    @property
    def covers(self) -> bool:
        """Whether the truth lies in the interval."""
        return self.low <= self.truth <= self.high


def visit_truth(table: pa.Table) -> dict[str, KnownEstimate]:
    """Estimate all that is known of the simulated visits.

    Parameters
    ----------
    table : pyarrow.Table
        Visits with the columns of `simulate_visits`, in any order.

    Returns
    -------
    dict of str to KnownEstimate
        "crp: previous" and the like for every lab (`measurement_rule`), "egfr: control",
        "egfr: treated" and "egfr: difference" and the like (`slopes_by_arm`).
    """
    ordered = _ordered(table)
    found = {}
    for lab in TIMED_LABS:
        rule = measurement_rule(ordered, lab)
        found |= {f"{lab}: {term}": estimate for term, estimate in rule.items()}
    for vital in SLOPES:
        slopes = slopes_by_arm(ordered, vital)
        found |= {f"{vital}: {term}": estimate for term, estimate in slopes.items()}
    return found


def measurement_rule(table: pa.Table, lab: str) -> dict[str, KnownEstimate]:
    """Estimate by logistic regression when a lab of `TIMED_LABS` is taken.

    The visits are those of the living whose visit before had the lab: whether it was taken then
    depends on what was before, so leaving the others out does not bias the rule.

    Returns
    -------
    dict of str to KnownEstimate
        "intercept", "previous" and "severity"; not a number where the lab is (almost) always
        or (almost) never taken.
    """
    table, truth = _ordered(table), TIMED_LABS[lab]
    patient = _codes(table, "patient_id")
    severity = _severity(table)
    value = _numbers(table, lab)
    before = np.roll(value, 1)
    before[np.r_[True, patient[1:] != patient[:-1]]] = np.nan
    asked = np.isfinite(before) & (severity < STATES.index("dead"))
    floor = 0.5 * 10.0**-truth.decimals
    line = np.log(np.maximum(before, floor)) if truth.log else before
    line = (line - truth.location) / truth.scale
    design = np.stack([np.ones(len(line)), line, severity.astype(np.float64)], axis=1)[asked]
    taken = np.isfinite(value[asked])
    beta, spread = _logistic(design, taken)
    return {
        term: KnownEstimate(value, value - Z * error, value + Z * error, known)
        for term, value, error, known in zip(
            TERMS, beta.tolist(), spread.tolist(), truth.rule, strict=True
        )
    }


def slopes_by_arm(table: pa.Table, vital: str) -> dict[str, KnownEstimate]:
    """Estimate the change a year of a quantity of `SLOPES` in each arm, and their difference.

    Least squares within patients (each has a level of its own), with errors that are robust to
    what a patient's visits have in common.

    Returns
    -------
    dict of str to KnownEstimate
        "control", "treated" and "difference"; units of the quantity a year.

    References
    ----------
    Arellano 1987, doi:10.1111/j.1468-0084.1987.mp49004006.x
    """
    table, known = _ordered(table), VITALS[vital]
    value, day = _numbers(table, vital), _numbers(table, "day")
    seen = np.isfinite(value) & np.isfinite(day)
    patient = np.unique(_codes(table, "patient_id")[seen], return_inverse=True)[1]
    arm = np.array(table["arm"].to_pylist(), dtype=object)[seen]
    years = _within(day[seen] / YEAR_DAYS, patient)
    off = _within(value[seen], patient)
    slopes = [_slope(years, off, patient, arm == name) for name in ARMS]
    (control, control_error), (treated, treated_error) = slopes
    both = float(np.hypot(control_error, treated_error))
    return {
        "control": _interval(control, control_error, known.slope),
        "treated": _interval(treated, treated_error, known.slope + known.treated),
        "difference": _interval(treated - control, both, known.treated),
    }


def _interval(value: float, error: float, truth: float) -> KnownEstimate:
    return KnownEstimate(value, value - Z * error, value + Z * error, truth)


def _slope(
    years: Floats, off: Floats, patient: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> tuple[float, float]:
    """Slope and its standard error among chosen visits."""
    x, y, who = years[chosen], off[chosen], patient[chosen]
    square = float(x @ x)
    if not square:
        return float("nan"), float("nan")
    slope = float(x @ y) / square
    scores = np.bincount(who, x * (y - slope * x))
    return slope, float(np.sqrt(scores @ scores)) / square


def _within(values: Floats, patient: NDArray[np.int64]) -> Floats:
    """Take each patient's mean away."""
    means = np.bincount(patient, values) / np.bincount(patient)
    return values - means[patient]


def _logistic(design: Floats, taken: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Coefficients and standard errors by Newton's method."""
    beta = np.zeros(design.shape[1])
    unknown = np.full_like(beta, np.nan)
    if min(taken.sum(), (~taken).sum()) < FEWEST:
        return unknown, unknown
    information = np.eye(len(beta))
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        information = (design * (chance * (1 - chance))[:, None]).T @ design
        information += 1e-9 * np.eye(len(beta))
        step = np.linalg.solve(information, design.T @ (taken - chance))
        beta = beta + np.clip(step, -2, 2)
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


def _ordered(table: pa.Table) -> pa.Table:
    return table.sort_by([("patient_id", "ascending"), ("day", "ascending")])


def _codes(table: pa.Table, name: str) -> NDArray[np.int64]:
    """Give each value of a column a number."""
    return np.asarray(table[name].combine_chunks().dictionary_encode().indices, dtype=np.int64)


def _numbers(table: pa.Table, name: str) -> Floats:
    return np.array(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)


def _severity(table: pa.Table) -> NDArray[np.int64]:
    """Place of each state in `STATES`; one that is not known counts as dead: it is left out."""
    place = {name: i for i, name in enumerate(STATES)}
    dead = place["dead"]
    return np.array([place.get(state, dead) for state in table["state"].to_pylist()], np.int64)
