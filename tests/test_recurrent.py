"""Recurrent layers by hand: torch's states and gradients, and each patient's share of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from synthehr.errors import ConfigError
from synthehr.models.base import Loss
from synthehr.models.layers import PerColumnLinear
from synthehr.models.owners import rows_owned_by
from synthehr.models.recurrent import CellName, Recurrent
from synthehr.privacy.allowed import rehearse_on
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.slots import poisson
from tests.test_privacy_dpsgd import Net, engine_of, norm

CELLS: tuple[CellName, ...] = get_args(CellName)
LENGTHS = torch.tensor([5, 1, 3, 0, 4])
PATIENTS, LONGEST, WIDTH = len(LENGTHS), 5, 3


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer_of(cell: CellName, inputs: int = WIDTH, units: int = 4) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(inputs, units, cell)


def torchs(ours: Recurrent, cell: CellName) -> nn.RNNBase:
    """Torch's layer of the same weights."""
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
    theirs = kind(ours.input.in_features, ours.units, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input.weight)
        theirs.weight_hh_l0.copy_(ours.hidden.weight)
        theirs.bias_ih_l0.copy_(ours.input.bias)
        theirs.bias_hh_l0.zero_()
    return theirs


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_gradients_are_those_of_torch(cell: CellName) -> None:
    ours = layer_of(cell, 6, 8)
    theirs = torchs(ours, cell)
    x, state = drawn(7, 9, 6), drawn(7, ours.state_width, seed=2)
    outputs, inputs = [], []
    for layer in (ours, theirs):
        visits, start = x.clone().requires_grad_(), state.clone().requires_grad_()
        if layer is ours:
            outputs.append(ours(visits, start))
        else:
            parts = tuple(part[None].contiguous() for part in start.split(8, 1))
            outputs.append(theirs(visits, parts if cell == "lstm" else parts[0])[0])
        inputs.append((visits, start))
        (outputs[-1] * drawn(7, 9, 8, seed=3)).sum().backward()
    torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-5)
    for mine, other in zip(*inputs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-5)
    for weight, name in [
        (ours.input.weight, "weight_ih_l0"),
        (ours.hidden.weight, "weight_hh_l0"),
        (ours.input.bias, "bias_ih_l0"),
    ]:
        torch.testing.assert_close(
            weight.grad, theirs.get_parameter(name).grad, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("cell", CELLS)
def test_visit_by_visit_is_as_all_at_once(cell: CellName) -> None:
    layer, x = layer_of(cell), drawn(3, 6, WIDTH)
    state, found = layer.nothing_seen(3), []
    for visit in x.unbind(1):
        state = layer.step(visit, state)
        found.append(state[:, : layer.units])
    torch.testing.assert_close(torch.stack(found, 1), layer(x))
    with torch.no_grad():
        torch.testing.assert_close(torch.stack(found, 1), layer(x))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(0, 4), (3, 0)], ids=["nobody", "no visit"])
def test_nothing_to_read_is_no_error(cell: CellName, shape: tuple[int, int]) -> None:
    layer = layer_of(cell)
    layer(torch.zeros(*shape, WIDTH)).sum().backward()
    assert layer.input.weight.grad is not None
    assert not layer.input.weight.grad.any()


@pytest.mark.parametrize("cell", CELLS)
def test_halves_of_precision_train(cell: CellName) -> None:
    layer, x = layer_of(cell), drawn(3, 4, WIDTH)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        found.square().sum().backward()
        assert layer.step(x[:, 0], layer.nothing_seen(3)).dtype == torch.float32
    torch.testing.assert_close(found, layer(x), rtol=0.1, atol=0.05)
    assert layer.hidden.weight.grad is not None
    assert bool(layer.hidden.weight.grad.any())


