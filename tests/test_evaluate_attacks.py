"""Attacks: copies are caught, fresh records are not, and chance is told from success."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from evaluated import patients, visits, with_column

from synthehr.evaluation.attacks.parts import measure_disclosure, measure_membership
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.evaluate import evaluate
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import DisclosureResult, MembershipResult
from synthehr.evaluation.task import Task
from synthehr.evaluation.views import align

DISCLOSURES = ("singling_out", "linkability", "attribute_inference", "attribute_inference_worst")


def noisy(table: pa.Table, seed: int) -> pa.Table:
    """Copy patients with a little noise in every number, and other levels here and there."""
    rng = np.random.default_rng(seed)
    for name, spread in (("sodium", 0.2), ("pressure", 1.0)):
        values = table.column(name).to_numpy(zero_copy_only=False).astype(float)
        moved = values + rng.normal(0, spread, len(values))
        table = with_column(table, name, pa.array(moved, mask=np.isnan(values)))
    smokes = np.asarray(table.column("smokes").to_pylist())
    return with_column(table, "smokes", smokes ^ (rng.random(len(smokes)) < 0.05))


class Attacked(NamedTuple):
    """What the attacks found, without the rest of an evaluation."""

    membership: tuple[MembershipResult, ...]
    disclosure: tuple[DisclosureResult, ...]
    metrics: dict[str, Metric]
    columns: dict[str, list[float]]


def attacked(
    real: pa.Table, synthetic: pa.Table, holdout: pa.Table, patient: str | None = None
) -> Attacked:
    """Attack a table."""
    views = align(real, synthetic, holdout, patient=patient)
    task = Task(views, views.real, views.holdout or views.real, 0, Clock(600))
    found, other = measure_membership(task), measure_disclosure(task)
    metrics = {metric.name: metric for metric in found.metrics + other.metrics}
    return Attacked(found.membership, other.disclosure, metrics, other.columns or {})


@pytest.fixture(scope="module")
def copied() -> Attacked:
    real = patients(700, 1)
    return attacked(real, noisy(real, 0), patients(700, 3))


@pytest.fixture(scope="module")
def fresh() -> Attacked:
    return attacked(patients(700, 1), patients(700, 2), patients(700, 3))


def test_copies_with_noise_are_caught(copied: Attacked) -> None:
    ensemble = copied.membership[0]
    assert (ensemble.attack, ensemble.target) == ("ensemble", "random")
    assert ensemble.auc.low > max(0.9, ensemble.auc_null.high)
    assert ensemble.tpr_1 is not None and ensemble.tpr_1.low > 0.3
    assert copied.metrics["membership_auc"].value == ensemble.auc.value
    for name in ("linkability", "attribute_inference", "attribute_inference_worst"):
        low = copied.metrics[name].low
        assert low is not None and low > 0.09, name


def test_isolated_patients_are_attacked_apart(copied: Attacked) -> None:
    (isolated,) = [
        result
        for result in copied.membership
        if result.attack == "ensemble" and result.target == "isolated"
    ]
    assert isolated.members + isolated.controls == 47  # 5 % of twice 467
    assert isolated.auc.low > 0.9
    assert isolated.tpr_1 is None, "of so few controls 1 % is less than one"


def test_fresh_records_are_not_flagged(fresh: Attacked) -> None:
    for result in fresh.membership:
        assert result.auc.low < max(0.5, result.auc_null.high), result
    for name in DISCLOSURES:
        low = fresh.metrics[name].low
        assert low is not None and low < 0.0, name


def test_null_runs_lie_around_chance(copied: Attacked, fresh: Attacked) -> None:
    for report in (copied, fresh):
        for result in report.membership:
            assert result.auc_null.low <= 0.5 <= result.auc_null.high, result
            if result.target == "random":
                assert abs(result.auc_null.value - 0.5) < 0.02
                assert result.tpr_1_null is not None
                assert result.tpr_1_null.value == pytest.approx(0.01, abs=0.005)
                assert result.tpr_01 is None, "467 controls say nothing about one in a thousand"


def test_naive_rates_and_held_out_rates_stand_beside(fresh: Attacked) -> None:
    inferred = {result.attack: result for result in fresh.disclosure}
    mean = inferred["attribute inference"]
    assert mean.naive.value < mean.held_out.value - 0.02, "columns depend on each other"
    assert mean.training.value == pytest.approx(mean.held_out.value, abs=0.05)
    assert inferred["linkability"].naive.value < 0.05
    naive = dict(zip(patients(1, 1).column_names, fresh.columns["inferred_naive"], strict=True))
    assert naive["sex"] == pytest.approx(0.5, abs=0.08)
    assert None not in fresh.columns["inferred_training"]


def test_a_value_that_only_one_patient_holds_is_singled_out() -> None:
    real = patients(400, 1)
    rng = np.random.default_rng(0)
    rare = with_column(real, "sodium", rng.integers(10**8, 2 * 10**8, 400).astype(float))
    other = with_column(patients(400, 2), "sodium", rare.column("sodium").combine_chunks())
    holdout = with_column(
        patients(400, 3), "sodium", rng.integers(10**8, 2 * 10**8, 400).astype(float)
    )
    low = attacked(rare, other, holdout).metrics["singling_out_univariate"].low
    assert low is not None and low > 0.3


def test_the_patient_is_the_unit() -> None:
    real, holdout = visits(90, 4, 1), visits(90, 4, 3)
    rng = np.random.default_rng(0)
    moved = {
        name: real.column(name).to_numpy() + rng.normal(0, 0.02, real.num_rows)
        for name in real.column_names[1:]
    }
    copies = pa.table({"patient_id": real.column("patient_id"), **moved})
    found = attacked(real, copies, holdout, patient="patient_id")
    ensemble = found.membership[0]
    assert (ensemble.members, ensemble.controls) == (60, 60)  # a third of 90 is the reference
    assert ensemble.auc.low > 0.9
    assert {r.tries for r in found.disclosure if r.attack == "linkability"} == {90}


def test_the_seed_decides_the_attacks() -> None:
    real, synthetic, holdout = (patients(150, k).select(["age", "sodium"]) for k in (1, 2, 3))
    first, again, other = (
        evaluate(real, synthetic, holdout=holdout, seed=seed, seconds=600) for seed in (5, 5, 6)
    )
    assert first.results.membership == again.results.membership
    assert first.results.disclosure == again.results.disclosure
    assert first.results.membership != other.results.membership


@pytest.mark.parametrize(("held_out", "measured"), [(59, False), (60, True)])
def test_too_few_held_out_patients_are_not_attacked(held_out: int, measured: bool) -> None:
    tables = [patients(n, k).select(["age", "sodium"]) for n, k in ((200, 1), (200, 2))]
    holdout = patients(held_out, 3).select(["age", "sodium"])
    report = evaluate(*tables, holdout=holdout, seconds=600)
    assert (len(report.results.membership) > 0) is measured
    assert (len(report.results.disclosure) > 0) is measured
    reasons = {part.part: part.reason for part in report.results.not_measurable}
    assert ("membership inference" not in reasons) is measured
    if not measured:
        assert reasons["membership inference"] == "a table has fewer than 60 patients"
        assert not [metric for metric in report.metrics if metric.section == "privacy"]


def test_an_informed_attack_joins_the_ensemble() -> None:
    names = ["age", "sodium"]
    real, synthetic, holdout = (patients(200, k).select(names) for k in (1, 2, 3))

    def told(which: str, rows: np.ndarray) -> np.ndarray:
        table = real if which == "real" else holdout
        assert rows.max() < table.num_rows
        return np.full(len(rows), 1.0 if which == "real" else 0.0)

    report = evaluate(real, synthetic, holdout=holdout, informed={"loss": told}, seconds=600)
    by_attack = {(r.attack, r.target): r for r in report.results.membership}
    assert by_attack["loss", "random"].auc.value == 1.0
    assert by_attack["ensemble", "random"].auc.value == 1.0
