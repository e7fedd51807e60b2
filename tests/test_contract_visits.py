"""What every model of visits owes: each promise of `sequence_base`, held to each model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from encoded import encoded_visits
from safetensors.torch import load, save
from torch import Tensor

from synthehr.config import TrainConfig, apply
from synthehr.demo import simulate_visits
from synthehr.encode.fields import Fields
from synthehr.encode.sequence import SequenceFields
from synthehr.errors import SynthehrError
from synthehr.models import SEQUENCE_MODELS, get_sequence
from synthehr.models.base import OPEN, Given
from synthehr.models.sequence_base import SequenceModel, Sequences
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
COLUMNS = ["patient_id", "day", "sex", "arm", "state", "systolic", "egfr"]
ENCODER, RECORDS = encoded_visits(simulate_visits(80, 0, columns=COLUMNS))
FIELDS = ENCODER.fields
SMALL = {"hidden": 12, "width": 24, "blocks": 1}


@dataclass(frozen=True)
class FittedVisits:
    """A model before and after training."""

    kind: type[SequenceModel]
    config: Any
    model: SequenceModel
    loss_before: float
    loss_after: float


def some(first: int, last: int, records: Sequences = RECORDS) -> Sequences:
    """Take patients by their places."""
    starts = records.starts[first : last + 1]
    visits = records.visits[int(starts[0]) : int(starts[-1])]
    return Sequences(records.static[first:last], visits, starts - starts[0])


LEARNED, HELD_OUT = some(0, 64), some(64, 80)


@pytest.fixture(scope="module", params=list(SEQUENCE_MODELS))
def kind(request: pytest.FixtureRequest) -> type[SequenceModel]:
    return get_sequence(request.param)


@pytest.fixture(scope="module")
def fitted(kind: type[SequenceModel]) -> FittedVisits:
    config = kind.sized(FIELDS, len(LEARNED), SMALL)
    model = build(kind, config)
    before = model.eval().held_out_loss(HELD_OUT)
    after = fit(model, config, steps=30)
    assert after is not None
    return FittedVisits(kind, config, model, before, after)


def build(
    kind: type[SequenceModel], config: Any, fields: SequenceFields = FIELDS, *, seed: int = 0
) -> SequenceModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind.build(fields, config)


def fit(
    model: SequenceModel,
    config: Any,
    *,
    steps: int,
    seed: int = 1,
    records: Sequences = LEARNED,
    held_out: Sequences = HELD_OUT,
    fields: SequenceFields = FIELDS,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> float | None:
    settings = dataclasses.replace(
        type(model).train_config(fields, len(records), config),
        steps=steps,
        batch_size=8,
        warmup=5,
        ema=0.9,
        evaluations=1,
        patience=0,
        precision=precision,
    )
    model.begin(records, torch.Generator().manual_seed(0))
    history = train(model, records, held_out, settings, seed=seed, runtime=CPU)
    model.finish(records)
    return history.best_held_out


def draw(model: SequenceModel, n: int, given: Given | None = None, *, seed: int = 7) -> Sequences:
    random = torch.Generator().manual_seed(seed)
    return model.sample(n, random) if given is None else model.sample(n, random, given)


def same(one: Sequences, other: Sequences) -> bool:
    return all(a.equal(b) for a, b in zip(one.tensors, other.tensors, strict=True))


def check_codes(codes: Tensor, fields: Fields) -> None:
    assert codes.shape[1:] == (2, len(fields))
    assert codes.dtype == torch.int64
    assert not codes.requires_grad
    for i, field in enumerate(fields):
        tokens, parts = codes[:, 0, i], codes[:, 1, i]
        assert tokens.min() >= 0 and tokens.max() < field.size
        assert parts.min() >= 0
        assert (parts < torch.from_numpy(field.parts)[tokens]).all()


def check_patients(drawn: Sequences, n: int, fields: SequenceFields = FIELDS) -> None:
    assert len(drawn) == len(drawn.static) == n
    assert drawn.starts.dtype == torch.int64
    assert int(drawn.starts[0]) == 0 and int(drawn.starts[-1]) == len(drawn.visits)
    assert (drawn.lengths >= 1).all()
    check_codes(drawn.static, fields.static)
    check_codes(drawn.visits, fields.visits)
    first = torch.zeros(len(drawn.visits), dtype=torch.bool)
    first[drawn.starts[:-1]] = True
    assert (drawn.visits[:, 0, fields.gap] == fields.visits[fields.gap].null).equal(first)


def test_settings_are_a_small_frozen_dataclass_that_json_can_hold(
    kind: type[SequenceModel],
) -> None:
    config = kind.sized(FIELDS, len(LEARNED), {})
    assert isinstance(config, kind.Config)
    fields = dataclasses.fields(config)
    assert len(fields) <= 12
    assert apply(config, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.hidden = None
    assert isinstance(kind.train_config(FIELDS, len(LEARNED), config), TrainConfig)


def test_losses_have_the_shapes_that_the_loop_needs(fitted: FittedVisits) -> None:
    for step in range(4):
        batch = RECORDS.take(torch.arange(9), torch.Generator().manual_seed(step))
        for loss in fitted.model.losses(batch, step):
            assert any(True for _ in fitted.model.get_submodule(loss.child).parameters())
            assert loss.per_record is not None or loss.public is not None
            if loss.per_record is not None:
                assert loss.per_record.shape == (9,)
                assert loss.per_record.isfinite().all()
            if loss.public is not None:
                assert loss.public.shape == ()
                assert loss.public.isfinite()


def test_a_patients_loss_hangs_on_nobody_else(fitted: FittedVisits) -> None:
    lengths = RECORDS.lengths
    patients = lengths.argsort()[[0, 10, -10, -1]]
    fitted.model.train()

    def losses(step: int, *, others: bool, padding: bool) -> dict[str, Tensor]:
        batch = RECORDS.take(patients, torch.Generator().manual_seed(step))
        gone = torch.zeros_like(batch.present)
        if others:
            # the same number of visits, so that the same random numbers are drawn
            gone[1:] = batch.present[1:]
            batch.static[1:] = 0
        if padding:
            gone |= ~batch.present
        last = torch.tensor([field.size - 1 for field in FIELDS.visits])
        batch.visits[gone] = torch.stack([last, 0 * last])
        torch.manual_seed(step)
        found = fitted.model.losses(batch, step)
        return {x.child: x.per_record.detach() for x in found if x.per_record is not None}

    try:
        for step in range(4):
            usual = losses(step, others=False, padding=False)
            assert usual
            padded = losses(step, others=False, padding=True)
            changed = losses(step, others=True, padding=False)
            for child, loss in usual.items():
                torch.testing.assert_close(padded[child], loss, rtol=1e-4, atol=1e-5)
                torch.testing.assert_close(changed[child][0], loss[0], rtol=1e-4, atol=1e-5)
                assert not torch.allclose(changed[child][1:], loss[1:], rtol=1e-3)
    finally:
        fitted.model.eval()


def test_training_lowers_the_held_out_loss(fitted: FittedVisits) -> None:
    assert np.isfinite(fitted.loss_before)
    assert fitted.loss_after < fitted.loss_before


def test_the_held_out_loss_is_a_function_of_the_patients(fitted: FittedVisits) -> None:
    torch.manual_seed(1)
    first = fitted.model.held_out_loss(HELD_OUT)
    torch.manual_seed(2)
    assert fitted.model.held_out_loss(HELD_OUT) == first
    visits = np.random.default_rng(0).permuted(HELD_OUT.visits.numpy(), axis=0)
    shuffled = dataclasses.replace(HELD_OUT, visits=torch.from_numpy(visits))
    assert fitted.model.held_out_loss(shuffled) > first


def test_samples_are_patients_with_visits(fitted: FittedVisits) -> None:
    for n in (1, 65):
        check_patients(draw(fitted.model, n), n)
    assert draw(fitted.model, 65).lengths.unique().numel() > 1


def test_equal_seeds_equal_samples_whatever_else_was_drawn(fitted: FittedVisits) -> None:
    torch.manual_seed(1)
    first = draw(fitted.model, 20)
    torch.manual_seed(2)
    fitted.model.train()
    assert same(draw(fitted.model, 20), first)
    assert not same(draw(fitted.model, 20, seed=8), first)


def test_equal_seeds_equal_fits(kind: type[SequenceModel]) -> None:
    config = kind.sized(FIELDS, len(LEARNED), SMALL)
    models = [build(kind, config) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        fit(model, config, steps=2, seed=seed, held_out=some(0, 0))
    one, other, third = (save(model.state_dict()) for model in models)
    assert one == other
    assert one != third


def test_weights_come_back_from_a_file(fitted: FittedVisits) -> None:
    other = build(fitted.kind, fitted.config, seed=99)
    other.load_state_dict(load(save(fitted.model.state_dict())))
    other.eval()
    assert other.held_out_loss(HELD_OUT) == fitted.model.held_out_loss(HELD_OUT)
    assert same(draw(other, 20), draw(fitted.model, 20))


def test_what_patients_have_once_may_be_given(fitted: FittedVisits) -> None:
    codes = torch.full((20, 2, len(FIELDS.static)), OPEN)
    codes[:10, :, 0] = RECORDS.static[0, :, 0].long()
    drawn = draw(fitted.model, 20, Given(codes))
    check_patients(drawn, 20)
    assert drawn.static[:10, :, 0].equal(codes[:10, :, 0])


def test_visits_go_on_from_given_ones(fitted: FittedVisits) -> None:
    past, steps, draws = some(0, 6), 2, 3

    def proceed(seed: int) -> Tensor:
        random = torch.Generator().manual_seed(seed)
        return fitted.model.proceed(past, steps, draws, random)

    found = proceed(1)
    assert found.shape == (6, draws, steps, 2, len(FIELDS.visits))
    flat = found.flatten(0, 2)
    check_codes(flat, FIELDS.visits)
    for column, field in enumerate(FIELDS.visits):
        assert field.null is None or (flat[:, 0, column] != field.null).all()
    assert proceed(1).equal(found)
    assert not proceed(2).equal(found)
    assert not found[:, 0].equal(found[:, 1])


def test_open_cells_of_visits_are_completed(fitted: FittedVisits) -> None:
    patients = some(0, 20)
    visits, columns = patients.visits.long(), len(FIELDS.visits)
    random = torch.Generator().manual_seed(3)
    is_open = torch.rand(len(visits), columns, generator=random) < 0.3
    is_open[:, FIELDS.gap] = False
    nulls = torch.tensor([-1 if f.null is None else f.null for f in FIELDS.visits])
    is_open |= (visits[:, 0] == nulls) & (torch.arange(columns) != FIELDS.gap)
    holes = dataclasses.replace(patients, visits=visits.masked_fill(is_open[:, None], OPEN))
    barred = {
        column: torch.arange(field.size) == field.null
        for column, field in enumerate(FIELDS.visits)
        if field.null is not None and column != FIELDS.gap
    }
    assert barred

    def complete(some_holes: Sequences) -> Tensor:
        return fitted.model.complete(some_holes, barred, torch.Generator().manual_seed(2))

    completed = complete(holes)
    assert completed.shape == visits.shape
    check_codes(completed, FIELDS.visits)
    kept = ~is_open[:, None].expand(-1, 2, -1)
    assert completed[kept].equal(visits[kept])
    for column, tokens in barred.items():
        assert not tokens[completed[:, 0, column]].any()
    assert complete(holes).equal(completed)
    chances = fitted.model.token_chances(holes, barred, torch.Generator().manual_seed(2))
    for column, field in enumerate(FIELDS.visits):
        assert chances[column].shape == (len(visits), field.size)
        if column in barred:
            here = chances[column][is_open[:, column]]
            torch.testing.assert_close(here.sum(1), torch.ones(len(here)))
            assert (here[:, barred[column]] == 0).all()


def test_trains_in_bfloat16(kind: type[SequenceModel]) -> None:
    config = kind.sized(FIELDS, len(LEARNED), SMALL)
    model = build(kind, config)
    loss = fit(model, config, steps=4, precision="bfloat16")
    assert loss is not None and np.isfinite(loss)
    check_patients(draw(model, 10), 10)


def test_one_column_and_nothing_that_patients_have_once(kind: type[SequenceModel]) -> None:
    table = simulate_visits(40, 1, columns=["patient_id", "day", "state"])
    encoder, records = encoded_visits(table)
    assert len(encoder.fields.static) <= 1
    assert len(encoder.fields.visits) == 2
    config = kind.sized(encoder.fields, len(records), SMALL)
    model = build(kind, config, encoder.fields)
    loss = fit(
        model, config, steps=4, records=records, held_out=some(0, 9, records), fields=encoder.fields
    )
    assert loss is not None and np.isfinite(loss)
    check_patients(draw(model, 10), 10, encoder.fields)


def others(value: Any, hint: Any) -> Iterator[Any]:
    """Other values that a setting might take."""
    if get_origin(hint) is Literal:
        yield from (choice for choice in get_args(hint) if choice != value)
    elif isinstance(value, int):
        yield from (2 * value, value + 1)
    elif isinstance(value, float):
        yield from (2 * value, 0.5)


@pytest.mark.slow
def test_every_setting_matters_and_the_user_has_the_last_word(kind: type[SequenceModel]) -> None:
    def fingerprint(config: Any) -> bytes:
        model = build(kind, config)
        fit(model, config, steps=2, records=some(0, 16), held_out=some(0, 0))
        return save(model.state_dict())

    config = kind.sized(FIELDS, len(LEARNED), SMALL)
    hints, usual = get_type_hints(kind.Config), fingerprint(config)
    for field in dataclasses.fields(config):
        change = next(others(getattr(config, field.name), hints[field.name]))
        changed = kind.sized(FIELDS, len(LEARNED), {**SMALL, field.name: change})
        assert getattr(changed, field.name) == change, field.name
        assert changed == dataclasses.replace(config, **{field.name: change})
        assert fingerprint(changed) != usual, f"{field.name} changes nothing"


def test_settings_out_of_range_are_refused(kind: type[SequenceModel]) -> None:
    hints = get_type_hints(kind.Config)
    for name, hint in hints.items():
        if hint in (int, float):
            with pytest.raises(SynthehrError):
                kind.sized(FIELDS, 64, {name: -1})
