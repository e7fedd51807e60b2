"""DP-SGD: exact gradients record by record, clipped, noised, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.encode.fields import Field, Fields
from synthehr.errors import ConfigError
from synthehr.models.any_order import AnyOrderNetwork
from synthehr.models.autoregressive import Autoregressive, AutoregressiveConfig
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.models.layers import PerColumnLinear
from synthehr.models.vae import VAE
from synthehr.privacy.allowed import refuse_foreign_layers, rehearse
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.slots import Slots
from synthehr.train import train
from tests.tiny import CPU

FIELDS: Fields = (
    Field("a", np.array([0.5, 0.3, 0.2]), np.ones(3, int)),
    Field(
        "b",
        np.full(4, 0.25),
        np.array([1, 3, 3, 2]),
        null=0,
        positions=np.linspace(0.05, 0.95, 12).reshape(4, 3),
        part_shares=np.array([[1, 0, 0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.5, 0.5, 0]]),
    ),
    Field("c", np.array([0.9, 0.1]), np.ones(2, int)),
)


@dataclass(frozen=True)
class NetConfig:
    pass


class Net(Model):
    """A model around any network of floats: its input is the tokens."""

    Config = NetConfig

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    @classmethod
    def build(cls, fields: Fields, config: Any) -> Self:
        raise NotImplementedError

    @classmethod
    def sized(cls, fields: Fields, n_records: int, settings: Mapping[str, Any]) -> NetConfig:
        return NetConfig()

    @classmethod
    def train_config(cls, fields: Fields, n_records: int, config: Any) -> TrainConfig:
        return TrainConfig(steps=10)

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("net", per_record=self.net(batch.codes[:, 0].float()).flatten(1).square().sum(1))

    def sample(self, n: int, given: Given, generator: torch.Generator) -> Tensor:
        raise NotImplementedError

    def held_out_loss(self, codes: Tensor) -> float:
        raise NotImplementedError


class Shape(nn.Module):
    """Reshape what comes in."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


class Rounded(nn.Module):
    """Turn floats into indices."""

    def forward(self, x: Tensor) -> Tensor:
        return x.long()


NETS = {
    "linear": lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2, bias=False)),
    "linear at few places": lambda: nn.Sequential(Shape(2, 3), nn.Linear(3, 70), nn.Tanh()),
    "linear at many places": lambda: nn.Sequential(Shape(6, 1), nn.Linear(1, 2), nn.Tanh()),
    "linear at a grid": lambda: nn.Sequential(Shape(2, 3, 1), nn.Linear(1, 2), nn.Tanh()),
    "embedding": lambda: nn.Sequential(Rounded(), nn.Embedding(4, 3), nn.Tanh()),
    "norm": lambda: nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6)),
    "norm at places": lambda: nn.Sequential(Shape(2, 3), nn.LayerNorm(3, bias=False), nn.Tanh()),
    "columns": lambda: nn.Sequential(Shape(2, 3), nn.Linear(3, 3), PerColumnLinear(2, 3, 4)),
    "convolution and back": lambda: nn.Sequential(
        Shape(1, 2, 3), nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Tanh(),
        nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.GroupNorm(3, 3), nn.Tanh(),
        nn.Conv2d(3, 2, (2, 3), 2, bias=False),
    ),
    "wide convolutions": lambda: nn.Sequential(
        Shape(1, 2, 3), nn.Conv2d(1, 24, 2, stride=2, padding=1, dilation=2), nn.Tanh(),
        nn.ConvTranspose2d(24, 20, (3, 4), 3, 1, output_padding=(1, 2), bias=False), nn.Tanh(),
    ),
    "convolution in groups": lambda: nn.Sequential(
        Shape(1, 2, 3), nn.Conv2d(1, 4, 2, padding=1), nn.GroupNorm(2, 4), nn.Tanh(),
        nn.Conv2d(4, 2, 2, groups=2),
    ),
    "convolution of series": lambda: nn.Sequential(Shape(2, 3), nn.Conv1d(2, 3, 2), nn.Tanh()),
}  # fmt: skip


def made(name: str) -> Net:
    torch.manual_seed(3)
    net = NETS[name]()
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return Net(net)


def engine_of(model: Model, n: int, *, clip: float, noise: float = 0.0) -> DpSgd:
    slots = Slots(torch.zeros((n, 2, 1), dtype=torch.int16), None, 1.0, n)
    slots.filled = torch.ones(n, dtype=torch.bool)
    return DpSgd(model, slots, clip=clip, noise_multiplier=noise, expected=1.0)


