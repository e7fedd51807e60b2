"""Noisy measurements: what they keep, what they cost, and what never comes out of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synthehr.errors import ConfigError
from synthehr.privacy.domain import DecimalDomain, LevelDomain, NumberDomain, roundest
from synthehr.privacy.histograms import (
    END_HOLDERS,
    Question,
    answers,
    nearest_shares,
    resolutions,
    settled,
    shared_out,
    with_ends,
)
from synthehr.privacy.measure import domains_of, measure
from synthehr.schema.infer import infer

RNG = np.random.default_rng
N = 20_000


def records() -> pa.Table:
    rng = RNG(0)
    lab = np.round(rng.lognormal(1, 0.5, N), 1)
    lab[rng.random(N) < 0.3] = 0.0
    return pa.table({
        "age": pa.array(np.clip(rng.normal(60, 15, N), 18, 99).astype(int)),
        "lab": pa.array(lab, mask=rng.random(N) < 0.2),
        "income": pa.array(np.where(rng.random(N) < 0.9, 0, rng.integers(0, 100_000, N))),
        "sex": rng.choice(["F", "M"], N),
        "code": rng.choice([f"c{i}" for i in range(30)], N, p=np.arange(1, 31) / 465),
        "well": rng.random(N) < 0.7,
    })  # fmt: skip


def declared(table: pa.Table):
    schema = infer(table, pii="keep")
    bounds = {"age": (18.0, 99.0), "lab": (0.0, 50.0), "income": (0.0, 100_000.0)}
    levels = {"sex": ("F", "M"), "code": tuple(f"c{i}" for i in range(30))}
    return schema.with_columns(
        *(replace(schema[name], kind="numeric", bounds=ends) for name, ends in bounds.items()),
        *(replace(schema[name], kind="categorical", levels=all_) for name, all_ in levels.items()),
    )


def made_up(table: pa.Table, multiplier: float, rows: int = N) -> pa.Table:
    domains = domains_of(declared(records()), table.schema)
    return measure(
        table, domains, None, rows=rows, multiplier=multiplier, rng=RNG(1)
    ).table  # fmt: skip


def test_a_made_up_table_says_of_each_column_what_the_records_say() -> None:
    table = records()
    made = made_up(table, 5.0)
    assert made.schema == table.schema
    assert made.num_rows == N
    real, fake = table.to_pandas(), made.to_pandas()
    for name in ("age", "lab", "income"):
        assert stats.ks_2samp(real[name].dropna(), fake[name].dropna()).statistic < 0.02
    for name in ("sex", "code", "well"):
        shares = [frame[name].value_counts(normalize=True) for frame in (real, fake)]
        assert abs(shares[0] - shares[1].reindex(shares[0].index).fillna(0)).max() < 0.01
    assert abs(fake["lab"].isna().mean() - 0.2) < 0.01
    assert (fake["lab"] == 0).mean() == pytest.approx((real["lab"] == 0).mean(), abs=0.02)
    assert (fake["income"] == 0).mean() == pytest.approx(0.9, abs=0.02)
    assert (fake["lab"].dropna().round(1) == fake["lab"].dropna()).all()
    assert not fake[["age", "sex", "well"]].isna().any(axis=None)


def test_it_hangs_on_the_declared_number_of_rows_and_not_on_theirs() -> None:
    for rows in (N - 1, N, N + 1):
        made = made_up(records().slice(0, rows) if rows < N else records(), 5.0, rows=12_345)
        assert made.num_rows == 12_345


def test_nothing_beyond_the_declared_comes_out() -> None:
    table = records()
    odd = table.set_column(3, "sex", pa.array(["X"] * 500 + ["F"] * (N - 500)))
    odd = odd.set_column(0, "age", pa.array(np.where(np.arange(N) < 500, 7_000_000, 50)))
    made = made_up(odd, 1.0).to_pandas()
    assert set(made["sex"].dropna()) <= {"F", "M"}
    assert made["age"].max() <= 99
    assert made["sex"].isna().sum() == pytest.approx(500, abs=60)  # what is unknown is null


def test_the_noise_is_that_of_one_gaussian_over_all_histograms() -> None:
    questions = [Question(np.zeros(10, int), size) for size in (3_000, 7_000, 20_000, 10_000)]
    counts, deviation = answers(questions, np.zeros(10), 2.5)
    assert deviation == pytest.approx(5.0)
    drawn = np.concatenate(counts)
    low, high = stats.chi2.ppf([5e-10, 1 - 5e-10], len(drawn)) / len(drawn)
    assert low < (drawn**2).mean() / 25 < high


def test_a_patient_of_many_records_moves_a_histogram_by_one() -> None:
    table = records()
    patients = np.concatenate([np.zeros(5_000, int), np.arange(1, N - 4_999)])
    domains = domains_of(declared(table), table.schema)
    cells = domains["code"].locate(table["code"])
    weights = 1.0 / np.bincount(patients)[patients]
    with_, _ = answers([Question(cells, 31)], weights, 1e-9)
    without, _ = answers([Question(cells[5_000:], 31)], weights[5_000:], 1e-9)
    assert np.abs(with_[0] - without[0]).sum() == pytest.approx(1.0, abs=1e-6)


def test_a_cost_is_one_entry_that_names_no_column() -> None:
    table = records()
    measured = measure(
        table, domains_of(declared(table), table.schema), None,
        rows=N, multiplier=7.0, rng=RNG(0),
    )  # fmt: skip
    assert measured.entry.what == "one-way marginals of 6 columns"
    assert measured.entry.mechanism.noise_multiplier == 7.0


def test_what_is_not_declared_is_asked_for_by_name() -> None:
    table = records()
    schema = declared(table)
    open_ = schema.with_columns(
        replace(schema["age"], bounds=None), replace(schema["code"], levels=None)
    )
    with pytest.raises(ConfigError, match="the bounds of age and the levels of code"):
        domains_of(open_, table.schema)


@given(st.integers(1, 200_000))
def test_resolutions_end_at_the_finest_and_start_small(size: int) -> None:
    found = resolutions(size)
    assert found[-1] == size
    assert found[0] <= 64
    assert all(-(-fine // 16) == coarse for coarse, fine in pairwise(found))


@given(st.lists(st.floats(-50, 500), min_size=2, max_size=40), st.floats(0, 1_000))
def test_nearest_shares_sum_to_the_total_and_keep_the_order(
    counts: list[float], total: float
) -> None:
    found = nearest_shares(np.array([counts]), np.array([total]))[0]
    assert found.min() >= 0
    assert found.sum() == pytest.approx(total, abs=1e-6)
    assert (np.diff(found[np.argsort(counts)]) >= -1e-9).all()


@pytest.mark.parametrize("size", [1, 5, 64, 65, 1_000, 131_072])
def test_without_noise_every_histogram_is_settled_as_it_is(size: int) -> None:
    counts = np.zeros(size)
    counts[RNG(0).integers(0, size, 50)] += RNG(1).integers(1, 100, 50)
    sizes = resolutions(size)
    levels = []
    for place in range(len(sizes)):
        step = 16 ** (len(sizes) - 1 - place)
        levels.append(np.bincount(np.arange(size) // step, counts, sizes[place]))
    found, nulls = settled(levels, 30.0, counts.sum() + 30, 0.0)
    np.testing.assert_allclose(found, counts, atol=1e-6)
    assert nulls == pytest.approx(30)


def test_noise_alone_is_settled_as_hardly_anything_above_what_is_known() -> None:
    sizes = resolutions(131_072)
    levels = [RNG(place).normal(0, 50, size) for place, size in enumerate(sizes)]
    levels[0][3] += 10_000
    found, nulls = settled(levels, -20.0, 10_000, 50)
    coarse = np.add.reduceat(found, np.arange(0, len(found), 16 ** (len(sizes) - 1)))
    assert coarse[3] > 9_000
    assert found.sum() + nulls == pytest.approx(10_000)
    assert nulls == 0


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(0, 1_000))
def test_whole_counts_sum_to_the_total(counts: list[float], total: int) -> None:
    found = shared_out(np.array(counts), total)
    assert found.sum() == total
    assert found.min() >= 0


def test_the_roundest_number_of_a_cell_is_found() -> None:
    lows = np.array([-0.003, 19.9995, 0.1301, 99.0])
    np.testing.assert_allclose(roundest(lows, 0.01), [0.0, 20.0, 0.14, 99.0])


def test_decimals_are_settled_by_what_nearly_all_have() -> None:
    domain = DecimalDomain("x")
    values = np.append(np.round(RNG(0).normal(size=5_000), 2), RNG(1).normal(size=20))
    counts = np.bincount(domain.locate(pa.chunked_array([values])), minlength=domain.size)
    assert domain.settle(counts.astype(float), 5.0) == 2
    ragged = domain.locate(pa.chunked_array([RNG(1).normal(size=500)]))
    assert domain.settle(np.bincount(ragged, minlength=domain.size).astype(float), 5.0) is None


def test_cells_come_back_from_their_numbers() -> None:
    ages = pa.chunked_array([pa.array([18, 40, 99, None, 150, -3])])
    domain = NumberDomain("age", pa.int64(), 18.0, 99.0)
    cells = domain.locate(ages)
    assert cells.tolist() == [0, 22, 81, 82, 81, 0]
    counts = np.bincount(cells, minlength=domain.size)
    assert domain.fill(counts).to_pylist() == [18, 18, 40, 99, 99, None]
    sexes = LevelDomain("sex", pa.string(), ("F", "M"))
    cells = sexes.locate(pa.chunked_array([pa.array(["M", "X", None, "F"])]))
    assert cells.tolist() == [1, 2, 2, 0]
    assert sexes.fill(np.array([1, 0, 2])).to_pylist() == ["F", None, None]


def test_bounds_that_a_range_is_filled_up_to_are_held_and_others_are_not() -> None:
    counts = np.append(np.full(80, 100.0), np.zeros(20))
    found = with_ends(np.append(counts, np.zeros(100)), 20.0)
    assert found[-1] == 0
    found = with_ends(np.append(0.0, counts[:80]), 20.0)
    assert found[0] == END_HOLDERS
    assert (found[1:] == 100).all()


def test_a_spike_of_whole_numbers_in_a_wide_range_stays_one_value() -> None:
    amounts = np.where(RNG(3).random(N) < 0.4, 0, RNG(4).integers(1, 1_500_000, N))
    table = pa.table({"amount": np.where(RNG(5).random(N) < 0.1, 50_000, amounts)})
    domains = {"amount": NumberDomain("amount", pa.int64(), 0.0, 1_600_000.0)}
    made = measure(table, domains, None, rows=N, multiplier=5.0, rng=RNG(1)).table.to_pandas()
    assert (made["amount"] == 0).mean() == pytest.approx(0.36, abs=0.02)
    assert (made["amount"] == 50_000).mean() == pytest.approx(0.1, abs=0.02)
