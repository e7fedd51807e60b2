"""What every model owes: each promise of `synthehr.models.base`, held to each model."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from cohort import AGE, DIAGNOSIS, LAB, SEX, SITE, cohort, fields_of, tensor
from safetensors.torch import load, save
from torch import Tensor

from synthehr.config import TrainConfig, apply
from synthehr.encode.fields import Fields
from synthehr.errors import ConditionError, ConfigError, SynthehrError
from synthehr.models import MODELS, get
from synthehr.models.base import NOTHING_GIVEN, OPEN, Batch, Given, Model
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
RECORDS = cohort(1600, 0)
FIELDS = fields_of(RECORDS)
HELD_OUT = cohort(400, 1)
STEPS = 300


@dataclass(frozen=True)
class Fitted:
    """A model before and after training."""

    kind: type[Model]
    config: Any
    model: Model
    loss_before: float
    loss_after: float


@pytest.fixture(scope="module", params=list(MODELS))
def kind(request: pytest.FixtureRequest) -> type[Model]:
    if find_spec(MODELS[request.param].partition(":")[0]) is None:
        pytest.skip(f"{request.param} is not written yet")
    return get(request.param)


@pytest.fixture(scope="module")
def fitted(kind: type[Model]) -> Fitted:
    config = kind.sized(FIELDS, len(RECORDS), {})
    model = build(kind, config)
    before = model.held_out_loss(torch.from_numpy(HELD_OUT))
    history = fit(model, config, steps=STEPS)
    assert history is not None
    return Fitted(kind, config, model, before, history)


def build(kind: type[Model], config: Any, fields: Fields = FIELDS, *, seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind.build(fields, config)


def fit(
    model: Model,
    config: Any,
    *,
    steps: int,
    seed: int = 1,
    records: np.ndarray = RECORDS,
    fields: Fields = FIELDS,
    precision: Literal["float32", "bfloat16"] = "float32",
) -> float | None:
    wanted = type(model).train_config(fields, len(records), config)
    settings = dataclasses.replace(
        wanted,
        steps=steps,
        batch_size=min(wanted.batch_size, 200),
        warmup=min(wanted.warmup, 20),
        evaluations=2,
        patience=0,
        precision=precision,
    )
    history = train(
        model,
        tensor(records),
        tensor(HELD_OUT) if fields is FIELDS else tensor(records),
        settings,
        seed=seed,
        runtime=CPU,
        fields=fields,
    )
    finish = getattr(model, "finish", None)
    if finish is not None:
        finish(tensor(records))
    return history.best_held_out


def draw(model: Model, n: int, given: Given = NOTHING_GIVEN, *, seed: int = 7) -> Tensor:
    return model.sample(n, given, torch.Generator().manual_seed(seed))


def check_codes(codes: Tensor, n: int, fields: Fields = FIELDS) -> None:
    assert codes.shape == (n, 2, len(fields))
    assert codes.dtype == torch.int64
    assert not codes.requires_grad
    for i, field in enumerate(fields):
        tokens, parts = codes[:, 0, i], codes[:, 1, i]
        assert tokens.min() >= 0 and tokens.max() < field.size
        assert parts.min() >= 0
        assert (parts < torch.from_numpy(field.parts)[tokens]).all()


def joint(codes: np.ndarray, *columns: int) -> np.ndarray:
    table = np.zeros([FIELDS[i].size for i in columns])
    np.add.at(table, tuple(codes[:, 0, i] for i in columns), 1 / len(codes))
    return table


def given_codes(n: int, **columns: Any) -> Tensor:
    codes = torch.full((n, 2, len(FIELDS)), OPEN)
    for name, tokens in columns.items():
        index = [field.column for field in FIELDS].index(name)
        codes[:, 0, index] = torch.as_tensor(tokens)
        if not FIELDS[index].has_parts:
            codes[:, 1, index] = 0
    return codes


def test_settings_are_a_small_frozen_dataclass_that_json_can_hold(kind: type[Model]) -> None:
    config = kind.sized(FIELDS, len(RECORDS), {})
    assert isinstance(config, kind.Config)
    fields = dataclasses.fields(config)
    assert len(fields) <= 12
    assert apply(config, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, fields[0].name, None)
    assert isinstance(kind.train_config(FIELDS, len(RECORDS), config), TrainConfig)


def test_losses_have_the_shapes_that_the_loop_needs(kind: type[Model]) -> None:
    model = build(kind, kind.sized(FIELDS, len(RECORDS), {})).train()
    codes = torch.from_numpy(RECORDS[:32])
    condition = torch.stack([torch.full((32,), DIAGNOSIS), codes[:, 0, DIAGNOSIS]], 1)
    balanced = condition if kind.batching == "balanced" else None
    for step in range(6):
        random = torch.default_generator.manual_seed(step)
        batch = Batch(codes, balanced, random, asked=balanced)
        for loss in model.losses(batch, step):
            assert any(True for _ in model.get_submodule(loss.child).parameters())
            assert loss.per_record is not None or loss.public is not None
            if loss.per_record is not None:
                assert loss.per_record.shape == (32,)
                assert loss.per_record.isfinite().all()
            if loss.public is not None:
                assert loss.public.shape == ()
                assert loss.public.isfinite()


def test_learns_what_hangs_on_what(fitted: Fitted) -> None:
    assert np.isfinite(fitted.loss_before)
    assert fitted.loss_after < fitted.loss_before
    sampled = draw(fitted.model, 2000).numpy()
    for pair in ((SEX, DIAGNOSIS), (DIAGNOSIS, AGE), (DIAGNOSIS, LAB)):
        real = joint(RECORDS, *pair)
        independent = real.sum(1, keepdims=True) * real.sum(0, keepdims=True)
        far = np.abs(real - joint(sampled, *pair)).sum()
        assert far < 0.7 * np.abs(real - independent).sum(), pair


def test_samples_are_codes_of_the_table(fitted: Fitted) -> None:
    for n in (1, 257):
        check_codes(draw(fitted.model, n), n)


def test_equal_seeds_equal_samples_whatever_else_was_drawn(fitted: Fitted) -> None:
    torch.manual_seed(1)
    first = draw(fitted.model, 50)
    torch.manual_seed(2)
    assert draw(fitted.model, 50).equal(first)
    assert not draw(fitted.model, 50, seed=8).equal(first)


def test_equal_seeds_equal_fits(kind: type[Model]) -> None:
    config = kind.sized(FIELDS, len(RECORDS), {})
    models = [build(kind, config) for _ in range(3)]
    for model, seed in zip(models, (1, 1, 2), strict=True):
        fit(model, config, steps=4, seed=seed)
    one, same, other = (save(model.state_dict()) for model in models)
    assert one == same
    assert one != other


def test_sampling_is_the_same_in_training_mode(fitted: Fitted) -> None:
    expected = draw(fitted.model, 50)
    fitted.model.train()
    try:
        assert draw(fitted.model, 50).equal(expected)
    finally:
        fitted.model.eval()


def test_the_held_out_loss_is_a_function_of_the_records(fitted: Fitted) -> None:
    codes = torch.from_numpy(HELD_OUT)
    torch.manual_seed(1)
    first = fitted.model.held_out_loss(codes)
    torch.manual_seed(2)
    assert fitted.model.held_out_loss(codes) == first
    shuffled = np.random.default_rng(0).permuted(HELD_OUT, axis=0)
    assert fitted.model.held_out_loss(torch.from_numpy(shuffled)) > first


def test_weights_come_back_from_a_file(fitted: Fitted) -> None:
    other = build(fitted.kind, fitted.config, seed=99)
    other.load_state_dict(load(save(fitted.model.state_dict())))
    other.eval()
    codes = torch.from_numpy(HELD_OUT)
    assert other.held_out_loss(codes) == fitted.model.held_out_loss(codes)
    assert draw(other, 50).equal(draw(fitted.model, 50))


CONDITIONS = {
    "one": given_codes(200, diagnosis=3),
    "rare and null": given_codes(200, site=[5] * 100 + [7] * 100, lab=0),
    "all but one": given_codes(200, sex=1, diagnosis=2, age=4, lab=3),
    "different columns in each record": torch.cat(
        [given_codes(100, sex=1), given_codes(100, age=3, lab=2)]
    ),
}


@pytest.mark.parametrize("name", list(CONDITIONS))
def test_given_codes_are_kept_or_refused(fitted: Fitted, name: str) -> None:
    codes = CONDITIONS[name]
    if not fitted.kind.native_conditions:
        with pytest.raises((SynthehrError, ValueError)):
            draw(fitted.model, len(codes), Given(codes))
        return
    known = codes != OPEN
    try:
        sampled = draw(fitted.model, len(codes), Given(codes))
    except ConditionError:
        # drawing anew until several columns fit may be given up, one column never
        assert known[:, 0].sum(1).max() > 1
        return
    check_codes(sampled, len(codes))
    assert sampled[known].equal(codes[known])
    assert all(len(sampled[:, 0, i].unique()) > 1 for i in range(5) if not known[:, 0, i].any())


def test_open_cells_are_completed_or_it_is_refused(fitted: Fitted) -> None:
    codes = torch.from_numpy(cohort(300, 5)).long()
    is_open = torch.rand(300, len(FIELDS), generator=torch.Generator().manual_seed(3)) < 0.3
    is_open[:, SEX] = False
    holes = codes.masked_fill(is_open[:, None], OPEN)
    barred = {LAB: torch.arange(FIELDS[LAB].size) == 0, SITE: torch.arange(12) > 5}

    def complete(some: Tensor) -> Tensor:
        return fitted.model.complete(some, barred, torch.Generator().manual_seed(2))

    try:
        completed = complete(holes)
    except ConfigError as error:
        assert "--model" in error.hint
        return
    check_codes(completed, 300)
    kept = ~is_open[:, None].expand(-1, 2, -1)
    assert completed[kept].equal(codes[kept])
    for column, tokens in barred.items():
        assert not tokens[completed[:, 0, column]][is_open[:, column]].any()
    assert complete(holes).equal(completed)
    # a record's cells hang on no other record's holes
    other = holes.clone()
    other[150:] = codes[150:]
    torch.testing.assert_close(complete(other)[:150], completed[:150])
    chances = fitted.model.token_chances(holes, barred)
    if chances is not None:
        for column, field in enumerate(FIELDS):
            assert chances[column].shape == (300, field.size)
            torch.testing.assert_close(chances[column].sum(1), torch.ones(300))
            if column in barred:
                assert (chances[column][:, barred[column]] == 0).all()


def test_completions_hang_on_what_is_known(fitted: Fitted) -> None:
    codes = torch.from_numpy(cohort(3000, 6)).long()
    holes = codes.clone()
    holes[:, :, LAB] = OPEN
    try:
        completed = fitted.model.complete(holes, {}, torch.Generator().manual_seed(2)).numpy()
    except ConfigError:
        pytest.skip("this model fills no holes")
    real = codes.numpy()
    rare = real[:, 0, DIAGNOSIS] == 3
    far = np.abs(joint(real[rare], LAB) - joint(completed[rare], LAB)).sum()
    assert far < 0.7 * np.abs(joint(real[rare], LAB) - joint(real, LAB)).sum()


def test_known_parts_are_kept(fitted: Fitted) -> None:
    if not fitted.kind.native_conditions:
        pytest.skip("the caller draws and rejects")
    codes = given_codes(60, lab=3)
    codes[:30, 1, LAB] = 2
    sampled = draw(fitted.model, 60, Given(codes))
    assert (sampled[:30, 1, LAB] == 2).all()
    assert len(sampled[30:, 1, LAB].unique()) > 1


def test_forbidden_tokens_and_parts_are_never_drawn(fitted: Fitted) -> None:
    if not fitted.kind.native_conditions:
        pytest.skip("the caller draws and rejects")
    allowed = {
        AGE: torch.tensor([0.0, 0, 1, 1, 0, 1, 0, 0])[:, None],
        LAB: torch.tensor([[0.0] * 4, [0] * 4, [0, 0, 0.5, 1], [1, 0.2, 0, 0], *[[0] * 4] * 3]),
        SITE: (torch.arange(12) % 3 == 1).float()[:, None],
    }
    given = Given(given_codes(400, diagnosis=1), allowed)
    for conditions in (given, Given(None, allowed)):
        sampled = draw(fitted.model, 400, conditions)
        check_codes(sampled, 400)
        for column, weights in allowed.items():
            assert (weights[sampled[:, 0, column], sampled[:, 1, column]] > 0).all()
        assert len(sampled.unique(dim=0)) > 5


def test_records_do_not_hang_on_their_neighbours(fitted: Fitted) -> None:
    if not fitted.kind.native_conditions:
        pytest.skip("without conditions records differ by their noise alone")
    one = given_codes(80, diagnosis=1)
    other = given_codes(80, diagnosis=[1] * 40 + [3] * 40)
    first = draw(fitted.model, 80, Given(one))
    assert draw(fitted.model, 80, Given(other))[:40].equal(first[:40])


def test_conditions_move_what_hangs_on_them(fitted: Fitted) -> None:
    if not fitted.kind.native_conditions:
        pytest.skip("the caller draws and rejects")
    sampled = draw(fitted.model, 2000, Given(given_codes(2000, diagnosis=3))).numpy()
    real = RECORDS[RECORDS[:, 0, DIAGNOSIS] == 3]
    far = np.abs(joint(real, LAB) - joint(sampled, LAB)).sum()
    assert far < 0.7 * np.abs(joint(real, LAB) - joint(RECORDS, LAB)).sum()


@pytest.mark.parametrize("columns", [(SEX,), (LAB,), (AGE, LAB)])
def test_narrow_tables(kind: type[Model], columns: tuple[int, ...]) -> None:
    fields = tuple(FIELDS[i] for i in columns)
    records = RECORDS[:40, :, columns]
    config = kind.sized(fields, len(records), {})
    model = build(kind, config, fields)
    loss = fit(model, config, steps=3, records=records, fields=fields)
    assert loss is not None and np.isfinite(loss)
    check_codes(draw(model, 30), 30, fields)


def test_trains_in_bfloat16(kind: type[Model]) -> None:
    config = kind.sized(FIELDS, len(RECORDS), {})
    model = build(kind, config)
    loss = fit(model, config, steps=4, precision="bfloat16")
    assert loss is not None and np.isfinite(loss)
    check_codes(draw(model, 30), 30)


def others(value: Any, hint: Any) -> Iterator[Any]:
    """Other values that a setting might take, likely ones first."""
    if get_origin(hint) is Literal:
        yield from (choice for choice in get_args(hint) if choice != value)
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (2 * value, value // 2) if value > 1 else (1 - value, value + 1, 2)
    elif isinstance(value, float):
        yield from (value / 2, 0.0) if value else (0.3,)
    elif isinstance(value, tuple) and value:
        yield (*(next(others(part, type(part))) for part in value),)


def fingerprint(kind: type[Model], config: Any) -> bytes:
    model = build(kind, config)
    fit(model, config, steps=5)
    return save({**model.state_dict(), "sample": draw(model, 40)})


def test_every_setting_matters_and_the_user_has_the_last_word(kind: type[Model]) -> None:
    config = kind.sized(FIELDS, len(RECORDS), {})
    hints = get_type_hints(kind.Config)
    usual = fingerprint(kind, config)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        changes = list(others(value, hints[field.name]))
        assert changes, f"no other value is known for {field.name}"
        found = False
        for change in changes:
            try:
                changed = kind.sized(FIELDS, len(RECORDS), {field.name: change})
            except SynthehrError:
                continue
            assert getattr(changed, field.name) == change, field.name
            only = dataclasses.replace(config, **{field.name: change})
            if fingerprint(kind, only) != usual:
                found = True
                break
        assert found, f"{field.name} changes neither the weights nor the sample"
