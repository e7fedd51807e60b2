"""Copies and nearness: planted ones are found, absent ones are not, patients are the unit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from evaluated import patients, visits

from synthehr.errors import InputError
from synthehr.evaluation.embedding import nearest
from synthehr.evaluation.metric import wilson
from synthehr.evaluation.similarity import check_overlap, similarity
from synthehr.evaluation.views import align


def test_fresh_records_are_as_near_to_held_out_ones():
    views = align(patients(1000, 1), patients(1000, 2), patients(1000, 3))
    found = similarity(views, np.random.default_rng(0))
    assert found is not None
    assert found.exact.value == 0.0
    assert found.nearer.low < 0.5 < found.nearer.high
    assert found.near.low < 0.01 < found.near.high
    assert found.distance_ratio.value == pytest.approx(found.distance_ratio_ceiling.value, abs=0.05)


def test_planted_copies_are_found_exactly():
    real = patients(1000, 1)
    synthetic = pa.concat_tables([patients(930, 2), real.slice(0, 70)])
    found = similarity(align(real, synthetic, patients(1000, 3)), np.random.default_rng(0))
    assert found is not None
    assert found.exact.value == pytest.approx(0.07)
    assert found.exact.low < 0.07 < found.exact.high
    assert found.exact_ceiling.value == 0.0
    assert found.near.low > 0.03


def test_a_table_of_near_copies_is_nearer_to_training():
    real = patients(1000, 1)
    moved = real.column("sodium").to_numpy() + 0.1
    near = real.set_column(3, "sodium", pa.array(moved))
    found = similarity(align(real, near, patients(1000, 3)), np.random.default_rng(0))
    assert found is not None
    assert found.exact.value == 0.0
    assert found.nearer.low > 0.9
    assert found.near.low > 0.9
    assert found.distance_ratio.high < 0.1


def test_patients_are_the_unit_where_they_hold_several_records():
    real, holdout = visits(100, 10, 1), visits(100, 10, 3)
    copied = real.slice(0, 20)  # all records of 2 patients
    synthetic = pa.concat_tables([visits(98, 10, 2), copied])
    views = align(real, synthetic, holdout, patient="patient_id")
    found = similarity(views, np.random.default_rng(0))
    assert found is not None
    assert found.used == 100
    assert found.exact.value == pytest.approx(0.02)
    assert found.exact.high > 0.06  # of 100 patients, not of 1000 records


def test_without_held_out_records_there_is_no_figure():
    views = align(patients(100, 1), patients(100, 2))
    assert similarity(views, np.random.default_rng(0)) is None


def test_ties_count_half_to_either_side():
    few = pa.table({"a": pa.array(["x", "y"] * 100), "b": pa.array([True, False] * 100)})
    found = similarity(align(few, few.slice(0, 190), few), np.random.default_rng(0))
    assert found is not None
    assert found.nearer.value == 0.5


def test_the_same_table_twice_is_refused():
    table = patients(200, 1)
    order = pa.array(np.random.default_rng(0).permutation(200))
    with pytest.raises(InputError, match="same records"):
        check_overlap(align(table, table.take(order)))
    with pytest.raises(InputError, match="held-out and the synthetic"):
        check_overlap(align(table, patients(200, 2), patients(200, 2)))


@pytest.mark.parametrize("leaked", [200, 60])
def test_training_records_among_the_held_out_ones_are_refused(leaked):
    real = patients(1000, 1)
    holdout = pa.concat_tables([real.slice(0, leaked), patients(200 - leaked, 3)])
    with pytest.raises(InputError, match=f"{leaked} of 200 held-out records"):
        check_overlap(align(real, patients(1000, 2), holdout))


def test_records_that_repeat_by_chance_are_no_leak():
    def coarse(seed: int) -> pa.Table:
        rng = np.random.default_rng(seed)
        return pa.table({f"q{j}": rng.integers(0, 2, 400) for j in range(8)})

    check_overlap(align(coarse(1), coarse(2), coarse(3)))


def test_a_patient_on_both_sides_is_refused():
    real, holdout = visits(30, 4, 1), visits(30, 4, 3)
    ids = holdout.column("patient_id").to_pylist()
    ids[:4] = real.column("patient_id").to_pylist()[:4]
    holdout = holdout.set_column(0, "patient_id", pa.array(ids))
    with pytest.raises(InputError, match="1 of 30 held-out patients"):
        align(real, visits(30, 4, 2), holdout, patient="patient_id")


def test_nearest_agrees_with_brute_force():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(n, 7)).astype(np.float32) for n in (60, 80))
    distances = np.linalg.norm(a[:, None].astype(float) - b[None], axis=2)
    found = nearest(a, b)
    assert np.allclose(found.first, np.sort(distances, axis=1)[:, 0], atol=1e-6)
    assert np.allclose(found.second, np.sort(distances, axis=1)[:, 1], atol=1e-6)
    assert (found.index == distances.argmin(axis=1)).all()
    assert (nearest(b, b, skip_self=True).index != np.arange(80)).all()


def test_wilson_intervals_are_known_ones():
    share, low, high = wilson(1, 10)
    assert (share, round(low, 4), round(high, 4)) == (0.1, 0.0179, 0.4042)
    assert wilson(0, 50).low == 0.0
    assert wilson(0, 0).high == 1.0
