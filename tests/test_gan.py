"""The adversarial models: what is their own, beside `test_contract`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cohort import AGE, DIAGNOSIS, LAB, SEX, SITE, cohort, fields_of, tensor
from torch import Tensor
from torch.nn import functional

from synthehr.encode.fields import Field
from synthehr.errors import ConditionError, ConfigError
from synthehr.models.adversarial import Generator
from synthehr.models.base import NOTHING_GIVEN, OPEN, Batch, Given
from synthehr.models.cgan import ConditionalGAN, ConditionalGANConfig
from synthehr.models.critic import Critic, group_means
from synthehr.models.fidelity import detectability
from synthehr.models.gan import GAN, GANConfig
from synthehr.models.spans import Axes, Spans
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
RECORDS = cohort(2000, 0)
FIELDS = fields_of(RECORDS)
CODES, HELD_OUT = torch.from_numpy(RECORDS), torch.from_numpy(cohort(1000, 1))
CONFIG = ConditionalGANConfig(width=64, depth=1, noise=16)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rare_cohort() -> np.ndarray:
    """Records of which one in fifty holds the third diagnosis, with high ages only."""
    codes = cohort(2000, 0)
    codes[:, 0, DIAGNOSIS] = np.random.default_rng(1).integers(0, 2, 2000)
    rare = np.random.default_rng(2).random(2000) < 0.02
    codes[rare, 0, DIAGNOSIS] = 2
    codes[:, 0, AGE] = np.where(rare, 7, np.minimum(codes[:, 0, AGE], 5))
    return codes


@pytest.fixture(scope="module")
def cgan() -> ConditionalGAN:
    """A conditional model of records with a rare diagnosis."""
    records = rare_cohort()
    fields = fields_of(records)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ConditionalGAN.build(fields, CONFIG)
    wanted = ConditionalGAN.train_config(fields, 2000, CONFIG)
    wanted = replace(wanted, steps=400, batch_size=128, evaluations=4)
    train(model, tensor(records), tensor(records), wanted, seed=0, runtime=CPU, fields=fields)
    return model


def allow(column: int, *tokens: int) -> Given:
    weights = torch.zeros(FIELDS[column].size, int(FIELDS[column].parts.max()))
    weights[list(tokens)] = 1.0
    return Given(allowed={column: weights})


def test_rare_tokens_are_drawn_as_often_as_they_are_held(cgan: ConditionalGAN) -> None:
    """Conditions are drawn by logarithms in training alone; walks would hide the fault."""
    plain = ConditionalGAN.build(fields_of(rare_cohort()), replace(CONFIG, walks=0))
    plain.load_state_dict(cgan.state_dict())
    sampled = plain.sample(8000, NOTHING_GIVEN, random())
    share = float((sampled[:, 0, DIAGNOSIS] == 2).double().mean())
    assert 0.01 < share < 0.04


def test_rare_conditions_bring_what_goes_with_them(cgan: ConditionalGAN) -> None:
    sampled = cgan.sample(1000, allow(DIAGNOSIS, 2), random())
    assert (sampled[:, 0, DIAGNOSIS] == 2).all()
    assert float((sampled[:, 0, AGE] == 7).double().mean()) > 0.8


@pytest.mark.parametrize("column", [SEX, DIAGNOSIS, AGE, LAB, SITE])
def test_every_column_can_be_given(cgan: ConditionalGAN, column: int) -> None:
    """The known fault of a rival: conditions that land in the first column's span."""
    sampled = cgan.sample(200, allow(column, 1), random())
    assert (sampled[:, 0, column] == 1).all()
    other = SITE if column != SITE else SEX
    assert len(sampled[:, 0, other].unique()) > 1


def test_what_never_goes_together_is_written_where_it_must_be(cgan: ConditionalGAN) -> None:
    codes = torch.full((50, 2, 5), OPEN)
    codes[:, 0, DIAGNOSIS], codes[:, 0, AGE] = 2, 0
    sampled = cgan.sample(50, Given(codes), random())
    assert (sampled[:, 0, DIAGNOSIS] == 2).all()
    assert (sampled[:, 0, AGE] == 0).all()


def test_contradictions_are_refused(cgan: ConditionalGAN) -> None:
    codes = torch.full((20, 2, 5), OPEN)
    codes[:, 0, SEX] = 0
    given = Given(codes, allow(SEX, 1).allowed)
    with pytest.raises(ConditionError, match="20 of 20 records"):
        cgan.sample(20, given, random())


def adversaries(config: GANConfig) -> tuple[Generator, Critic, Spans]:
    spans = Spans(FIELDS)
    axes = Axes(FIELDS, spans)
    torch.manual_seed(0)
    return (
        Generator(spans, axes, config, conditional=False),
        Critic(spans, axes, config, None),
        spans,
    )


