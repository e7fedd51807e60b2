"""Images under differential privacy: what is charged, refused and kept within bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from commands import refused, run
from torch import Tensor, nn

from synthehr import ImageSynthesizer, Privacy, Schema
from synthehr.demo import simulate_scans
from synthehr.encode.fields import Field
from synthehr.encode.image import ImageFields
from synthehr.errors import ConfigError, SynthehrError
from synthehr.io.images import ImageSource, write_images
from synthehr.models import get_image
from synthehr.models.image_base import signed
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.embedding import noisy_sum
from synthehr.privacy.ledger import Ledger
from synthehr.privacy.rows import RowSlots
from synthehr.release.images import release_images
from synthehr.run.images.private_training import rehearse_images

ROOT = Path(__file__).resolve().parent.parent
DECLARED = 20_000
SIZE = 16
PRIVACY = Privacy(epsilon=4.0, delta=1e-6, public_rows=DECLARED)
SETTINGS: dict[str, dict[str, Any]] = {
    "model": {"width": 8},
    "train": {"steps": 3, "batch_size": 512},
    "encode": {"size": SIZE},
    "privacy": {"rounds": 1, "round_steps": 2},
}
ONCE = {**SETTINGS, "model": {"width": 8, "frequencies": 16, "drawn": 16}, "train": {"steps": 3}}
LABEL = Field("label", np.array([2 / 3, 1 / 3]), np.ones(2, dtype=np.int64))


@cache
def scans(n: int = 240) -> ImageSource:
    """Scans of n / 2 patients, of whom one has a label that is not declared."""
    found = simulate_scans(n, 0, size=SIZE)
    labels = found.records["label"].to_pylist()
    labels[0] = "singleton"
    at = found.records.column_names.index("label")
    return replace(found, records=found.records.set_column(at, "label", pa.array(labels)))


def schema(levels: tuple[str, ...] | None = ("clear", "lesion")) -> Schema:
    column: dict[str, Any] = {"name": "label", "kind": "categorical"}
    if levels is not None:
        column["levels"] = list(levels)
    return Schema.from_json({"format": "synthehr schema", "version": 1, "columns": [column]})


@cache
def fitted(model: str) -> ImageSynthesizer:
    settings = ONCE if model == "image-merf" else SETTINGS
    return ImageSynthesizer(model, seed=1, settings=settings).fit(
        scans(), schema(), privacy=PRIVACY
    )


@pytest.mark.parametrize("model", ["image-vae", "image-cgan", "image-merf"])
def test_what_a_fit_leaves(model: str, tmp_path: Path) -> None:
    synthesizer = fitted(model)
    record = synthesizer.record
    assert record["privacy"]["epsilon"] <= PRIVACY.epsilon
    assert (record["records"], record["patients"]) == (DECLARED, DECLARED)
    assert (record["held_out"], record["usual_scores"]) == (None, None)
    layout = record["layout"]
    assert (layout["height"], layout["width"], layout["details"]) == (SIZE, SIZE, {})
    file = tmp_path / "m.synthehr"
    synthesizer.save(file)
    drawn = ImageSynthesizer.load(file).sample(40, seed=1)
    assert drawn.images.shape == (40, 1, SIZE, SIZE)
    assert set(drawn.records["label"].to_pylist()) <= {"clear", "lesion", None}


def test_latents_are_drawn_from_the_standard_normal() -> None:
    mixture = dict(fitted("image-vae").artifact.model.named_buffers(prefix=""))
    assert not mixture["mixture.means"].any()


def test_steps_that_look_at_nobody_are_not_accounted_for() -> None:
    record = fitted("image-merf").record
    entries = {entry["what"]: entry for entry in record["privacy"]["entries"]}
    assert "training" not in entries
    assert entries["mean embedding of images"]["times"] == 1
    assert record["steps"] == record["free_steps"] == 3


def test_images_without_columns_need_no_schema_and_pay_for_none() -> None:
    synthesizer = ImageSynthesizer("image-gan", seed=1, settings=SETTINGS)
    prepared = synthesizer.prepare(scans(), privacy=PRIVACY)
    assert prepared.private is not None
    entries = [entry.what for entry in prepared.private.part.planned().entries]
    assert entries == ["training", "batches without room"]
    assert prepared.model.columns is None


def test_a_patient_more_costs_the_same() -> None:
    ledgers: list[Ledger] = []
    for n in (238, 240):
        synthesizer = ImageSynthesizer("image-vae", seed=1, settings=SETTINGS)
        private = synthesizer.prepare(scans().take(np.arange(n)), schema(), privacy=PRIVACY).private
        assert private is not None
        ledgers.append(private.part.planned())
    assert ledgers[0] == ledgers[1]


def fields(model: str) -> ImageFields:
    return ImageFields(1, 0, SIZE, 255, (LABEL,) if get_image(model).uses_columns else ())


@pytest.mark.parametrize("model", ["image-vae", "image-gan", "image-cgan"])
def test_models_that_may_be_private(model: str) -> None:
    kind = get_image(model)
    config = kind.sized(fields(model), 1_000, {"width": 8, **kind.private_only})
    torch.manual_seed(0)
    assert rehearse_images(kind.build(fields(model), config), fields(model)) == 1


def test_a_norm_of_the_whole_layer_may_not() -> None:
    kind = get_image("image-gan")
    config = kind.sized(fields("image-gan"), 1_000, {"width": 8, "penalty": 0.0, "spectral": True})
    with pytest.raises(ConfigError, match="hangs on"):
        rehearse_images(kind.build(fields("image-gan"), config), fields("image-gan"))


class Small(nn.Module):
    """One number an image, by every kind of layer that image models have."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 4, 2, 1), nn.GroupNorm(2, 4), nn.Tanh(),
            nn.ConvTranspose2d(4, 2, 4, 2, 1), nn.Flatten(), nn.Linear(2 * SIZE**2, 1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Tensor:
        return self.net(signed(pixels)).square()[:, 0]


def made(tensors: Any, filled: Tensor, generator: torch.Generator) -> Tensor:
    return tensors[0]


def test_a_patients_images_are_clipped_as_one() -> None:
    torch.manual_seed(0)
    model = Small()
    pixels = torch.randint(256, (7, 1, SIZE, SIZE)).to(torch.uint8)
    owners = np.array([0, 0, 0, 1, 2, 2, 3])
    slots = RowSlots([pixels], owners, 1.0, 5, 3, made)
    places = torch.tensor([0, 1, 2, 3, 9, 10, 12])
    batch = slots.batch([pixels], places, torch.default_generator)
    weights: list[Tensor] = list(model.parameters())
    single = [
        torch.autograd.grad(model(pixels[owners == who]).sum(), weights) for who in (0, 1, 2, 3)
    ]
    # Slot 2 is blank, and the third patient is in the slot after it.
    sizes = [float(torch.cat([part.flatten() for part in one]).norm()) for one in single]
    clip = float(np.median(sizes))
    expected = [
        sum(part * min(1.0, clip / size) for part, size in zip(parts, sizes, strict=True))
        for parts in zip(*single, strict=True)
    ]
    for dropped in (False, True):
        engine = DpSgd(model, slots, clip=clip, noise_multiplier=0.0, expected=1.0)
        with engine.watching():
            losses = model(batch[slots.filled] if dropped else batch)
            found = engine.clipped_sum(losses, weights)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * clip)


