"""What every model of images owes: each promise of `synthehr.models.image_base`, held to each."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from synthehr.config import TrainConfig, apply
from synthehr.demo.scans import draw_scans
from synthehr.encode.fields import Field
from synthehr.encode.image import ImageFields
from synthehr.errors import ConfigError
from synthehr.models import IMAGE_MODELS, get_image
from synthehr.models.base import Loss
from synthehr.models.image_base import ImageModel, Images, signed, stored
from synthehr.train import Runtime, train

CPU = Runtime(torch.device("cpu"), fast_bfloat16=False)
SIZE, N, STEPS = 20, 240, 60


def scans(n: int, seed: int) -> Images:
    pixels, _, labels = draw_scans(n, seed, SIZE)
    codes = np.zeros((n, 2, 1), dtype=np.int16)
    codes[:, 0, 0] = labels
    return Images(torch.from_numpy(pixels[:, None].copy()), torch.from_numpy(codes))


RECORDS, HELD_OUT = scans(N, 0), scans(80, 1)
LABEL = Field("label", np.array([2 / 3, 1 / 3]), np.ones(2, dtype=np.int64))
FIELDS = ImageFields(1, 0, SIZE, 255, (LABEL,))
SMALL: dict[str, dict[str, Any]] = {
    "cyclegan": {"width": 8, "blocks": 1, "pool": 8},
    "image-merf": {"width": 8, "frequencies": 32, "drawn": 32},
}


@dataclass(frozen=True)
class Fitted:
    """A model before and after training."""

    kind: type[ImageModel]
    config: Any
    model: ImageModel
    before: float
    after: float


def records_of(kind: type[ImageModel], images: Images) -> Images:
    return images if kind.uses_columns else Images(images.pixels, images.codes[:, :, :0])


def fields_of(kind: type[ImageModel]) -> ImageFields:
    return FIELDS if kind.uses_columns else FIELDS._replace(columns=())


def build(kind: type[ImageModel], name: str, seed: int = 0) -> tuple[ImageModel, Any]:
    settings = SMALL.get(name, {"width": 8})
    config = kind.sized(fields_of(kind), N, settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind.build(fields_of(kind), config), config


def fit(model: ImageModel, config: Any, *, steps: int, seed: int = 1) -> float:
    kind = type(model)
    wanted = kind.train_config(fields_of(kind), N, config)
    settings = dataclasses.replace(
        wanted, steps=steps, batch_size=16, warmup=5, evaluations=1, precision="float32"
    )
    records, held_out = records_of(kind, RECORDS), records_of(kind, HELD_OUT)
    model.begin(records, torch.Generator().manual_seed(seed))
    history = train(model, records, held_out, settings, seed=seed, runtime=CPU)
    model.finish(records)
    assert history.best_held_out is not None
    return history.best_held_out


@pytest.fixture(scope="module", params=list(IMAGE_MODELS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def fitted(name: str) -> Fitted:
    kind = get_image(name)
    model, config = build(kind, name)
    model.eval()
    before = model.held_out_loss(records_of(kind, HELD_OUT))
    return Fitted(kind, config, model, before, fit(model, config, steps=STEPS))


def weights(model: ImageModel) -> list[Tensor]:
    return [weight.detach().clone() for weight in model.parameters()]


def test_settings_are_a_small_frozen_dataclass_that_json_can_hold(fitted: Fitted) -> None:
    config = fitted.config
    assert isinstance(config, fitted.kind.Config)
    assert len(dataclasses.fields(config)) <= 12
    assert apply(config, json.loads(json.dumps(dataclasses.asdict(config)))) == config
    wanted = fitted.kind.train_config(fields_of(fitted.kind), N, config)
    assert isinstance(wanted, TrainConfig)


def test_training_lowers_the_held_out_loss(fitted: Fitted) -> None:
    if fitted.kind.draws:
        assert fitted.after < fitted.before
    else:
        # So short a run only shows that it begins near the identity and goes on from there.
        assert fitted.after < 1.1 * fitted.before


def test_losses_name_children_and_come_one_an_image(name: str) -> None:
    kind = get_image(name)
    model, _ = build(kind, name)
    random = torch.Generator().manual_seed(0)
    batch = records_of(kind, RECORDS).take(torch.arange(12), random)
    seen = 0
    for loss in model.losses(batch, 0):
        assert isinstance(loss, Loss)
        assert any(True for _ in model.get_submodule(loss.child).parameters())
        if loss.per_record is not None:
            assert loss.per_record.shape == (12,)
            seen += 1
    assert seen > 0


def test_what_drawn_images_look_like(fitted: Fitted) -> None:
    if not fitted.kind.draws:
        with pytest.raises(ConfigError, match="translates"):
            fitted.model.sample(2, torch.Generator().manual_seed(0))
        return
    drawn = fitted.model.sample(9, torch.Generator().manual_seed(0))
    assert drawn.pixels.shape == (9, 1, SIZE, SIZE)
    assert drawn.pixels.dtype == torch.uint8
    assert drawn.codes.shape == (9, 2, len(fields_of(fitted.kind).columns))
    again = fitted.model.sample(9, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.pixels, again.pixels)
    other = fitted.model.sample(9, torch.Generator().manual_seed(1))
    assert not torch.equal(drawn.pixels, other.pixels)
    mean = signed(RECORDS.pixels).mean(0)
    black = (signed(RECORDS.pixels) + 1).square().mean()
    assert (signed(drawn.pixels) - mean).square().mean() < black


def test_equal_seeds_give_equal_weights(name: str) -> None:
    kind = get_image(name)
    found = []
    for _ in range(2):
        model, config = build(kind, name)
        fit(model, config, steps=3)
        found.append(weights(model))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_run_that_was_cut_off_goes_on_as_if_it_was_not(name: str, tmp_path: Path) -> None:
    kind = get_image(name)
    if name == "cyclegan":
        pytest.skip("the translated images of earlier steps are in no checkpoint")
    records = records_of(kind, RECORDS)
    found = []
    for cut in (False, True):
        model, config = build(kind, name)
        wanted = kind.train_config(fields_of(kind), N, config)
        settings = dataclasses.replace(
            wanted, steps=6, batch_size=16, warmup=2, evaluations=1, precision="float32"
        )
        run = partial(train, held_out=records.nobody(), config=settings, seed=1, runtime=CPU)
        if cut:
            path = tmp_path / "run.checkpoint"
            keep = {"checkpoint": path, "checkpoint_every": 0.0}
            run(model, records, callbacks=[lambda state: state.step == 3], **keep)
            model, _ = build(kind, name, seed=9)
            run(model, records, resume=True, **keep)
        else:
            run(model, records)
        found.append(weights(model))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_model_survives_its_file(fitted: Fitted) -> None:
    state = {key: value.contiguous() for key, value in fitted.model.state_dict().items()}
    restored = fitted.kind.build(fields_of(fitted.kind), fitted.config)
    restored.load_state_dict(load(save(state)))
    restored.eval()
    images = records_of(fitted.kind, HELD_OUT)
    assert restored.held_out_loss(images) == fitted.model.eval().held_out_loss(images)


def test_latents_or_a_refusal_by_name(fitted: Fitted) -> None:
    images = records_of(fitted.kind, HELD_OUT)
    pixels, codes = signed(images.pixels), images.codes.long()
    random = torch.Generator().manual_seed(0)
    if not fitted.kind.__name__.endswith(("Autoencoder", "VAE")):
        with pytest.raises(ConfigError, match="cannot compress"):
            fitted.model.embed(pixels, codes)
        return
    latents = fitted.model.embed(pixels, codes)
    assert latents.shape == (len(images), fitted.config.latent)
    rebuilt = fitted.model.rebuild(latents, codes)
    assert (rebuilt - pixels).square().mean() < (pixels - pixels.mean(0)).square().mean() * 1.5
    known = torch.ones_like(pixels[:, :1], dtype=torch.bool)
    known[:, :, 6:14, 6:14] = False
    filled = fitted.model.restore(pixels, known, codes, random)
    assert torch.equal(filled.where(known, pixels), pixels)
    assert torch.isfinite(filled).all()


def test_translation_or_a_refusal_by_name(fitted: Fitted) -> None:
    pixels = signed(HELD_OUT.pixels)
    if fitted.kind.__name__ != "CycleGAN":
        with pytest.raises(ConfigError, match="cannot translate"):
            fitted.model.translate(pixels, 1)
        return
    there = fitted.model.translate(pixels, 1)
    assert there.shape == pixels.shape
    assert not torch.equal(there, pixels)
    assert there.abs().max() <= 1


def test_stored_integers_and_numbers_agree() -> None:
    for top, dtype in ((255, torch.uint8), (32767, torch.int16)):
        whole = torch.arange(0, top + 1, max(1, top // 99)).to(dtype).view(1, 1, 1, -1)
        assert torch.equal(stored(signed(whole), top), whole)
        assert signed(whole).amin() == -1
