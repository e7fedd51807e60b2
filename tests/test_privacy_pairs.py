"""Pairs of columns: coarse cells, noised counts, the choice of pairs, and models that match."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synthehr.encode.fields import Field, Fields
from synthehr.models.autoregressive import Autoregressive, AutoregressiveConfig
from synthehr.models.base import NOTHING_GIVEN
from synthehr.privacy.cells import coarse_cells
from synthehr.privacy.matching import match, match_weights
from synthehr.privacy.pairs import (
    LEAST_CELLS,
    MOST_CELLS,
    MOST_PAIRS,
    SELECTION,
    dependence,
    measure_pairs,
)
from tests.tiny import CPU

RNG = np.random.default_rng
N = 20_000


def even(name: str, size: int) -> Field:
    return Field(name, np.full(size, 1 / size), np.ones(size, int))


def columns(n: int, size: int = 3) -> Fields:
    return tuple(even(f"c{place}", size) for place in range(n))


def pair_of_twins(n: int = N) -> np.ndarray:
    """Two columns of four tokens that agree in 7 of 10 records; (n, 2)."""
    rng = RNG(0)
    first = rng.integers(0, 4, n)
    return np.stack([first, np.where(rng.random(n) < 0.6, first, rng.integers(0, 4, n))], axis=1)


@pytest.mark.parametrize(
    ("multiplier", "cells"), [(1.0, MOST_CELLS), (100.0, 8), (1e6, LEAST_CELLS)]
)
def test_the_more_noise_the_coarser_the_cells(multiplier: float, cells: int) -> None:
    drawn = RNG(6).integers(0, 40, (N, 2))
    pairs, _ = measure_pairs(drawn, columns(2, 40), None, rows=N, multiplier=multiplier)
    assert pairs.sizes == (cells, cells)
    # An even share stands out of the noise, unless cells are as coarse as they get.
    assert cells == LEAST_CELLS or 1 / cells**2 > 3 * pairs.deviation


@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=60),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
)
def test_cells_are_few_and_leave_null_and_the_order_alone(
    held: list[float], most: int, ordered: bool, with_null: bool
) -> None:
    shares = np.array(held) / sum(held)
    null = 0 if with_null and len(shares) > 1 else None
    positions = np.linspace(0, 1, len(shares))[:, None] if ordered else None
    field = Field("c", shares, np.ones(len(shares), int), null, positions)
    cells = coarse_cells(field, most)
    assert set(cells) == set(range(cells.max() + 1))
    rest = cells if null is None else cells[1:]
    assert len(set(rest)) == min(most, len(rest))
    if null is not None:
        assert (cells == 0).sum() == 1
    if ordered:
        assert (np.diff(rest) >= 0).all()


def test_a_common_token_stays_alone() -> None:
    shares = np.append(np.full(99, 0.001), 0.901)[RNG(0).permutation(100)]
    field = Field("c", shares, np.ones(100, int), None, np.linspace(0, 1, 100)[:, None])
    cells = coarse_cells(field, 12)
    assert (cells == cells[shares.argmax()]).sum() == 1
    assert np.bincount(cells).max() <= 2 * 99 / 9


def test_the_noise_is_that_of_one_gaussian_over_all_pairs() -> None:
    fields = columns(10, 16)
    pairs, entry = measure_pairs(np.zeros((0, 10), int), fields, None, rows=5000, multiplier=2.0)
    assert len(pairs.columns) == 45
    assert pairs.deviation == pytest.approx(2.0 * 45**0.5 / 5000)
    drawn = np.concatenate(pairs.shares) / pairs.deviation
    low, high = stats.chi2.ppf([5e-10, 1 - 5e-10], len(drawn)) / len(drawn)
    assert low < (drawn**2).mean() < high
    assert entry.mechanism.noise_multiplier == 2.0
    assert entry.what == "two-way marginals of 45 pairs of columns"


def test_a_patient_of_many_records_moves_each_pair_by_one() -> None:
    fields, tokens = columns(4), RNG(1).integers(0, 3, (900, 4))
    patients = np.concatenate([np.zeros(500, int), np.arange(1, 401)])
    with_, _ = measure_pairs(tokens, fields, patients, rows=1, multiplier=1e-9)
    without, _ = measure_pairs(tokens[500:], fields, patients[500:] - 1, rows=1, multiplier=1e-9)
    for one, other in zip(with_.shares, without.shares, strict=True):
        assert np.abs(one - other).sum() == pytest.approx(1.0, abs=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_one_patient_moves_a_score_by_one_at_most(seed: int, records: int) -> None:
    rng = RNG(seed)
    cells, weights = rng.integers(0, 6, 40), np.ones(40)
    weights[:records] = 1 / records
    public = rng.dirichlet(np.ones(2)) * 37, rng.dirichlet(np.ones(3))
    scores = [
        dependence(cells[first:], weights[first:], public[0], public[1]) for first in (0, records)
    ]
    assert abs(scores[0] - scores[1]) <= 1 + 1e-9


def test_among_many_pairs_the_dependent_ones_are_counted_at_no_further_cost() -> None:
    fields = columns(40)
    tokens = RNG(2).integers(0, 3, (N, 40))
    tokens[:, 1::2] = np.where(RNG(3).random((N, 20)) < 0.5, tokens[:, ::2], tokens[:, 1::2])
    pairs, entry = measure_pairs(tokens, fields, None, rows=N, multiplier=5.0)
    assert len(pairs.columns) == MOST_PAIRS
    assert {(place, place + 1) for place in range(0, 40, 2)} <= set(pairs.columns)
    assert entry.mechanism.noise_multiplier == 5.0
    # what the choice cost is missing from the counts
    counts = 5.0 / (1 - SELECTION) ** 0.5
    assert pairs.deviation * N == pytest.approx(counts * MOST_PAIRS**0.5)


def test_of_few_patients_few_pairs_are_counted_and_each_column_once_at_least() -> None:
    fields = columns(12)
    tokens = RNG(2).integers(0, 3, (N, 12))
    few, _ = measure_pairs(tokens, fields, None, rows=N, multiplier=0.006 * N / 4)
    many, _ = measure_pairs(tokens, fields, None, rows=N, multiplier=0.006 * N / 66**0.5)
    assert (len(few.columns), len(many.columns)) == (16, 66)
    assert few.deviation < many.deviation * 1.2
    fewest, _ = measure_pairs(tokens, fields, None, rows=N, multiplier=float(N))
    assert {place for pair in fewest.columns for place in pair} == set(range(12))


def test_weights_bring_the_measured_marginals_about() -> None:
    fields, tokens = columns(2, 4), pair_of_twins()
    pairs, _ = measure_pairs(tokens, fields, None, rows=N, multiplier=1.0)
    drawn = RNG(4).integers(0, 4, (N, 2))
    weights = match_weights(drawn, fields, pairs)
    assert weights.min() > 0
    assert weights.sum() == pytest.approx(1.0)
    assert (weights * (drawn[:, 0] == drawn[:, 1])).sum() == pytest.approx(0.7, abs=0.01)


def test_weights_do_not_follow_the_noise() -> None:
    fields = columns(2, LEAST_CELLS)
    drawn = RNG(5).integers(0, LEAST_CELLS, (N, 2))
    pairs, _ = measure_pairs(drawn, fields, None, rows=N, multiplier=1000.0)
    weights = match_weights(drawn, fields, pairs)
    noised = np.abs(pairs.shares[0] - 1 / LEAST_CELLS**2).sum()
    followed = np.abs(
        np.bincount(pairs.located(drawn)[0], weights, LEAST_CELLS**2) - 1 / LEAST_CELLS**2
    ).sum()
    assert followed < 0.2 * noised


def test_a_single_column_has_no_pairs_and_can_be_matched() -> None:
    fields = columns(1, 4)
    pairs, _ = measure_pairs(np.zeros((9, 1), int), fields, None, rows=9, multiplier=1.0)
    assert pairs.columns == ()
    drawn = RNG(6).choice(4, (N, 1), p=[0.7, 0.1, 0.1, 0.1])
    weights = match_weights(drawn, fields, pairs)
    assert np.bincount(drawn[:, 0], weights) == pytest.approx(0.25, abs=0.01)


def matched(seed: int) -> torch.Tensor:
    fields = columns(2, 4)
    tokens = pair_of_twins()
    codes = torch.zeros((200, 2, 2), dtype=torch.int16)
    pairs, _ = measure_pairs(tokens, fields, None, rows=N, multiplier=1e-9)
    torch.manual_seed(seed)
    model = Autoregressive.build(fields, AutoregressiveConfig(width=32, blocks=1, embedding=4))
    match(
        model,
        fields,
        pairs,
        codes,
        rounds=2,
        steps=80,
        drawn=65_536,
        learning_rate=5e-3,
        seed=seed,
        runtime=CPU,
    )
    return model.sample(4096, NOTHING_GIVEN, torch.Generator().manual_seed(0))[:, 0]


def test_a_model_that_saw_no_record_learns_what_was_measured() -> None:
    drawn = matched(0)
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() == pytest.approx(0.7, abs=0.04)
    assert torch.bincount(drawn[:, 0]).min() > 900


def test_equal_seeds_give_equal_models() -> None:
    assert torch.equal(matched(1), matched(1))
