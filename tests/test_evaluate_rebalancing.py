"""What growing a rare class does, in the report."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from synthehr import evaluate
from synthehr.evaluation.group_results import RebalancingResult
from synthehr.evaluation.report import Report

WAYS = ["as they are", "class weights", "copies", "SMOTENC", "synthetic records"]


pytest.importorskip("imblearn")


def rare(n: int, seed: int, share: float = 0.06, told: float = 1.0) -> pa.Table:
    """Patients of whom some have sepsis, told by lactate and ward as far as `told` says."""
    rng = np.random.default_rng(seed)
    septic = rng.random(n) < share
    lactate = rng.normal(1.5 + 1.5 * told * septic, 1.0, n).round(1)
    ward = np.where(rng.random(n) < 0.3 + 0.4 * told * septic, "icu", "north")
    return pa.table({
        "lactate": pa.array(lactate, mask=rng.random(n) < 0.1),
        "ward": ward,
        "age": rng.normal(60, 15, n).round(),
        "sex": rng.choice(["F", "M"], n),
        "never measured": pa.nulls(n, pa.float64()),
        "sepsis": np.where(septic, "yes", "no"),
    })  # fmt: skip


@pytest.fixture(scope="module")
def report() -> Report:
    return evaluate(rare(1800, 1), rare(1800, 2, share=0.5), holdout=rare(1800, 3), target="sepsis")


def by_way(report: Report, learner: str) -> dict[str, RebalancingResult]:
    found = [each for each in report.results.rebalancing if each.learner == learner]
    return {each.way: each for each in found}


def test_what_growing_does_is_told_beside_what_costs_nothing(report: Report) -> None:
    ways = by_way(report, "logistic regression")
    assert list(ways) == WAYS
    before, after = ways["as they are"], ways["synthetic records"]
    assert before.level == "yes" and before.patients > 100
    assert after.added == ways["copies"].added == ways["SMOTENC"].added > 700
    assert before.added == ways["class weights"].added == 0
    # Right records of the class move the threshold, and teach nobody to rank better.
    assert after.balanced_accuracy.low > before.balanced_accuracy.high
    assert abs(after.auroc.value - before.auroc.value) < 0.03
    # Put back to the class shares of before, they leave the chances calibrated.
    assert after.slope.low < 1 < after.slope.high
    assert after.intercept.low < 0 < after.intercept.high
    assert after.brier.value < 1.1 * before.brier.value


@pytest.mark.slow
def test_records_of_the_class_that_know_nothing_show() -> None:
    useless = rare(2500, 2, share=0.5, told=0.0)
    report = evaluate(rare(2500, 1), useless, holdout=rare(2500, 3), target="sepsis")
    ways = by_way(report, "logistic regression")
    assert ways["as they are"].slope.high < 1.3 < ways["synthetic records"].slope.low
    trees = by_way(report, "boosted trees")
    assert trees["synthetic records"].auprc.value < trees["as they are"].auprc.value


def test_classes_that_are_common_or_hardly_there_are_not_judged() -> None:
    for share in (0.4, 0.01):
        real = rare(600, 1, share)
        report = evaluate(real, real.slice(1), holdout=rare(600, 3, share), target="sepsis")
        assert not report.results.rebalancing


def test_the_page_and_json_have_it(report: Report) -> None:
    page = report.to_html()
    assert "The rare class" in page and "synthetic records" in page
    told = json.loads(json.dumps(report.to_dict()))["rebalancing"]
    assert {each["way"] for each in told} >= set(WAYS)
    assert set(told[0]["auprc"]) == {"value", "low", "high"}