def test_a_batch_shows_so_many_images_of_a_patient_and_no_more() -> None:
    owners = np.repeat(np.arange(40), np.arange(40) % 7 + 1)
    rows = torch.arange(1, len(owners) + 1)[:, None]
    slots = RowSlots([rows], owners, 0.5, 30, 3, made)
    shown = torch.zeros(len(owners), dtype=torch.bool)
    for step in range(40):
        batch = slots(step, torch.default_generator)[:, 0]
        assert torch.equal(batch > 0, slots.filled)
        seen = batch[slots.filled] - 1
        assert len(seen.unique()) == len(seen)
        assert slots.owners is not None
        place = slots.owners[slots.filled].numpy()
        who = owners[seen.numpy()]
        pairs = np.unique(np.stack([place, who]), axis=1)
        assert pairs.shape[1] == len(np.unique(place)) == len(np.unique(who))
        numbers = np.bincount(who, minlength=40)
        assert (numbers[numbers > 0] == np.minimum(3, np.bincount(owners))[numbers > 0]).all()
        shown[seen] = True
    assert shown.all()


def test_a_patient_adds_no_more_than_a_vector_of_length_one() -> None:
    rows = torch.zeros(6, 3)
    rows[0, 0] = 50.0
    rows[1:4, 1] = 0.6
    rows[4] = torch.nan
    rows[5, 2] = 0.5
    owners = np.array([0, 1, 1, 1, 2, 3])
    total = noisy_sum(lambda index: rows[index], 6, owners, 0.0)
    torch.testing.assert_close(total, torch.tensor([1.0, 0.6, 0.5], dtype=torch.float64))
    wide = torch.zeros(1, 4_000)
    assert float(noisy_sum(lambda index: wide[index], 1, None, 3.0).std()) == pytest.approx(3, 0.1)


REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "cyclegan": ("cyclegan", {}, {}, "it draws none"),
    "mixture": ("image-ae", {}, {}, "mixture that is fitted to images"),
    "size": ("image-vae", {"encode": {}}, {}, "size of images must be declared"),
    "penalty": ("image-cgan", {"model": {"penalty": 1.0}}, {}, "penalty must be 0.0"),
    "few steps": (
        "image-vae", {}, {"privacy": Privacy(epsilon=1.0, delta=1e-6, public_rows=500)},
        "fewer than 300 steps",
    ),
    "drowned": (
        "image-merf", {"train": {}}, {"privacy": Privacy(epsilon=1.0, delta=1e-6, public_rows=130)},
        "130 patients are too few",
    ),
    "held out": ("image-vae", {}, {"holdout": 0.2}, "holdout does not go"),
    "no schema": ("image-vae", {}, {"schema": None}, "needs a schema"),
    "no levels": ("image-vae", {}, {"schema": schema(None)}, "levels of label"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_privacy_is_refused(name: str) -> None:
    model, settings, options, why = REFUSED[name]
    groups = {**SETTINGS, "model": {}, **settings}
    synthesizer = ImageSynthesizer(model, seed=1, settings=groups)
    with pytest.raises(SynthehrError, match=why):
        synthesizer.prepare(scans(), **{"schema": schema(), "privacy": PRIVACY, **options})


def test_what_would_be_found_among_images_must_be_declared() -> None:
    wide = replace(scans(), layout=replace(scans().layout, dtype="uint16", bits=16))
    synthesizer = ImageSynthesizer("image-vae", seed=1, settings=SETTINGS)
    with pytest.raises(ConfigError, match="limits of uint16 pixels"):
        synthesizer.prepare(wide, schema(), privacy=PRIVACY)
    masked = simulate_scans(60, 0, size=SIZE, masks=True)
    with pytest.raises(ConfigError, match="values of masks"):
        synthesizer.prepare(masked, schema(), privacy=PRIVACY)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, named, model = tmp_path / "scans", tmp_path / "s.json", tmp_path / "m.synthehr"
    found = scans()
    write_images(folder, np.stack(list(found.images())), found.records, found.layout)
    schema().write(named)
    words = ["fit", folder, "-o", model, "--model", "image-merf", "--patient", "patient"]
    words += ["--epsilon", 4, "--public-rows", DECLARED, "--seed", 1]
    for group, settings in ONCE.items():
        for key, value in settings.items():
            words += ["--set", f"{group}.{key}={value}"]
    assert "needs a schema" in refused(run(capsys, *words))
    done = run(capsys, *words, "--schema", named, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["privacy"]["unit"] == "patient"
    shown = run(capsys, "inspect", model)
    assert "mean embedding of images" in shown.out
    assert "differentially private, for neighbours that add or remove one patient" in shown.out


def test_trainer_and_engine_know_of_no_images() -> None:
    package = ROOT / "synthehr"
    files = [*package.glob("train/*.py"), *package.glob("privacy/*.py"), package / "artifact.py"]
    assert [file.name for file in files if "image" in file.read_text().lower()] == []


@pytest.mark.slow
def test_a_release_of_private_images_hangs_on_the_ledger_alone(tmp_path: Path) -> None:
    with_columns, without = tmp_path / "a", tmp_path / "b"
    synthesizer = ImageSynthesizer("image-vae", seed=1, settings=SETTINGS)
    release_images(scans(), with_columns, synthesizer, schema=schema(), n=30, privacy=PRIVACY)
    assert sorted(path.name for path in with_columns.iterdir()) == [
        "SHA256SUMS", "data_dictionary.csv", "ledger.json", "releasable.html", "synthetic",
    ]  # fmt: skip
    blank = ImageSynthesizer("image-gan", seed=1, settings=SETTINGS)
    release_images(scans(), without, blank, n=30, privacy=PRIVACY)
    assert (without / "ledger.json").exists() and not (without / "report.json").exists()