def test_the_critic_never_sees_softened_tokens() -> None:
    generator, _, spans = adversaries(GANConfig(width=32))
    one_hot, fraction = generator(generator.randomness(64, random()), None)
    assert torch.allclose(one_hot.sum(1), torch.full((64,), 5.0), atol=1e-4)
    assert torch.allclose(one_hot, spans.one_hot(spans.argmax(one_hot)), atol=1e-5)
    assert one_hot.requires_grad
    assert ((fraction >= 0) & (fraction <= 1)).all()


def test_an_untrained_generator_draws_the_shares() -> None:
    generator, _, _ = adversaries(GANConfig(width=32))
    codes = generator.codes(generator.randomness(20_000, random()), None)
    for column, field in enumerate(FIELDS):
        drawn = torch.bincount(codes[:, 0, column], minlength=field.size) / 20_000
        assert np.abs(drawn.numpy() - field.shares).max() < 0.03


def losses_of(config: GANConfig, codes: Tensor) -> list[Tensor | None]:
    torch.manual_seed(0)
    model = GAN.build(FIELDS, config)
    return [loss.per_record for loss in model.losses(Batch(codes, None, random()), 0)]


def test_records_are_apart_in_the_loss_where_the_settings_say_so() -> None:
    """What differential privacy needs: one record, one entry."""
    codes = CODES[:32].clone()
    changed = codes.clone()
    changed[5] = CODES[40]
    for group, apart in ((1, True), (8, False)):
        config = GANConfig(width=32, group=group, anchor=0.0)
        one, other = losses_of(config, codes)[0], losses_of(config, changed)[0]
        assert one is not None and other is not None
        same = torch.isclose(one, other, atol=1e-6)
        assert not same[5]
        assert bool((same.sum() == 31).item()) == apart


def test_without_an_anchor_the_generator_sees_no_record() -> None:
    assert losses_of(GANConfig(width=32, anchor=0.0), CODES[:32])[1] is None
    assert losses_of(GANConfig(width=32, anchor=0.1), CODES[:32])[1] is not None


def test_the_penalty_is_the_squared_slope() -> None:
    generator, critic, _ = adversaries(GANConfig(width=32, group=1))
    records = generator(generator.randomness(4, random()), None)
    records = type(records)(*(tensor.detach().double() for tensor in records))
    critic, way = critic.double(), torch.randn(4, critic.spans.width, dtype=torch.float64)
    step = 1e-5 * way
    up, down = (records._replace(one_hot=records.one_hot + s) for s in (step, -step))
    held = records.one_hot.requires_grad_()
    slope = torch.autograd.grad(critic(records, None).sum(), held)[0]
    along = (critic(up, None).double() - critic(down, None).double()) / 2e-5
    assert torch.allclose((slope * way).sum(1), along, rtol=0.05, atol=0.02)
    steep = critic.float().steepness(records, None)
    assert (steep > 0.99 * (slope**2).sum(1)).all()


def test_group_means_wrap_around() -> None:
    hidden = torch.tensor([[0.0], [2.0], [4.0], [6.0], [8.0]])
    assert group_means(hidden, 2)[:, 0].tolist() == [1.0, 1.0, 5.0, 5.0, 4.0]


def test_trees_tell_what_does_not_belong_together() -> None:
    shuffled = torch.from_numpy(np.random.default_rng(0).permuted(RECORDS, axis=0))
    assert detectability(HELD_OUT, CODES) < 0.56
    assert detectability(HELD_OUT, shuffled) > 0.8
    assert detectability(HELD_OUT, shuffled) == detectability(HELD_OUT, shuffled)
    assert detectability(HELD_OUT[:1], CODES) == 0.5


def test_spans_agree_with_each_column_on_its_own() -> None:
    sizes = (3, 1, 2, 9, 3)
    fields = tuple(
        Field(f"c{i}", np.full(k, 1 / k), np.ones(k, dtype=np.int64)) for i, k in enumerate(sizes)
    )
    spans = Spans(fields)
    logits = torch.randn(50, spans.width, generator=random())
    tokens = torch.stack([torch.randint(k, (50,), generator=random(k)) for k in sizes], dim=1)
    surprise, soft, best = (
        spans.surprise(logits, tokens),
        spans.softmax(logits),
        spans.argmax(logits),
    )
    for column, size in enumerate(sizes):
        first = int(spans.start[column])
        own = logits[:, first : first + size]
        expected = functional.cross_entropy(own, tokens[:, column], reduction="none")
        assert torch.allclose(surprise[:, column], expected, atol=1e-5)
        assert torch.allclose(soft[:, first : first + size], own.softmax(1), atol=1e-6)
        assert best[:, column].equal(own.argmax(1))
        assert (spans.owner[first : first + size] == column).all()
    assert spans.argmax(spans.one_hot(tokens)).equal(tokens)


@pytest.mark.parametrize("wrong", [{"group": 0}, {"penalty": -1.0}, {"temperature": 0.0}])
@pytest.mark.parametrize("kind", [GAN, ConditionalGAN])
def test_settings_are_checked(
    kind: type[GAN] | type[ConditionalGAN], wrong: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        kind.sized(FIELDS, 1600, wrong)