class Visits(nn.Module):
    """Static map, recurrence, and layers that see a row a visit."""

    def __init__(self, cell: CellName = "lstm") -> None:
        super().__init__()
        torch.manual_seed(1)
        self.start = nn.Linear(2, 8 if cell == "lstm" else 4)
        self.codes = nn.Embedding(6, WIDTH)
        self.through = Recurrent(2 * WIDTH, 4, cell)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 6)
        self.columns = PerColumnLinear(2, 3, 2)
        self.token = nn.Embedding(5, 2)
        self.declared: Callable[[Tensor], AbstractContextManager[None]] = rows_owned_by
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.5)

    def forward(
        self, known: Tensor, x: Tensor, codes: Tensor, owners: Tensor, places: Tensor
    ) -> Tensor:
        """Losses, (B,), of padded visits (B, T, …), of which those at owners and places are."""
        embedded = self.codes(codes).tanh().sum(2)
        hidden = self.norm(self.through(torch.cat([x, embedded], 2), self.start(known).tanh()))
        with self.declared(owners):
            rows = self.columns(self.head(hidden[owners, places]).tanh().view(-1, 2, 3))
            rows = rows.flatten(1).sum(1) + self.token(codes[owners, places]).tanh().sum((1, 2))
        return torch.zeros(len(x)).index_add(0, owners, rows.square())


class Patients:
    """Made-up patients of several lengths; what stands behind a patient's end is noise."""

    def __init__(self, lengths: Tensor, longest: int, noise: int = 7) -> None:
        n = len(lengths)
        self.there = torch.arange(longest) < lengths[:, None]
        self.owners, self.places = self.there.nonzero(as_tuple=True)
        self.known = drawn(n, 2)
        self.x = drawn(n, longest, WIDTH, seed=noise)
        self.codes = torch.randint(
            5, (n, longest, 4), generator=torch.Generator().manual_seed(noise)
        )
        self.x[self.there] = drawn(n, 50, WIDTH, seed=8)[self.owners, self.places]
        self.codes[self.there] = (
            (drawn(n, 50, 4, seed=9).abs() * 2).long()[self.owners, self.places].clamp(max=4)
        )

    def losses(self, net: nn.Module) -> Tensor:
        return net(self.known, self.x, self.codes, self.owners, self.places)


def shares(engine: DpSgd, net: nn.Module, patients: Patients) -> list[Tensor]:
    """What each patient alone adds to the clipped sum, (B, …) for every weight."""
    n, weights = len(patients.x), list(net.parameters())
    each = []
    for patient in range(n):
        engine.slots.filled = torch.arange(n) == patient
        with engine.watching():
            each.append(engine.clipped_sum(patients.losses(net), weights))
    return [torch.stack(parts) for parts in zip(*each, strict=True)]


def one_by_one(net: nn.Module, patients: Patients) -> list[Tensor]:
    """Gradient of each patient's loss, (B, …) for every weight, by automatic differentiation."""
    weights = list(net.parameters())
    each = [torch.autograd.grad(loss, weights, retain_graph=True) for loss in patients.losses(net)]
    return [torch.stack(parts) for parts in zip(*each, strict=True)]


def clipped(gradients: list[Tensor], clip: float) -> list[Tensor]:
    norms = torch.stack([part.flatten(1).square().sum(1) for part in gradients]).sum(0).sqrt()
    scale = (clip / norms.clamp(min=1e-12)).clamp(max=1.0)
    return [(part.flatten(1) * scale[:, None]).view(part.shape) for part in gradients]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("longest", [2, 5, 40])
def test_a_patients_gradient_is_clipped_with_all_his_visits(cell: CellName, longest: int) -> None:
    net, patients = Visits(cell), Patients((LENGTHS * longest / 5).ceil(), longest)
    single = one_by_one(net, patients)
    norms = torch.stack([part.flatten(1).square().sum(1) for part in single]).sum(0).sqrt()
    clip = float(norms.median())
    engine = engine_of(Net(net), PATIENTS, clip=clip)
    found = shares(engine, net, patients)
    assert float(norms.max()) > clip
    for ours, theirs in zip(found, clipped(single, clip), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * clip)
    engine.slots.filled = torch.ones(PATIENTS, dtype=torch.bool)
    with engine.watching():
        together = engine.clipped_sum(patients.losses(net), list(net.parameters()))
    for ours, apart in zip(together, found, strict=True):
        torch.testing.assert_close(ours, apart.sum(0), rtol=1e-4, atol=1e-5 * clip)


