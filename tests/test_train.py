"""The training loop, its schedule, its averages and its refusals."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
import torch
from tiny import CPU, SHARES, Marginals, MarginalsConfig, make, records, weights
from torch import Tensor, nn

from synthehr.config import TrainConfig
from synthehr.errors import TrainingError
from synthehr.models.base import Batch, Loss
from synthehr.train import History, Runtime, find_runtime, progress, train
from synthehr.train.ema import Average
from synthehr.train.loop import clip_gradients
from synthehr.train.schedule import fraction_done, rate_factor
from synthehr.train.state import adamw

SHORT = TrainConfig(steps=60, batch_size=64, learning_rate=0.05, warmup=5, evaluations=6)
NONE = records(0)


def fit(model: Marginals, config: TrainConfig = SHORT, *, seed: int = 1) -> History:
    return train(model, records(600), records(200, 1), config, seed=seed, runtime=CPU)


def test_learns_the_shares_of_the_records() -> None:
    model = make()
    history = fit(model, TrainConfig(steps=250, learning_rate=0.05, warmup=10))
    assert history.stopped_by == "steps"
    assert history.steps == 250
    assert [step for step, _ in history.curve][-1] == 250
    assert len(history.curve) == 20
    assert torch.allclose(model.logits[0].softmax(0), torch.tensor(SHARES), atol=0.05)
    assert not model.training


def test_equal_seeds_give_equal_bytes_and_leave_the_callers_randomness_alone() -> None:
    first, second, other = make(), make(), make()
    fit(first)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(second)
    assert torch.equal(before, torch.get_rng_state())
    fit(other, seed=2)
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)


def test_keeps_the_best_weights_and_stops_when_patience_ends() -> None:
    # The held-out records are of other shares, so that learning soon makes them less likely.
    held_out = records(300, 3, (0.5, 0.3, 0.2))
    config = TrainConfig(
        steps=4000, batch_size=64, learning_rate=0.05, warmup=5, evaluations=400, patience=3
    )
    model = make()
    history = train(model, records(600), held_out, config, seed=1, runtime=CPU)
    assert history.stopped_by == "patience"
    assert history.steps == history.best_step + 30 < 4000
    assert history.best_held_out == min(value for _, value in history.curve)
    assert history.best_held_out == model.held_out_loss(held_out.long())


def test_the_clock_ends_a_run_and_brings_the_learning_rate_down() -> None:
    rates: list[float] = []
    model = make()
    history = train(
        model,
        records(600),
        records(200, 1),
        TrainConfig(steps=10**9, batch_size=64, warmup=0, evaluations=4),
        seed=1,
        runtime=CPU,
        max_minutes=1.0 / 60,
        callbacks=[lambda state: rates.append(state.optimisers["logits"].param_groups[0]["lr"])],
    )
    assert history.stopped_by == "clock"
    assert 1.0 <= history.seconds < 20.0
    assert 1 <= len(history.curve) <= 4
    assert rates[0] > 2 * rates[-1]


def test_a_callback_ends_a_run() -> None:
    config = TrainConfig(steps=50, batch_size=64)
    model = make()
    history = train(
        model,
        records(600),
        NONE,
        config,
        seed=1,
        runtime=CPU,
        callbacks=[lambda state: state.step == 7],
    )
    assert (history.stopped_by, history.steps) == ("callback", 7)


def test_without_held_out_records_the_last_weights_stay() -> None:
    config = TrainConfig(steps=40, batch_size=64, ema=0.0)
    model = make()
    seen: list[bytes] = []
    history = train(
        model,
        records(600),
        NONE,
        config,
        seed=1,
        runtime=CPU,
        callbacks=[lambda state: seen.append(weights(state.model))],
    )
    assert history.curve == ()
    assert history.best_held_out is None
    assert history.best_step == 40
    assert weights(model) == seen[-1]


def test_fewer_records_than_a_batch() -> None:
    model = make()
    history = train(model, records(9), NONE, SHORT, seed=1, runtime=CPU)
    assert model.seen.item() == 9 * history.steps


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    with pytest.raises(TrainingError, match="no longer a finite number") as caught:
        fit(make(scale=float("inf")))
    assert "learning_rate" in caught.value.hint


class Greedy(Marginals):
    """Asks for more memory than there is."""

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        yield Loss("logits", public=torch.empty(2**50).sum())


def test_a_full_memory_is_said_plainly() -> None:
    with pytest.raises(TrainingError, match="memory") as caught:
        fit(Greedy((3, 4), MarginalsConfig()))
    assert "batch_size" in caught.value.hint


class Pair(Marginals):
    """Two children; notes how each moves the weights, and what is left of the gradients."""

    def __init__(self) -> None:
        super().__init__((3, 4), MarginalsConfig())
        self.critic = nn.Linear(1, 1)
        self.generator = nn.Linear(1, 1)
        self.moved: list[tuple[bool, bool]] = []

    def losses(self, batch: Batch, step: int) -> Iterator[Loss]:
        for child in ("critic", "generator"):
            before = [self.critic.weight.clone(), self.generator.weight.clone()]
            output = self.critic(self.generator(torch.ones(len(batch.codes), 1)))[:, 0]
            yield Loss(child, per_record=output.square(), public=0.1 * output.mean())
            after = [self.critic.weight, self.generator.weight]
            moved = [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
            self.moved.append((moved[0], moved[1]))

    def held_out_loss(self, codes: Tensor) -> float:
        return 0.0


def test_a_loss_steps_the_child_it_names_and_no_other() -> None:
    model = Pair()
    fit(model, TrainConfig(steps=5, batch_size=64))
    assert model.moved == [(True, False), (False, True)] * 5


def test_bfloat16_where_it_is_fast_or_asked_for() -> None:
    fast = Runtime(torch.device("cpu"), fast_bfloat16=True)
    for runtime, wish, dtype in (
        (fast, "auto", torch.bfloat16),
        (CPU, "auto", torch.float32),
        (CPU, "bfloat16", torch.bfloat16),
        (fast, "float32", torch.float32),
    ):
        model = make()
        config = TrainConfig(steps=3, batch_size=64, precision=wish)
        history = train(model, records(600), NONE, config, seed=1, runtime=runtime)
        assert model.dtypes == {dtype}
        assert history.precision == str(dtype).removeprefix("torch.")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_trains_on_a_gpu() -> None:
    model, same = make(), make()
    for each in (model, same):
        history = train(
            each, records(600), records(200, 1), SHORT, seed=1, runtime=find_runtime("cuda")
        )
        assert history.device == "cuda:0"
    assert weights(model.cpu()) == weights(same.cpu())


def test_finds_the_device_that_is_asked_for() -> None:
    assert find_runtime("cpu").device == torch.device("cpu")


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("cosine", (1.0, 0.5, 0.0)), ("step", (1.0, 1.0, 0.01)), ("constant", (1.0, 1.0, 1.0))],
)
def test_schedules(schedule: str, factors: tuple[float, ...]) -> None:
    config = TrainConfig(steps=100, schedule=schedule, warmup=0)
    found = [rate_factor(config, step, step / 100) for step in (0, 50, 100)]
    assert found == pytest.approx(factors, abs=1e-12)


def test_warm_up_and_fraction() -> None:
    config = TrainConfig(steps=100, schedule="constant", warmup=3)
    assert [rate_factor(config, step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert fraction_done(10, 100, 50.0, None) == 0.1
    assert fraction_done(10, 100, 50.0, 100.0) == 0.5
    assert fraction_done(90, 100, 50.0, 100.0) == 0.9


def test_the_average_of_a_moving_weight() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = Average(module, 0.99)
    expected = module.weight.item()
    for step in range(1, 501):
        with torch.no_grad():
            module.weight.fill_(step / 500)
        decay = min(0.99, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step / 500
        average.update(step)
    average.update(500, force=True)
    assert average.values[0].item() == pytest.approx(expected, abs=0.01)
    with average.swapped_in():
        assert module.weight.item() == average.values[0].item()
    assert module.weight.item() == 1.0


def test_gradients_are_scaled_together_only_where_they_are_too_long() -> None:
    given = [
        nn.Parameter(torch.zeros(2)),
        nn.Parameter(torch.zeros(1)),
        nn.Parameter(torch.zeros(1)),
    ]
    given[0].grad, given[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    clip_gradients(given, 10.0)
    assert given[0].grad.tolist() == [3.0, 0.0]
    clip_gradients(given, 1.0)
    assert given[0].grad.tolist() == pytest.approx([0.6, 0.0])
    assert given[1].grad.tolist() == pytest.approx([0.8])


def test_no_decay_on_biases_norms_and_embeddings() -> None:
    child = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    optimiser = adamw(child, TrainConfig(steps=1, weight_decay=0.1))
    decayed, kept = optimiser.param_groups
    assert [id(weight) for weight in decayed["params"]] == [id(child[1].weight)]
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert len(kept["params"]) == 4


class Terminal(io.StringIO):
    """A text stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "drawn"), [(io.StringIO(), False), (Terminal(), True)])
def test_progress_is_drawn_on_a_terminal_only(stream: io.StringIO, drawn: bool) -> None:
    config = TrainConfig(steps=10**6, batch_size=64, evaluations=40)
    with progress(stream) as callback:
        train(
            make(),
            records(600),
            records(200, 1),
            config,
            seed=1,
            runtime=CPU,
            max_minutes=0.6 / 60,
            callbacks=[callback],
        )
    text = stream.getvalue()
    assert bool(text) == drawn
    assert not drawn or ("left" in text and "held-out loss" in text)