def tokens(n: int, columns: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    codes = torch.zeros((n, 2, columns), dtype=torch.int64)
    codes[:, 0] = torch.randint(4, (n, columns), generator=generator)
    return codes


def losses_of(model: Model, codes: Tensor) -> Tensor:
    torch.manual_seed(0)
    (loss,) = list(model.losses(Batch(codes, None, torch.default_generator), 0))
    assert loss.per_record is not None
    return loss.per_record


def weights_of(model: Model) -> list[Tensor]:
    return list(model.parameters())


def one_by_one(model: Model, codes: Tensor) -> list[list[Tensor]]:
    """Gradient of each record's loss, by plain automatic differentiation."""
    return [
        list(torch.autograd.grad(losses_of(model, codes)[record], weights_of(model)))
        for record in range(len(codes))
    ]


def norm(gradient: list[Tensor]) -> float:
    return float(torch.cat([part.flatten() for part in gradient]).norm())


@pytest.mark.parametrize("name", NETS)
def test_the_sum_is_that_of_each_records_gradient_clipped(name: str) -> None:
    model, codes = made(name), tokens(9)
    single = one_by_one(model, codes)
    norms = [norm(gradient) for gradient in single]
    clip = float(np.median(norms))
    expected = [
        sum(part * min(1.0, clip / size) for part, size in zip(parts, norms, strict=True))
        for parts in zip(*single, strict=True)
    ]
    engine = engine_of(model, 9, clip=clip)
    with engine.watching():
        found = engine.clipped_sum(losses_of(model, codes), weights_of(model))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * clip)


@pytest.mark.parametrize("name", NETS)
def test_no_record_contributes_more_than_the_clip(name: str) -> None:
    model, codes = made(name), tokens(5)
    engine = engine_of(model, 5, clip=1e-3)
    for record in range(5):
        engine.slots.filled = torch.arange(5) == record
        with engine.watching():
            assert norm(engine.clipped_sum(losses_of(model, codes), weights_of(model))) <= 1e-3


