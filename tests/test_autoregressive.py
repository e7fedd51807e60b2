"""What the autoregressive model promises beyond the contract: exact conditions."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from cohort import AGE, DIAGNOSIS, LAB, SEX, cohort, fields_of, tensor
from torch import Tensor

from synthehr.models.any_order import ColumnCrossEntropy
from synthehr.models.autoregressive import Autoregressive
from synthehr.models.base import NOTHING_GIVEN, OPEN, Given
from synthehr.models.reveal import pick, spread
from synthehr.train import Runtime, train

RECORDS = cohort(4000, 0)
FIELDS = fields_of(RECORDS)


@pytest.fixture(scope="module")
def model() -> Autoregressive:
    config = Autoregressive.sized(FIELDS, len(RECORDS), {"width": 64, "dropout": 0.0})
    training = Autoregressive.train_config(FIELDS, len(RECORDS), config)
    torch.manual_seed(0)
    made = Autoregressive.build(FIELDS, config)
    train(
        made,
        tensor(RECORDS),
        tensor(cohort(500, 1)),
        dataclasses.replace(training, steps=600, learning_rate=3e-3, precision="float32"),
        seed=0,
        runtime=Runtime(torch.device("cpu"), fast_bfloat16=False),
    )
    return made


def draw(model: Autoregressive, n: int, given: Given = NOTHING_GIVEN) -> Tensor:
    return model.sample(n, given, torch.Generator().manual_seed(3))


def distance(one: Tensor, other: Tensor, column: int) -> float:
    """Total variation between two samples of a column's tokens."""
    size = FIELDS[column].size
    shares = [
        np.bincount(codes[:, 0, column], minlength=size) / len(codes) for codes in (one, other)
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def tokens(column: int, *allowed: int) -> Tensor:
    """Weights that allow some tokens of a column wholly."""
    field = FIELDS[column]
    weights = torch.zeros(field.size, int(field.parts.max()))
    weights[list(allowed)] = 1.0
    return weights


CONDITIONS = {
    "one set": {AGE: tokens(AGE, 2, 3, 7)},
    "two sets that hang on each other": {
        AGE: tokens(AGE, 0, 1, 6, 7),
        LAB: tokens(LAB, 5, 6),
    },
    "three sets": {
        SEX: tokens(SEX, 0, 1),
        AGE: tokens(AGE, 1, 2, 4),
        LAB: tokens(LAB, 0, 3, 4),
    },
}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_conditions_leave_the_joint_distribution_of_the_rest(
    model: Autoregressive, name: str
) -> None:
    allowed = CONDITIONS[name]
    everything = draw(model, 40_000)
    fits = torch.ones(len(everything), dtype=torch.bool)
    for column, weights in allowed.items():
        fits &= weights[everything[:, 0, column], 0] > 0
    wanted = everything[fits]
    drawn = draw(model, 4000, Given(None, allowed))
    assert len(wanted) > 700
    for column in (SEX, DIAGNOSIS, AGE, LAB):
        assert distance(wanted, drawn, column) < 0.07, FIELDS[column].column


def test_part_of_a_bin_weighs_as_much_as_it_holds(model: Autoregressive) -> None:
    weights = tokens(LAB, 2)
    weights[3] = torch.tensor([1.0, 0.5, 0.0, 0.0])
    everything = draw(model, 40_000)
    lab = everything[:, :, LAB]
    chance = weights[lab[:, 0], lab[:, 1]]
    wanted = everything[torch.rand(len(lab), generator=torch.Generator().manual_seed(0)) < chance]
    drawn = draw(model, 4000, Given(None, {LAB: weights}))
    for column in (DIAGNOSIS, LAB):
        assert distance(wanted, drawn, column) < 0.05


def test_a_known_bin_with_an_open_part_counts_as_known(model: Autoregressive) -> None:
    codes = torch.full((4000, 2, len(FIELDS)), OPEN)
    codes[:, 0, LAB] = 6
    drawn = draw(model, 4000, Given(codes))
    everything = draw(model, 30_000)
    wanted = everything[everything[:, 0, LAB] == 6]
    assert (drawn[:, 0, LAB] == 6).all()
    assert len(drawn[:, 1, LAB].unique()) == FIELDS[LAB].parts[6]
    assert distance(wanted, drawn, DIAGNOSIS) < 0.05


def test_finishing_gives_drawn_columns_the_learned_shares(model: Autoregressive) -> None:
    skewed = copy.deepcopy(model)
    with torch.no_grad():
        noise = torch.Generator().manual_seed(5)
        bias = skewed.network.token_head.bias
        bias += torch.randn(bias.shape, generator=noise)
    before, real = draw(skewed, 20_000), tensor(RECORDS)
    skewed.finish(real[:0])
    after = draw(skewed, 20_000)
    columns = range(len(FIELDS))
    assert max(distance(before, real, column) for column in columns) > 0.2
    assert max(distance(after, real, column) for column in columns) < 0.06


def test_finishing_leaves_completed_cells_as_they_are(model: Autoregressive) -> None:
    finished, holes = copy.deepcopy(model), tensor(RECORDS)[:500].clone()
    holes[:, :, LAB] = OPEN
    finished.shifts.fill_(3.0)
    before = finished.complete(holes, {}, torch.Generator().manual_seed(3))
    finished.finish(holes[:0])
    assert 0 < finished.shifts.abs().max() < 1
    assert torch.equal(finished.complete(holes, {}, torch.Generator().manual_seed(3)), before)


def test_held_out_loss_is_near_the_entropy_of_the_simulation(model: Autoregressive) -> None:
    records = cohort(60_000, 5)
    # The chain rule over the simulation's own order, each conditional counted on many records.
    chain = [(SEX,), (DIAGNOSIS, SEX), (AGE, DIAGNOSIS), (LAB, DIAGNOSIS), (4,)]
    entropy = sum(conditional_entropy(records[:, 0], *columns) for columns in chain)
    lab = records[:, 0, LAB] * 4 + records[:, 1, LAB]
    entropy += conditional_entropy(np.stack([lab, records[:, 0, LAB]], 1), 0, 1)
    loss = model.held_out_loss(torch.from_numpy(cohort(8000, 6)))
    assert entropy - 0.02 < loss < entropy + 0.12


def conditional_entropy(values: np.ndarray, column: int, *given: int) -> float:
    """Entropy in nats of a column given another."""

    def entropy(columns: list[int]) -> float:
        if not columns:
            return 0.0
        _, counts = np.unique(values[:, columns], axis=0, return_counts=True)
        shares = counts / counts.sum()
        return float(-(shares * np.log(shares)).sum())

    return entropy([column, *given]) - entropy(list(given))


def test_column_cross_entropy_is_that_of_each_column() -> None:
    sizes = [2, 5, 3]
    logits = torch.randn(7, sum(sizes), dtype=torch.float64, requires_grad=True)
    target = torch.stack([torch.randint(0, size, (7,)) for size in sizes], 1)
    starts = torch.tensor([0, 2, 7])
    membership = torch.repeat_interleave(torch.eye(3), torch.tensor(sizes), 0)
    losses = ColumnCrossEntropy.apply(logits, target + starts, membership)
    weights = torch.rand(7, 3)
    (gradient,) = torch.autograd.grad((losses * weights).sum(), logits)
    spans = logits.split(sizes, 1)
    expected = torch.stack(
        [
            torch.nn.functional.cross_entropy(span, target[:, i], reduction="none")
            for i, span in enumerate(spans)
        ],
        1,
    )
    (wanted,) = torch.autograd.grad((expected * weights).sum(), logits)
    torch.testing.assert_close(losses.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_pick_follows_the_chances_and_never_takes_what_has_none() -> None:
    logits = torch.tensor([-torch.inf, 0.0, 1.0, -torch.inf]).expand(50_000, 4)
    drawn = pick(logits, torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    assert shares[[0, 3]].sum() == 0
    assert abs(shares[2].item() - torch.sigmoid(torch.tensor(1.0)).item()) < 0.01


def test_even_draws_keep_each_records_chances_and_steady_the_counts() -> None:
    chances = torch.linspace(0.01, 0.2, 256)
    logits = torch.stack([(1 - chances).log(), chances.log()], 1)
    generator = torch.Generator().manual_seed(0)
    even = torch.stack([pick(logits, generator, evenly=True) for _ in range(2000)]).float()
    plain = torch.stack([pick(logits, generator) for _ in range(2000)]).float()
    assert (even.mean(0) - chances).abs().max() < 0.04
    assert even.sum(1).std() < 0.4 * plain.sum(1).std()


def test_even_numbers_of_one_order_are_independent_from_call_to_call() -> None:
    generator, order = torch.Generator().manual_seed(0), torch.arange(1024)
    calls = [spread(torch.rand(1024, generator=generator), order, generator) for _ in range(100)]
    assert torch.corrcoef(torch.stack(calls))[0, 1:].abs().max() < 0.15
    assert len((calls[0] * 1024).long().unique()) == 1024


@pytest.mark.parametrize("n", [0, 1, 3, 6, 1000])
def test_any_number_of_records_can_be_spread(n: int) -> None:
    generator = torch.Generator().manual_seed(0)
    spreaded = spread(torch.rand(n, generator=generator), torch.randperm(n), generator)
    assert spreaded.shape == (n,)
    assert ((spreaded >= 0) & (spreaded <= 1)).all()
