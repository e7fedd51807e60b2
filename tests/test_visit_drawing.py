"""Drawing the cells of visits: as the network says, and in no more passes than it takes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from encoded import encoded_visits
from torch import Tensor

from synthehr.demo import simulate_visits
from synthehr.models.base import OPEN
from synthehr.models.completing import complete_records
from synthehr.models.layers import Residual
from synthehr.models.leaning import MOST_DRIFT, Context, LastSeen
from synthehr.models.lstm import LSTM
from synthehr.models.visit_cells import VisitCells
from synthehr.models.visit_drawing import draw_visits
from synthehr.models.visit_network import VisitNetwork
from synthehr.models.visit_passes import settle_passes
from synthehr.run.visits.drawing import BLOCK, FIRST_BLOCK, stretches

COLUMNS = ["patient_id", "day", "sex", "state", "systolic", "egfr", "glucose", "infection"]
ENCODER, RECORDS = encoded_visits(simulate_visits(80, 0, columns=COLUMNS))
FIELDS = ENCODER.fields
N = 3_000


def network(strength: float) -> VisitNetwork:
    """A network in which columns tell of each other, more or less; nothing is learned."""
    torch.manual_seed(0)
    model = LSTM.build(FIELDS, LSTM.sized(FIELDS, 80, {"hidden": 8, "width": 24, "blocks": 1}))
    made = model.visits.eval().requires_grad_(False)
    made.block.cells.input.weight.mul_(strength)
    made.block.token_head.weight.mul_(10)
    assert made.block.leanings is not None
    made.block.leanings.head.weight.mul_(4)
    for layer in made.block.body:
        if isinstance(layer, Residual):
            layer.fall.weight.normal_(std=0.2)
    return made


@pytest.fixture(scope="module")
def dependent() -> Iterator[VisitNetwork]:
    yield network(4.0)


def known_of(n: int, *, alike: bool = True, slope: float | None = None) -> Context:
    """What is known of n patients, who are alike, or of whom each is another one."""
    each = 1 if alike else n
    columns = sum(field.positions is not None for field in FIELDS.visits) - 1
    last, mean = torch.randn(2, each, columns)
    seen = torch.ones(n, columns)
    last_seen = LastSeen(last.expand(n, -1), mean.expand(n, -1), seen)
    if slope is not None:
        last_seen = last_seen._replace(slopes=torch.full((n, columns), slope))
    return Context(torch.randn(each, 24).expand(n, -1), last_seen)


def drawn(made: VisitNetwork, is_first: Tensor, context: Context) -> Tensor:
    return VisitCells(made).draw(context, is_first, torch.Generator().manual_seed(1))


def surprise(made: VisitNetwork, codes: Tensor, context: Context) -> Tensor:
    """Negative log-likelihood of visits, each column given those before it; (n,)."""
    total = torch.zeros(len(codes))
    for column in range(len(FIELDS.visits)):
        known = torch.zeros_like(codes[:, 0], dtype=torch.bool)
        known[:, :column] = True
        if column != FIELDS.gap:
            total += made.block.cross_entropy(codes, known, context)[:, column]
    return total


@pytest.mark.parametrize("first", [True, False])
def test_cells_are_drawn_as_the_network_says(dependent: VisitNetwork, first: bool) -> None:
    context = known_of(N)
    codes = drawn(dependent, torch.full((N,), first), context)
    gap = FIELDS.visits[FIELDS.gap]
    assert gap.null is not None
    assert ((codes[:, 0, FIELDS.gap] == gap.null) == first).all()
    given = torch.full_like(codes, OPEN)
    given[:, :, FIELDS.gap] = codes[:, :, FIELDS.gap]
    random = torch.Generator().manual_seed(2)
    other = complete_records(dependent.block, FIELDS.visits, given, {}, random, context=context)
    a, b = surprise(dependent, codes, context), surprise(dependent, other, context)
    assert abs(a.mean() - b.mean()) < 4 * (a.var() / N + b.var() / N).sqrt()
    for column, field in enumerate(FIELDS.visits):
        shares = [
            torch.bincount(each[:, 0, column], minlength=field.size) / N for each in (codes, other)
        ]
        assert (shares[0] - shares[1]).abs().max() < 0.05, field.column
        assert (codes[:, 1, column] < torch.from_numpy(field.parts)[codes[:, 0, column]]).all()


def test_first_visits_and_others_go_together(dependent: VisitNetwork) -> None:
    is_first = torch.arange(200) % 2 == 0
    codes = drawn(dependent, is_first, known_of(200, alike=False))
    assert torch.equal(codes[:, 0, FIELDS.gap] == FIELDS.visits[FIELDS.gap].null, is_first)


def test_columns_that_tell_nothing_of_each_other_are_one_pass() -> None:
    alone, random = network(0.0), torch.Generator().manual_seed(0)
    settle_passes(alone, RECORDS, random)
    after = [column for column in range(len(alone.passes)) if column > FIELDS.gap]
    assert len({int(alone.passes[column]) for column in after}) == 1
    assert int(alone.passes[FIELDS.gap]) not in alone.passes[after].tolist()
    context = known_of(N)
    one = drawn(alone, torch.zeros(N, dtype=torch.bool), context)
    alone.passes.copy_(torch.arange(len(alone.passes)))
    each = drawn(alone, torch.zeros(N, dtype=torch.bool), context)
    assert torch.equal(one, each)


def test_columns_that_tell_of_each_other_have_passes_of_their_own(dependent: VisitNetwork) -> None:
    random = torch.Generator().manual_seed(0)
    some = draw_visits(dependent, FIELDS, RECORDS.static.long(), 20, random)
    settle_passes(dependent, some, random)
    assert len(set(dependent.passes.tolist())) > len(FIELDS.visits) / 2
    dependent.passes.copy_(torch.arange(len(dependent.passes)))


def test_slopes_move_columns_over_gaps_and_not_far(dependent: VisitNetwork) -> None:
    egfr = [field.column for field in FIELDS.visits].index("egfr")
    means = []
    for slope in (-9.0, 0.0, 9.0):
        torch.manual_seed(3)
        codes = drawn(dependent, torch.zeros(N, dtype=torch.bool), known_of(N, slope=slope))
        means.append(dependent.course.score(codes)[:, egfr].mean().item())
    gap = dependent.course.lengths(codes).mean().item()
    assert means[0] < means[1] < means[2]
    assert means[2] - means[0] < 2 * 2 * MOST_DRIFT * gap


def test_blocks_hang_on_places_alone_and_few_patients_are_a_small_one() -> None:
    many = list(stretches(5_000))
    assert many[0][1:] == (0, FIRST_BLOCK)
    assert [part.stop for part in many[:-1]] == [part.start for part in many[1:]]
    assert max(part.stop - part.start for part in many) == BLOCK
    assert many[-1].stop >= 5_000
    for n in (1, 32, 33, 1_500):
        assert list(stretches(n)) == many[: len(list(stretches(n)))]
