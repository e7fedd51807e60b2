"""How batches are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from synthehr.batches import Balanced, Shuffled, balanced_columns
from synthehr.encode.fields import Field


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(n: int) -> Tensor:
    codes = torch.zeros((n, 2, 1), dtype=torch.int16)
    codes[:, 0, 0] = torch.arange(n)
    return codes


def column(*, ordered: bool, parts: int = 1) -> Field:
    positions = np.full((2, parts), 0.5) if ordered else None
    return Field("c", np.full(2, 0.5), np.full(2, parts), positions=positions)


def test_shuffled_takes_every_record_once_an_epoch() -> None:
    draw = Shuffled(numbered(100), 10, lambda epoch: epoch)
    batches = [draw(step, seeded(step)).codes for step in range(20)]
    assert all(batch.dtype == torch.int64 for batch in batches)
    epochs = [torch.cat(batches[start : start + 10])[:, 0, 0] for start in (0, 10)]
    assert all(epoch.sort().values.equal(torch.arange(100)) for epoch in epochs)
    assert not epochs[0].equal(epochs[1])


def test_shuffled_needs_no_history() -> None:
    one, other = (Shuffled(numbered(95), 10, lambda epoch: epoch) for _ in range(2))
    for step in range(31):
        last = one(step, seeded(step)).codes
    assert other(30, seeded(30)).codes.equal(last)
    assert isinstance(other.records, torch.Tensor) and other.records.dtype == torch.int16


def test_balanced_draws_tokens_by_the_logarithm_of_their_counts() -> None:
    rng = np.random.default_rng(0)
    tokens = np.stack(
        [np.repeat([0, 2, 3], [900, 90, 10]), rng.integers(0, 5, 1000), rng.integers(0, 9, 1000)], 1
    )
    codes = torch.from_numpy(np.stack([tokens, np.zeros_like(tokens)], 1).astype(np.int16))
    draw = Balanced(codes, 500, (0, 2))
    batches = [draw(step, seeded(step)) for step in range(200)]
    conditions = torch.cat([batch.condition for batch in batches if batch.condition is not None])
    drawn = torch.cat([batch.codes for batch in batches])
    held = drawn[torch.arange(len(drawn)), 0, conditions[:, 0]]
    assert held.equal(conditions[:, 1])
    assert (conditions[:, 0] == 0).double().mean().item() == pytest.approx(0.5, abs=0.01)
    weights = np.log1p([900, 0, 90, 10])
    found = np.bincount(conditions[conditions[:, 0] == 0, 1].numpy(), minlength=4)
    assert found / found.sum() == pytest.approx(weights / weights.sum(), abs=0.01)


def test_balanced_draws_each_holder_of_a_token_alike() -> None:
    codes = numbered(60)
    codes[:, 0, 0] = torch.arange(60) % 2
    codes[:, 1, 0] = torch.arange(60)
    draw = Balanced(codes, 600, (0,))
    parts = torch.cat([draw(step, seeded(step)).codes[:, 1, 0] for step in range(100)])
    assert torch.bincount(parts, minlength=60).double() == pytest.approx(1000, rel=0.15)


def test_balanced_prefers_columns_without_an_order() -> None:
    plain, whole, cut = column(ordered=False), column(ordered=True), column(ordered=True, parts=4)
    assert balanced_columns((cut, plain, whole)) == (1,)
    assert balanced_columns((cut, whole)) == (1,)
    assert balanced_columns((cut, cut)) == (0, 1)