def test_what_stands_behind_a_patients_end_changes_nothing() -> None:
    net, weights = Visits(), None
    for patients in (Patients(LENGTHS, 5), Patients(LENGTHS, 9), Patients(LENGTHS, 5, noise=77)):
        found = shares(engine_of(Net(net), PATIENTS, clip=1.0), net, patients)
        weights = weights or found
        for one, other in zip(weights, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_patients_may_go_through_in_parts_but_none_twice() -> None:
    layer, x = layer_of("lstm"), drawn(4, 5, WIDTH)
    model = Net(layer)
    weights, engine = list(layer.parameters()), engine_of(model, 4, clip=0.5)
    with engine.watching():
        whole = engine.clipped_sum(layer(x).square().sum((1, 2)), weights)

    def in_parts(*parts: list[int]) -> list[Tensor]:
        losses = torch.zeros(4)
        with engine.watching():
            for part in map(torch.tensor, parts):
                with rows_owned_by(part):
                    losses = losses.index_add(0, part, layer(x[part]).square().sum((1, 2)))
            return engine.clipped_sum(losses, weights)

    for one, other in zip(whole, in_parts([2, 0], [1, 3]), strict=True):
        torch.testing.assert_close(one, other)
    with pytest.raises(ConfigError, match="runs a layer twice"):
        in_parts([2, 0, 1], [1, 3])


def test_a_recurrent_network_learns_under_privacy() -> None:
    torch.manual_seed(0)
    walks = torch.sin(torch.arange(12) * 0.7 + 6 * torch.rand(1_000, 1))[..., None]
    net = nn.ModuleDict({"through": Recurrent(1, 8), "head": nn.Linear(8, 1)})
    engine = engine_of(Net(net), 150, clip=1.0, noise=0.3)
    engine.expected = 100.0
    optimiser = torch.optim.Adam(net.parameters(), lr=0.03)

    def losses(x: Tensor) -> Tensor:
        return (net["head"](net["through"](x[:, :-1])) - x[:, 1:]).square().sum((1, 2)) / 11

    before = losses(walks).mean()
    for _ in range(40):
        who, places = poisson(len(walks), 0.1, 150)
        engine.slots.filled = torch.zeros(150, dtype=torch.bool).index_fill_(0, places, True)
        with engine.watching():
            engine(Loss("net", per_record=losses(walks[who])), optimiser)
    assert engine.steps == 40
    assert losses(walks).mean() < 0.3 * before


def test_others_in_the_batch_change_nothing() -> None:
    net = Visits()
    found = shares(engine_of(Net(net), PATIENTS, clip=1.0), net, Patients(LENGTHS, 5))
    others = Patients(torch.tensor([5, 5, 3, 2, 0]), 5)
    others.known[1] += 1.0
    others.x[1] += 1.0
    again = shares(engine_of(Net(net), PATIENTS, clip=1.0), net, others)
    for one, other in zip(found, again, strict=True):
        torch.testing.assert_close(one[[0, 2]], other[[0, 2]], rtol=1e-5, atol=1e-6)


def test_a_patient_that_is_not_finite_counts_as_nothing() -> None:
    net, patients = Visits(), Patients(LENGTHS, 5)
    weights = list(net.parameters())
    sums = []
    for value in (0.0, float("nan")):
        patients.x[2, 1] = value
        engine = engine_of(Net(net), PATIENTS, clip=1.0)
        engine.slots.filled = torch.arange(PATIENTS) != 2 if value == 0.0 else LENGTHS >= 0
        with engine.watching():
            sums.append(engine.clipped_sum(patients.losses(net), weights))
    for one, other in zip(*sums, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("net", "rows", "why"),
    [
        (lambda: nn.Conv1d(3, 2, 1), (4, 3, 1), "Conv1d layers must not see single visits"),
        (lambda: nn.Linear(3, 2), (6, 3), "no patient's"),
    ],
    ids=["convolution", "rows of nobody"],
)
def test_rows_without_a_rule_or_an_owner_are_refused(
    net: Callable[[], nn.Module], rows: tuple[int, ...], why: str
) -> None:
    model = Net(net())
    engine, owners = engine_of(model, 2, clip=1.0), torch.tensor([0, 0, 0, 1])
    with engine.watching(), pytest.raises(ConfigError, match=why):
        with rows_owned_by(owners):
            found = model.net(torch.ones(rows)).flatten(1).sum(1)
        losses = torch.zeros(2).index_add(0, owners, found[:4])
        engine.clipped_sum(losses, list(model.parameters()))


def rehearsed(change: Callable[[Tensor, Patients, torch.Generator], Tensor], net: Visits) -> int:
    """Rehearse with patients of whom the first gets the longest history of all."""
    lengths = torch.tensor([2, 5, 1, 3, 0, 4, 4])
    longer = lengths.clone()
    longer[0] = 8
    model = Net(net)
    slots = engine_of(model, len(lengths), clip=1.0).slots

    def losses(patients: Patients, generator: torch.Generator) -> Iterator[Loss]:
        yield Loss("net", per_record=change(patients.losses(net), patients, generator))

    return rehearse_on(model, slots, losses, Patients(lengths, 5), Patients(longer, 8))


def as_it_is(losses: Tensor, patients: Patients, generator: torch.Generator) -> Tensor:
    return losses


def with_luck_by_visit(losses: Tensor, patients: Patients, generator: torch.Generator) -> Tensor:
    return losses * torch.rand(patients.x.shape[:2], generator=generator)[:, 0]


def by_visits_of_all(losses: Tensor, patients: Patients, generator: torch.Generator) -> Tensor:
    return losses / len(patients.owners)


def test_a_model_of_visits_may_be_private() -> None:
    assert rehearsed(as_it_is, Visits()) == 1


@pytest.mark.parametrize("change", [with_luck_by_visit, by_visits_of_all])
def test_losses_that_feel_the_visits_of_others_are_refused(
    change: Callable[[Tensor, Patients, torch.Generator], Tensor],
) -> None:
    with pytest.raises(ConfigError, match="hangs on other records"):
        rehearsed(change, Visits())


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        (lambda owners: rows_owned_by((owners + 1) % 7), "in the row of another"),
        (lambda owners: nullcontext(), "no patient's"),
    ],
    ids=["wrongly", "not at all"],
)
def test_visits_declared_as_others_are_refused(
    declared: Callable[[Tensor], AbstractContextManager[None]], why: str
) -> None:
    net = Visits()
    net.declared = declared
    with pytest.raises(ConfigError, match=why):
        rehearsed(as_it_is, net)


