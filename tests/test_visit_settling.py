"""Settling: drawn patients come nearer to fitted ones in shares, in changes and in ends."""

from __future__ import annotations

import pytest
import torch
from encoded import encoded_visits
from torch import Tensor

from synthehr.demo import simulate_visits
from synthehr.models.leaning import Context
from synthehr.models.lstm import LSTM
from synthehr.models.sequence_base import Sequences
from synthehr.models.visit_cells import VisitCells
from synthehr.models.visit_settling import SHARPNESS_LIMITS, sharpen
from synthehr.models.visit_slopes import settle_slopes, slopes_of

COLUMNS = ["patient_id", "day", "sex", "state", "systolic", "egfr"]
ENCODER, RECORDS = encoded_visits(simulate_visits(150, 0, columns=COLUMNS))
FIELDS = ENCODER.fields
N = 6_000


def untrained() -> LSTM:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LSTM.sized(FIELDS, 150, {"hidden": 8, "width": 24, "blocks": 1})
        return LSTM.build(FIELDS, config).eval().requires_grad_(False)


def shares(codes: Tensor, column: int) -> Tensor:
    tokens = codes[:, 0, column].long()
    return torch.bincount(tokens, minlength=FIELDS.visits[column].size) / len(tokens)


def distance(drawn: Sequences) -> float:
    """Total variation from the fitted shares, the gap left out, mean over columns."""
    off = [
        0.5 * (shares(drawn.visits, column) - torch.from_numpy(field.shares)).abs().sum().item()
        for column, field in enumerate(FIELDS.visits)
        if column != FIELDS.gap
    ]
    return sum(off) / len(off)


def test_what_is_drawn_comes_nearer_to_the_patients() -> None:
    model, random = untrained(), torch.Generator().manual_seed(1)
    model.begin(RECORDS, random)
    bias = model.visits.block.token_head.bias
    bias.add_(torch.randn(bias.shape, generator=random))
    model.visits.ends.by_time.add_(1.0)
    before = model.sample(400, torch.Generator().manual_seed(2))
    model.adjust(RECORDS)
    after = model.sample(400, torch.Generator().manual_seed(2))
    assert distance(after) < 0.4 * distance(before)
    wanted = RECORDS.lengths.float().mean().item()
    assert after.lengths.float().mean().item() == pytest.approx(wanted, rel=0.2)
    assert before.lengths.float().mean().item() != pytest.approx(wanted, rel=0.3)


def test_columns_that_change_too_much_are_sharpened_and_others_are_not() -> None:
    model, systolic = untrained(), [field.column for field in FIELDS.visits].index("systolic")
    wild = RECORDS.visits.clone()
    wild[:, :, systolic] = wild[torch.randperm(len(wild)), :, systolic]
    sharpen(model.visits, FIELDS, RECORDS, Sequences(RECORDS.static, wild, RECORDS.starts))
    once = model.visits.sharpness[systolic].item()
    assert 1.05 < once <= SHARPNESS_LIMITS[1]
    others = torch.arange(len(FIELDS.visits)) != systolic
    assert torch.equal(model.visits.sharpness[others], torch.ones(int(others.sum())))
    sharpen(model.visits, FIELDS, Sequences(RECORDS.static, wild, RECORDS.starts), RECORDS)
    assert SHARPNESS_LIMITS[0] <= model.visits.sharpness[systolic] < once / 1.05


def test_sharpness_raises_the_odds_of_values_and_leaves_null_alone() -> None:
    network = untrained().visits
    network.block.token_head.weight.zero_()
    context = Context(torch.zeros(N, network.width))

    def drawn(sharpness: float) -> Tensor:
        network.sharpness.fill_(sharpness)
        is_first = torch.zeros(N, dtype=torch.bool)
        return VisitCells(network).draw(context, is_first, torch.Generator().manual_seed(1))

    plain, sharp = drawn(1.0), drawn(2.0)
    for column, field in enumerate(FIELDS.visits):
        if column == FIELDS.gap:
            continue
        before, after = shares(plain, column).double(), shares(sharp, column).double()
        values = torch.arange(field.size) != field.null
        if field.null is not None:
            assert after[field.null].item() == pytest.approx(before[field.null].item(), abs=0.02)
        wanted = before[values] ** 2 / (before[values] ** 2).sum()
        assert (after[values] / after[values].sum() - wanted).abs().max() < 0.03, field.column


def test_slopes_are_moved_toward_those_of_the_patients() -> None:
    network, random = untrained().visits, torch.Generator().manual_seed(1)
    leanings = network.block.leanings
    assert leanings is not None
    egfr = leanings.places[[field.column for field in FIELDS.visits].index("egfr")]
    wanted = slopes_of(network, RECORDS)
    once = torch.cat([torch.ones(len(RECORDS), 1), network.once_of(RECORDS.static.long())], 1)
    mixed = RECORDS.visits[torch.randperm(len(RECORDS.visits), generator=random)]
    still = Sequences(RECORDS.static, mixed, RECORDS.starts)
    lacking = (once @ (wanted - slopes_of(network, still)))[:, egfr].mean()
    assert lacking < 0
    settle_slopes(network, wanted, still, 1.0)
    moved = network.slopes_for(RECORDS.static.long())[:, egfr]
    assert moved.mean().item() == pytest.approx(lacking.item(), rel=1e-3)
