"""Shapes, trends, missingness and coverage: against SDMetrics and against known answers."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pytest
from evaluated import midnight, patients, with_column

from synthehr.errors import InputError
from synthehr.evaluation import coverage, fidelity, histograms, missingness
from synthehr.evaluation.sdmetrics_face import is_installed, sdmetrics_scores
from synthehr.evaluation.views import Views, align

needs_sdmetrics = pytest.mark.skipif(not is_installed(), reason="sdmetrics is not installed")


def shape(views: Views) -> float:
    return float(np.nanmean(fidelity.shapes(views.real, views.synthetic, views.categorical)))


def trend(views: Views) -> float:
    return fidelity.trends(views.real, views.synthetic, views.categorical).mean


def coarse(n: int, seed: int) -> pa.Table:
    """Draw a table with a constant, an empty column, ties, infrequent levels and outliers."""
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "constant": np.ones(n),
            "empty": pa.nulls(n, pa.float64()),
            "tail": rng.pareto(1.0, n),
            "count": rng.poisson(1.0, n),
            "code": pa.array([f"c{k}" for k in rng.zipf(1.5, n) % 300]),
            "flag": pa.array(rng.random(n) < 0.1, mask=rng.random(n) < 0.5),
        }
    )


@needs_sdmetrics
@pytest.mark.parametrize(
    ("real", "synthetic"),
    [
        (patients(1500, 1), patients(1100, 2)),
        (patients(900, 3), patients(900, 4, shift=4)),
        (coarse(1200, 5), coarse(800, 6)),
    ],
    ids=["alike", "shifted", "coarse"],
)
def test_shape_and_trend_agree_with_sdmetrics(real, synthetic):
    views = align(real, synthetic)
    theirs = sdmetrics_scores(views.columns, views.real, views.synthetic)
    assert shape(views) == pytest.approx(theirs.shapes, abs=5e-4)
    assert trend(views) == pytest.approx(theirs.trends, abs=5e-4)


def test_without_sdmetrics_there_is_an_error_with_a_hint(monkeypatch):
    monkeypatch.setitem(sys.modules, "sdmetrics.reports", None)
    views = align(patients(100, 1), patients(100, 2))
    with pytest.raises(InputError, match="not installed") as caught:
        sdmetrics_scores(views.columns, views.real, views.synthetic)
    assert "pip install" in caught.value.hint


def test_identical_tables_score_one():
    table = patients(500, 1)
    views = align(table, table.take(pa.array(np.random.default_rng(0).permutation(500))))
    assert shape(views) == 1.0
    assert trend(views) == pytest.approx(1.0, abs=1e-12)
    found = missingness.missingness(views.real, views.synthetic, np.random.default_rng(0))
    assert found is not None
    assert found.largest.value == 0.0
    assert found.patterns == pytest.approx(1.0)


def test_a_shifted_column_loses_its_shape_and_no_other():
    views = align(patients(3000, 1), patients(3000, 2, shift=6))
    scores = fidelity.shapes(views.real, views.synthetic, views.categorical)
    by_name = dict(zip([c.name for c in views.columns], scores, strict=True))
    assert by_name["sodium"] == pytest.approx(0.317, abs=0.05)  # 2 Φ(-1)
    assert min(score for name, score in by_name.items() if name != "sodium") > 0.95


def test_a_column_torn_from_the_others_loses_its_trends():
    table = patients(3000, 1)
    torn = patients(3000, 2)
    order = pa.array(np.random.default_rng(0).permutation(3000))
    torn = with_column(torn, "pressure", torn.column("pressure").take(order).combine_chunks())
    views = align(table, torn)
    found = fidelity.trends(views.real, views.synthetic, views.categorical)
    names = [c.name for c in views.columns]
    age, pressure = names.index("age"), names.index("pressure")
    assert found.real[age, pressure] > 0.5
    assert abs(found.synthetic[age, pressure]) < 0.1
    assert found.score[age, pressure] < 0.75
    assert np.allclose(found.score, found.score.T, equal_nan=True)


def test_the_ceiling_of_a_small_held_out_table_is_that_of_a_large_one():
    real = patients(8000, 1)
    at_full = np.mean([shape(align(real, patients(8000, 2 + k))) for k in range(5)])
    small = [shape(align(real, patients(500, 10 + k))) for k in range(5)]
    rescaled = fidelity.rescaled(np.array(small), (8000, 500), (8000, 8000)).mean()
    assert np.mean(small) < at_full - 0.005
    assert rescaled == pytest.approx(at_full, abs=0.004)


def test_intervals_hold_the_figure_and_shrink_with_records():
    widths = []
    for n in (400, 6400):
        views = align(patients(n, 1), patients(n, 2))
        around = fidelity.interval(
            lambda a, b, c=views.categorical: float(np.nanmean(fidelity.shapes(a, b, c))),
            views.real,
            views.synthetic,
            shape(views),
            np.random.default_rng(0),
        )
        assert around.low <= around.value <= around.high
        widths.append(around.high - around.low)
    assert widths[1] < widths[0] / 2


def test_dates_of_any_unit_and_columns_in_any_order_are_aligned():
    real = patients(300, 1)
    days = real.column("admitted").cast(pa.int32()).to_pylist()
    moments = pa.array([midnight(day) for day in days], pa.timestamp("us"))
    other = with_column(real, "admitted", moments).select(real.column_names[::-1])
    views = align(real, other)
    assert np.array_equal(views.real.values, views.synthetic.values, equal_nan=True)
    assert [c.kind for c in views.columns if c.name == "admitted"] == ["date"]


@pytest.mark.parametrize(
    ("synthetic", "said"),
    [
        (patients(50, 2).drop_columns(["ward"]), "synthetic table lacks the column ward"),
        (patients(50, 2).append_column("mrn", pa.array(range(50))), "has the column mrn"),
        (with_column(patients(50, 2), "ward", np.arange(50)), "column ward holds text"),
        (patients(50, 2).slice(0, 0), "no rows"),
        (with_column(patients(50, 2), "ward", pa.array([[1]] * 50)), "nested"),
    ],
)
def test_tables_that_cannot_be_aligned_are_refused(synthetic, said):
    with pytest.raises(InputError) as caught:
        align(patients(50, 1), synthetic)
    assert said in caught.value.message
    assert caught.value.hint


def test_an_empty_column_may_have_any_type():
    real = with_column(patients(50, 1), "ward", pa.nulls(50))
    assert align(real, patients(50, 2)).columns[4].name == "ward"


def test_null_rates_and_patterns_that_differ_are_measured():
    real = patients(4000, 1)
    filled = with_column(
        patients(4000, 2), "pressure", np.random.default_rng(0).normal(125, 15, 4000)
    )
    views = align(real, filled)
    found = missingness.missingness(views.real, views.synthetic, np.random.default_rng(0))
    assert found is not None
    assert found.largest.value == pytest.approx(0.25, abs=0.03)
    assert found.largest.low < found.largest.value < found.largest.high
    assert found.patterns < 0.8


def test_rare_levels_that_are_missing_are_counted():
    real = patients(4000, 1)
    without = patients(4000, 2)
    lost = without.column("diagnosis").to_pylist()
    emptied = pa.array([None if level is None else "none" for level in lost])
    for synthetic, held in ((without, 1), (with_column(without, "diagnosis", emptied), 0)):
        views = align(real, synthetic)
        j = [c.name for c in views.columns].index("diagnosis")
        bands = coverage.rare_levels([coverage.levels_of(views.real, views.synthetic, j)], 4000)
        assert sum(band.levels for band in bands) == 1
        assert sum(band.covered for band in bands) == held
        assert max(band.covered_ceiling or 0 for band in bands) > 0.99


def test_precision_falls_for_implausible_and_recall_for_few_distinct_records():
    real, fresh = patients(1500, 1), patients(1500, 2)
    far = with_column(fresh, "sodium", np.random.default_rng(0).normal(170, 3, 1500))
    few = fresh.take(pa.array(np.arange(1500) % 30))
    scores = {}
    for name, synthetic in (("fresh", fresh), ("far", far), ("few", few)):
        views = align(real, synthetic)
        rng = np.random.default_rng(0)
        found = coverage.alpha_beta(views.real, views.synthetic, views.categorical, rng)
        assert found is not None
        scores[name] = found
    assert scores["fresh"].precision.value > 0.93
    assert scores["far"].precision.value < scores["fresh"].precision.value - 0.2
    assert scores["few"].recall.value < scores["fresh"].recall.value - 0.2


def test_histograms_name_no_level_and_no_extreme_of_few_patients():
    real = patients(600, 1)
    wards = real.column("ward").to_pylist()
    wards[:9] = ["only nine"] * 9
    sodium = real.column("sodium").to_numpy().copy()
    sodium[:9] = np.linspace(900, 999, 9)
    real = with_column(with_column(real, "ward", wards), "sodium", sodium)
    made = histograms.histograms(align(real, patients(600, 2), patients(600, 3)))
    by_name = {histogram.column: histogram for histogram in made}
    assert "only nine" not in by_name["ward"].labels
    assert max(by_name["sodium"].edges) < 200
    for histogram in made:
        shares = np.array([histogram.real, histogram.holdout])
        known = shares[np.isfinite(shares)]
        assert (known * 600 >= 8).all()  # a share is of the known cells, some are null
        assert np.nansum(histogram.synthetic) == pytest.approx(1.0)
