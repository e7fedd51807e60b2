"""The simulated visits hold what they were drawn with, and their rules hold in every row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synthehr.demo import measurement_rule, simulate_visits, slopes_by_arm, visit_truth
from synthehr.demo.visit_model import (
    GAP_MEAN_DAYS,
    MEDICATION_MOVES,
    MEDICATIONS,
    MOST_VISITS,
    SLOPES,
    STATES,
    STATIC,
    TIMED_LABS,
)
from synthehr.errors import SynthehrError

N = 2_000
MEASURED = ("systolic", "diastolic", "heart_rate", "weight", "egfr", "medication", "infection")


@pytest.fixture(scope="module")
def table():
    return simulate_visits(N, seed=4)


@pytest.fixture(scope="module")
def frame(table):
    return table.to_pandas()


def test_the_truth_is_recovered(table) -> None:
    found = visit_truth(table)
    assert len(found) == 3 * len(TIMED_LABS) + 3 * len(SLOPES)
    rules = {name: one for name, one in found.items() if name.split(":")[0] in TIMED_LABS}
    assert {name: one.error for name, one in rules.items() if one.error > 0.2} == {}
    # fifteen intervals of 95 %
    assert sum(one.covers for one in found.values()) >= len(found) - 3
    assert found["egfr: difference"].low > 0


def test_intervals_cover_as_often_as_they_say() -> None:
    covered = [
        one.covers for seed in range(8) for one in visit_truth(simulate_visits(300, seed)).values()
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.06)


def test_a_rule_that_hangs_on_nothing_is_seen(table) -> None:
    rng = np.random.default_rng(0)
    blind = pa.array(np.full(table.num_rows, 5.0), mask=rng.random(table.num_rows) < 0.5)
    place = table.column_names.index("crp")
    found = measurement_rule(table.set_column(place, "crp", blind), "crp")
    assert found["severity"].error > 0.8


def test_order_of_rows_does_not_matter(table) -> None:
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    for name, one in slopes_by_arm(shuffled, "egfr").items():
        assert one.value == pytest.approx(slopes_by_arm(table, "egfr")[name].value), name


def test_what_cannot_be_estimated_is_not_a_number(table) -> None:
    few = table.slice(0, 12)
    assert np.isnan(measurement_rule(few, "lactate")["previous"].value)
    one_arm = table.filter(np.array(table["arm"].to_pylist()) == "control")
    assert np.isnan(slopes_by_arm(one_arm, "egfr")["difference"].value)


def test_same_seed_same_visits() -> None:
    assert simulate_visits(50, seed=1).equals(simulate_visits(50, seed=1))
    assert not simulate_visits(50, seed=1).equals(simulate_visits(50, seed=2))
    some = ["patient_id", "day", "crp"]
    assert simulate_visits(50, seed=1, columns=some).equals(simulate_visits(50, 1).select(some))
    with pytest.raises(SynthehrError, match="height"):
        simulate_visits(5, columns=["patient_id", "height"])


def test_visits_are_irregular_and_ordered(frame) -> None:
    length = frame.groupby("patient_id").size()
    assert len(length) == N
    assert length.min() == 1
    assert 30 < length.max() <= MOST_VISITS
    assert frame.groupby("patient_id").day.first().eq(0).all()
    gap = frame.groupby("patient_id").day.diff()
    assert gap.dropna().min() >= 1
    before = frame.groupby("patient_id").state.shift()
    means = [gap[before == state].mean() for state in STATES[:3]]
    # a visit that comes is one that follow-up did not end before, and the dead come early
    assert means == pytest.approx(GAP_MEAN_DAYS, rel=0.2)


def test_static_columns_are_constant(frame) -> None:
    assert frame.groupby("patient_id")[list(STATIC)].nunique().eq(1).all(axis=None)


def test_death_is_last_and_nothing_is_measured_after_it(frame) -> None:
    dead = frame.state == "dead"
    last = ~frame.patient_id.duplicated(keep="last")
    assert dead.sum() > 100
    assert last[dead].all()
    assert frame.died.eq(dead.groupby(frame.patient_id).transform("any")).all()
    assert frame.loc[dead, [*MEASURED, *TIMED_LABS]].isna().all(axis=None)
    assert frame.loc[~dead, list(MEASURED)].notna().all(axis=None)


def test_monotone_and_derived_columns_hold(frame) -> None:
    by = frame.groupby("patient_id")
    assert by[["total_dose", "admissions"]].diff().min().min() == 0
    assert (frame.diastolic < frame.systolic)[frame.systolic.notna()].all()
    mean = (frame.systolic + 2 * frame.diastolic) / 3
    assert (frame.mean_pressure - mean).abs().max() < 0.051


def test_medication_follows_its_chain(frame) -> None:
    alive = frame[frame.state != "dead"]
    last = alive.groupby("patient_id").medication.shift()
    moves = alive.medication.groupby(last).value_counts(normalize=True).unstack().fillna(0)
    seen = moves.loc[list(MEDICATIONS), list(MEDICATIONS)].to_numpy()
    assert np.abs(seen - MEDICATION_MOVES).max() < 0.03