def opacus_gradients(ours: Recurrent, x: Tensor, cell: CellName) -> list[Tensor]:
    """Gradients of each patient's squared states, (B, …), by Opacus' layers and hooks."""
    from opacus.grad_sample import GradSampleModule
    from opacus.layers import DPGRU, DPLSTM, DPRNN

    kind = {"lstm": DPLSTM, "gru": DPGRU, "rnn": DPRNN}[cell]
    theirs = kind(ours.input.in_features, ours.units, batch_first=True)
    theirs.load_state_dict(torchs(ours, cell).state_dict())
    hooked = GradSampleModule(theirs, loss_reduction="sum")
    hooked(x)[0].square().sum().backward()
    names = ("weight_ih_l0", "bias_ih_l0", "weight_hh_l0")
    return [theirs.get_parameter(name).grad_sample for name in names]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.filterwarnings("ignore:Full backward hook is firing:UserWarning")
def test_norms_are_those_of_opacus(cell: CellName) -> None:
    ours, x = layer_of(cell, 6, 8), drawn(5, 7, 6)
    theirs = opacus_gradients(ours, x, cell)
    expected = torch.stack([part.flatten(1).square().sum(1) for part in theirs]).sum(0).sqrt()
    engine = engine_of(Net(ours), 5, clip=1e9)
    found = []
    for patient in range(5):
        engine.slots.filled = torch.arange(5) == patient
        with engine.watching():
            losses = ours(x).square().sum((1, 2))
            found.append(norm(engine.clipped_sum(losses, list(ours.parameters()))))
    torch.testing.assert_close(torch.tensor(found), expected, rtol=1e-4, atol=0.0)