def test_the_default_model_is_clipped_exactly() -> None:
    torch.manual_seed(0)
    model = Autoregressive.build(FIELDS, AutoregressiveConfig(width=16, embedding=4, dropout=0.2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    codes = tokens(12, 3) % torch.tensor([3, 4, 2])
    codes[:, 1, 1] = torch.tensor([0, 1, 2, 1])[codes[:, 0, 1]]
    single = one_by_one(model, codes)
    norms = [norm(gradient) for gradient in single]
    clip = float(np.median(norms))
    engine = engine_of(model, 12, clip=clip)
    with engine.watching():
        found = engine.clipped_sum(losses_of(model, codes), weights_of(model))
    for index, ours in enumerate(found):
        theirs = sum(
            gradient[index] * min(1.0, clip / size)
            for gradient, size in zip(single, norms, strict=True)
        )
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * clip)


def test_changing_one_record_leaves_the_others_alone() -> None:
    model, codes = made("linear"), tokens(6)
    other = codes.clone()
    other[2] = (other[2] + 1) % 4
    engine = engine_of(model, 6, clip=0.5)
    engine.slots.filled = torch.arange(6) != 2
    sums = []
    for some in (codes, other):
        with engine.watching():
            sums.append(engine.clipped_sum(losses_of(model, some), weights_of(model)))
    for one, two in zip(*sums, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_record_that_is_not_finite_counts_as_nothing(poison: float) -> None:
    model, codes = made("linear"), tokens(4)
    engine = engine_of(model, 4, clip=1.0)

    def summed(poisoned: bool) -> list[Tensor]:
        engine.slots.filled = torch.tensor([True, True, poisoned, True])
        x = codes[:, 0].float()
        if poisoned:
            x[2, 0] = poison
        with engine.watching():
            losses = model.net(x).square().sum(1)
            return engine.clipped_sum(losses, weights_of(model))

    for one, two in zip(summed(True), summed(False), strict=True):
        torch.testing.assert_close(one, two)


def test_noise_has_the_variance_that_is_charged_and_no_seed() -> None:
    model = made("linear")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.0)
    engine = engine_of(model, 4, clip=0.7, noise=3.0)
    engine.slots.filled = torch.zeros(4, dtype=torch.bool)  # an empty batch is noised as well
    drawn = []
    with engine.watching():
        for _ in range(600):
            torch.manual_seed(0)
            engine(Loss("net", per_record=losses_of(model, tokens(4))), optimiser)
            drawn.append(torch.cat([weight.grad.flatten() for weight in weights_of(model)]))
    values = torch.stack(drawn).double().numpy() / (0.7 * 3.0)
    low, high = stats.chi2.ppf([5e-10, 1 - 5e-10], values.size) / values.size
    assert low < (values**2).mean() < high
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-9
    assert engine.steps == 600


def test_the_public_part_is_added_after_the_noise_and_not_clipped() -> None:
    model = made("linear")
    weights = weights_of(model)
    optimiser = torch.optim.SGD(weights, lr=0.0)
    engine = engine_of(model, 4, clip=1e-6)
    with engine.watching():
        losses = losses_of(model, tokens(4))
        public = 50.0 * sum(weight.sum() for weight in weights)
        engine(Loss("net", per_record=losses, public=public), optimiser)
        assert all(torch.allclose(weight.grad, torch.tensor(50.0)) for weight in weights)
        engine(Loss("net", public=50.0 * sum(weight.sum() for weight in weights)), optimiser)
    assert engine.steps == 1


class TwiceUsed(nn.Module):
    """Uses a weight outside its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) @ self.layer.weight


class Centred(nn.Module):
    """Subtracts the mean of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class Swapped(nn.Module):
    """Has each record's work done in the row of another."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.roll(1, 0)).roll(-1, 0)


class Counting(nn.Module):
    """Keeps a sum of what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += x.detach().sum(0)
        return x


class MyLinear(nn.Linear):
    """A subclass, which may do anything."""


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), "BatchNorm1d"),
        (lambda: nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, affine=False)), "mix"),
        (lambda: MyLinear(3, 3), "MyLinear layers have no rule"),
        (lambda: nn.LSTM(3, 3), "LSTM"),
        (lambda: nn.ParameterList([nn.Parameter(torch.zeros(3))]), "ParameterList"),
        (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3)), "no rule"),
        (TwiceUsed, "escapes the rules"),
        (lambda: nn.Sequential(nn.Linear(3, 3), Centred()), "hangs on other records"),
        (Swapped, "in the row of another"),
        (lambda: nn.Sequential(nn.Linear(3, 3), Counting()), "keeps statistics"),
    ],
)
def test_what_cannot_be_private_is_refused_by_name(net: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        rehearse(Net(net()), FIELDS)


def test_a_layer_that_runs_twice_is_refused() -> None:
    layer = nn.Linear(3, 3)
    with pytest.raises(ConfigError, match="runs a layer twice"):
        rehearse(Net(nn.Sequential(layer, nn.Tanh(), layer)), FIELDS)


def test_shared_and_frozen_weights_are_refused() -> None:
    one, two = nn.Linear(3, 3), nn.Linear(3, 3)
    two.weight = one.weight
    with pytest.raises(ConfigError, match="share a weight"):
        refuse_foreign_layers(Net(nn.Sequential(one, two)))
    one.bias.requires_grad_(False)
    with pytest.raises(ConfigError, match="frozen"):
        refuse_foreign_layers(Net(one))


def test_our_models_with_a_likelihood_may_be_private() -> None:
    rehearse(Autoregressive.build(FIELDS, AutoregressiveConfig(width=16)), FIELDS)
    rehearse(VAE.build(FIELDS, VAE.sized(FIELDS, 1_000, {})), FIELDS)


def test_the_loop_trains_under_privacy() -> None:
    rng = np.random.default_rng(0)
    codes = torch.zeros((3_000, 2, 3), dtype=torch.int16)
    first = rng.random(3_000) < 0.5
    codes[:, 0, 0] = torch.from_numpy(np.where(first, 0, 2).astype(np.int16))
    codes[:, 0, 2] = torch.from_numpy(first.astype(np.int16))
    torch.manual_seed(0)
    model = Autoregressive.build(FIELDS, AutoregressiveConfig(width=32, dropout=0.0))
    config = TrainConfig(steps=150, batch_size=300, learning_rate=3e-3, patience=0)
    slots = Slots(codes, None, 0.1, 400)
    engine = DpSgd(model, slots, clip=1.0, noise_multiplier=1.0, expected=300.0)
    before = model.held_out_loss(codes[:500].long())
    with engine.watching():
        history = train(
            model, codes, codes[:0], config, seed=1, runtime=CPU, draw=slots, step_child=engine
        )
    assert engine.steps == history.steps == 150
    assert history.best_held_out is None
    assert model.held_out_loss(codes[:500].long()) < before - 1.0
    assert isinstance(model.network, AnyOrderNetwork)
