"""Images from end to end: the command line and the Python interface, on drawn scans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import refused, run

from synthehr import ImageSynthesizer, Synthesizer
from synthehr.demo import simulate_scans, write_scans
from synthehr.errors import ArtifactError, ConditionError, ConfigError, InputError
from synthehr.io.images import ImageSource, read_images
from synthehr.models.image_base import Images
from synthehr.models.image_growth import coarseness

QUICK = {"train": {"steps": 6, "evaluations": 1, "warmup": 1, "batch_size": 16}}
WORDS = [
    word for key, value in QUICK["train"].items() for word in ("--set", f"train.{key}={value}")
]
SETTINGS = {**QUICK, "model": {"width": 8}}


def scans(n: int = 90, seed: int = 0, *, size: int = 16, masks: bool = False) -> ImageSource:
    return simulate_scans(n, seed, size=size, masks=masks)


def pixels_of(source: ImageSource) -> np.ndarray:
    return np.stack(list(source.images()))


@pytest.fixture(scope="module")
def drawer() -> ImageSynthesizer:
    return ImageSynthesizer(seed=1, settings=SETTINGS).fit(scans())


@pytest.fixture(scope="module")
def compressor() -> ImageSynthesizer:
    return ImageSynthesizer("image-vae", seed=1, settings=SETTINGS).fit(scans())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images") / "scans"
    write_scans(place, 60, 0)
    return place


def test_images_come_with_their_columns_and_hang_on_seed_and_place_alone(
    drawer: ImageSynthesizer,
) -> None:
    few, many = drawer.sample(5, seed=3), drawer.sample(300, seed=3)
    assert few.images.shape == (5, 1, 16, 16) and few.images.dtype == np.uint8
    assert few.records.column_names == ["label"]
    assert set(many.records["label"].to_pylist()) <= {"clear", "lesion"}
    np.testing.assert_array_equal(few.images, many.images[:5])
    assert few.records.equals(many.records.slice(0, 5))
    other = drawer.sample(5, seed=4)
    assert not np.array_equal(few.images, other.images)


def test_conditions_speak_of_columns(drawer: ImageSynthesizer) -> None:
    drawn = drawer.sample(20, given="label=lesion", seed=1)
    assert set(drawn.records["label"].to_pylist()) == {"lesion"}
    with pytest.raises(ConditionError):
        drawer.sample(20, given="label=broken")
    with pytest.raises(ConditionError):
        drawer.sample(0)


def test_a_model_file_gives_equal_images_and_is_no_other_family(
    drawer: ImageSynthesizer, tmp_path: Path
) -> None:
    drawer.save(tmp_path / "scans.synthehr")
    loaded = ImageSynthesizer.load(tmp_path / "scans.synthehr")
    first, second = (each.sample(4, seed=9).images for each in (drawer, loaded))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(ArtifactError, match="one of images"):
        Synthesizer.load(tmp_path / "scans.synthehr")
    content = (tmp_path / "scans.synthehr").read_bytes()
    for text in (b"000001.png", b"P00001"):
        assert text not in content


def test_equal_seeds_give_equal_fits() -> None:
    first, second = (
        ImageSynthesizer("image-gan", seed=5, settings=SETTINGS).fit(scans(60)) for _ in range(2)
    )
    np.testing.assert_array_equal(first.sample(3, seed=0).images, second.sample(3, seed=0).images)
    assert first.sample(3, seed=0).records.num_columns == 0


def test_patients_are_held_out_whole(drawer: ImageSynthesizer) -> None:
    assert drawer.record["patients"] is not None
    # Two scans a patient: what is left over is even, and so is what is learned.
    assert drawer.record["held_out_records"] % 2 == 0
    assert drawer.record["held_out_records"] > 0


def test_a_split_that_comes_with_the_data_is_kept() -> None:
    source = scans()
    split = pa.array(["train"] * 60 + ["val"] * 20 + ["test"] * 10)
    told = ImageSource(
        records=source.records.append_column("split", split),
        layout=source.layout,
        patient=None,
        load=source.load,
        rows=source.rows,
    )
    prepared = ImageSynthesizer(seed=1, settings=SETTINGS).prepare(told)
    assert (len(prepared.codes), len(prepared.held_out)) == (60, 20)


def test_images_and_masks_are_drawn_together() -> None:
    synthesizer = ImageSynthesizer("image-gan", seed=1, settings=SETTINGS)
    drawn = synthesizer.fit(scans(masks=True)).sample(7, seed=1)
    assert drawn.masks is not None and drawn.masks.shape == (7, 16, 16)
    assert set(np.unique(drawn.masks)) <= {0, 1}


def test_latents_compress_rebuild_and_lead_from_one_image_to_the_next(
    compressor: ImageSynthesizer,
) -> None:
    source = scans(12, 7)
    latents = compressor.embed(source)
    assert latents.shape == (12, compressor.artifact.config.latent)
    assert compressor.reconstruct(source).shape == (12, 1, 16, 16)
    walk = compressor.interpolate(source, steps=4)
    assert walk.shape == (11, 4, 1, 16, 16)
    np.testing.assert_array_equal(walk[:, 0], compressor.reconstruct(source)[:-1])
    kept = compressor.compression(source)
    assert kept.rate == 256 / compressor.artifact.config.latent
    assert 0 <= kept.ssim <= 1 and kept.psnr > 0 and kept.psnr_mean > 0


@pytest.mark.parametrize("who", ["drawer", "compressor"])
def test_walks_lead_from_one_drawn_image_to_another(
    who: str, request: pytest.FixtureRequest
) -> None:
    fitted: ImageSynthesizer = request.getfixturevalue(who)
    walks = fitted.walk(3, steps=5, seed=2)
    assert walks.shape == (3, 5, 1, 16, 16)
    assert walks.min() >= 0 and walks.max() <= 1
    steps = np.abs(np.diff(walks, axis=1)).mean((1, 2, 3, 4))
    across = np.abs(walks[:, -1] - walks[:, 0]).mean((1, 2, 3))
    assert (steps < across).all()
    np.testing.assert_array_equal(walks, fitted.walk(3, steps=5, seed=2))


def test_nets_grow_from_small_images_to_whole_ones(tmp_path: Path) -> None:
    settings = {
        "train": {**QUICK["train"], "steps": 12},
        "model": {"width": 8, "growing": 4, "variations": ["cutout"]},
    }
    drawn = []
    for steps in (4, 12):
        settings["train"]["steps"] = steps
        fitted = ImageSynthesizer("image-cgan", seed=1, settings=settings)
        fitted.fit(scans(60, size=32)).save(tmp_path / f"{steps}.synthehr")
        drawn.append(fitted.sample(8, seed=1).images)
        again = ImageSynthesizer.load(tmp_path / f"{steps}.synthehr").sample(8, seed=1)
        np.testing.assert_array_equal(drawn[-1], again.images)
    assert drawn[0].shape == drawn[1].shape == (8, 1, 32, 32)
    # Neighbouring pixels of images that stayed small are alike.
    rough = [np.abs(np.diff(each.astype(int), n=2, axis=3)).mean() for each in drawn]
    assert rough[0] < rough[1]


@pytest.mark.parametrize(
    ("step", "coarse"), [(0, 2), (9, 2), (10, 2), (12, 1.6), (15, 1), (19, 1), (22, 0.6), (25, 0)]
)
def test_a_new_size_is_faded_in(step: int, coarse: float) -> None:
    assert coarseness(step, 10, 64) == pytest.approx(coarse)
    assert coarseness(step, 0, 64) == coarseness(step, 10, 28) == 0


def test_repaired_images_keep_what_is_known(compressor: ImageSynthesizer, tmp_path: Path) -> None:
    from PIL import Image

    source = scans(4, 7)
    hidden = np.zeros((16, 16), dtype=np.uint8)
    hidden[4:10, 4:10] = 255
    for name in source.records["image"].to_pylist():
        Image.fromarray(hidden).save(tmp_path / name)
    filled = compressor.restore(source, tmp_path, seed=1)
    real = pixels_of(source)
    np.testing.assert_array_equal(filled[:, 0][:, hidden == 0], real[:, 0][:, hidden == 0])
    again = compressor.restore(source, tmp_path, seed=2)
    assert not np.array_equal(filled, again)
    with pytest.raises(InputError, match="5 images and 4 masks"):
        compressor.restore(scans(5, 7), tmp_path)


def test_what_is_unlike_the_learned_scores_high(compressor: ImageSynthesizer) -> None:
    usual = compressor.score(scans(20, 8))
    source = scans(20, 8)
    noise = np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8)
    strange = ImageSource(
        records=source.records, layout=source.layout, load=lambda rows: iter(noise[rows]),
        rows=source.rows,
    )  # fmt: skip
    assert compressor.score(strange).min() > usual.max()


def test_what_a_model_cannot_do_it_says(drawer: ImageSynthesizer) -> None:
    source = scans(4, 7)
    for ask in (drawer.embed, drawer.reconstruct, drawer.score, drawer.restore):
        with pytest.raises(ConfigError, match="cannot"):
            ask(source)
    with pytest.raises(ConfigError, match="cannot translate"):
        drawer.translate(source)
    with pytest.raises(InputError, match="the least"):
        ImageSynthesizer(seed=1).fit(scans(10))


def test_fit_sample_and_inspect(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "m.synthehr", tmp_path / "out"
    done = run(
        capsys, "fit", folder, "-o", model, "--seed", 1, *WORDS, "--set", "model.width=8", "--json"
    )
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["held_out"]["likeness_floor"] is not None
    done = run(capsys, "sample", model, "-n", 12, "-o", out, "--seed", 2)
    assert done.code == 0, done.err
    again = read_images(out)
    assert len(again) == 12
    assert set(again.records["label"].to_pylist()) <= {"clear", "lesion"}
    assert refused(run(capsys, "sample", model, "-o", out))
    assert run(capsys, "sample", model, "-n", 3, "-o", out, "--force", "--quiet").err == ""
    plain, bare = tmp_path / "gan.synthehr", tmp_path / "bare"
    words = ["--model", "image-gan", "-o", plain, *WORDS, "--set", "model.width=8", "--quiet"]
    assert run(capsys, "fit", folder, *words).code == 0
    done = run(capsys, "sample", plain, "-n", 300, "-o", bare, "--quiet")
    assert done.code == 0, done.err
    assert len(read_images(bare)) == 300
    told = run(
        capsys, "fit", folder, "--model", "image-gan", "-o", plain, "--force", "--dry-run"
    ).err
    n = len(read_images(folder))
    assert f"{n} records" in told and "is not learned (label)" in told and "kind" not in told
    done = run(capsys, "inspect", model)
    assert done.code == 0 and "image-cgan" in done.out
    sentence = refused(run(capsys, "sample", model, "--parity", "label|x"))
    assert "--parity" in sentence


def test_translate_repair_and_score(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--set", "model.width=8", *WORDS, "--seed", "1", "--quiet"]
    turn, keep = tmp_path / "turn.synthehr", tmp_path / "keep.synthehr"
    assert run(capsys, "fit", folder, "--model", "cyclegan", "-o", turn, *small).code == 0
    done = run(
        capsys, "translate", turn, folder / "clear", "-o", tmp_path / "there", "--to", "lesion"
    )
    assert done.code == 0, done.err
    assert "there and back" in done.err
    names = read_images(tmp_path / "there").records
    assert names.num_rows == len(list((folder / "clear").glob("*.png")))
    sentence = refused(run(capsys, "translate", turn, folder / "clear", "-o", tmp_path / "no"))
    assert "not told" in sentence
    sentence = refused(
        run(capsys, "translate", turn, folder / "clear", "--to", "x", "-o", tmp_path / "no")
    )
    assert "none of the two" in sentence
    assert "draws none" in refused(run(capsys, "sample", turn, "-o", tmp_path / "no"))
    assert run(capsys, "fit", folder, "--model", "image-ae", "-o", keep, *small).code == 0
    done = run(capsys, "impute", keep, folder, "-o", tmp_path / "clean", "--seed", 1)
    assert done.code == 0, done.err
    done = run(
        capsys, "score", keep, folder, "-o", tmp_path / "s.parquet", "--heat", tmp_path / "heat"
    )
    assert done.code == 0, done.err
    scores = pq.read_table(tmp_path / "s.parquet")
    assert scores.num_rows == 60 and (scores["anomaly"].to_numpy() > 0).all()
    assert len(read_images(tmp_path / "heat")) == 60


def test_records_with_a_column_of_images(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "scan": names,
            "age": rng.integers(20, 90, len(names)),
            "sex": rng.choice(["F", "M"], len(names)),
        }
    )
    pq.write_table(table, folder.parent / "scans" / "people.parquet")
    try:
        done = run(
            capsys, "fit", folder / "people.parquet", "--image-column", "scan",
            "-o", tmp_path / "m.synthehr", *WORDS, "--set", "model.width=8", "--quiet",
        )  # fmt: skip
        assert done.code == 0, done.err
        done = run(
            capsys, "sample", tmp_path / "m.synthehr", "-n", 8, "--given", "sex=F, age=50:60",
            "-o", tmp_path / "out", "--quiet",
        )  # fmt: skip
        assert done.code == 0, done.err
        drawn = read_images(tmp_path / "out").records
        assert set(drawn["sex"].to_pylist()) == {"F"}
        assert all(50 <= age <= 60 for age in drawn["age"].to_pylist())
    finally:
        (folder / "people.parquet").unlink()


def test_the_schema_is_of_what_is_known_of_images(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "schema.json"
    assert run(capsys, "schema", folder, "-o", target).code == 0
    columns = json.loads(target.read_text())["columns"]
    assert [column["name"] for column in columns] == ["label"]
    alone = tmp_path / "alone.npz"
    np.savez(alone, images=np.zeros((60, 16, 16), np.uint8))
    assert "nothing is known" in refused(run(capsys, "schema", alone))


def test_what_images_have_not_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "must be declared" in refused(run(capsys, "fit", folder, "--epsilon", 3))
    (tmp_path / "rules.toml").write_text("")
    assert "learns images" in refused(
        run(capsys, "fit", folder / "records.parquet", "--model", "image-gan")
    )
    assert "does not learn images" in refused(run(capsys, "fit", folder, "--model", "vae"))


def test_the_model_file_is_attacked_by_what_it_finds_familiar() -> None:
    source = scans(120)
    fitted = ImageSynthesizer("image-ae", seed=1, settings=SETTINGS).fit(source, holdout=0.3)
    found = fitted.membership(source)
    assert found.name == "membership_by_model" and found.ceiling == 0.5
    assert found.low is not None and found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    with pytest.raises(InputError, match="was fitted on"):
        fitted.membership(scans(60))
    long = {
        "train": {**QUICK["train"], "steps": 250, "learning_rate": 5e-3},
        "model": {"width": 16},
    }
    few = scans(90, 3)
    remembers = ImageSynthesizer("image-ae", seed=1, settings=long).fit(few, holdout=0.4)
    assert remembers.membership(few).value > 0.6


def split_as(source: ImageSource, split: list[str]) -> ImageSource:
    records = source.records.append_column("split", pa.array(split))
    return ImageSource(
        records=records, layout=source.layout, patient=None, load=source.load, rows=source.rows
    )


def test_images_kept_for_tests_are_neither_learned_nor_held_out() -> None:
    told = split_as(scans(), ["train"] * 70 + ["test"] * 20)
    for holdout in (None, 0.2):
        made = ImageSynthesizer(seed=1, settings=SETTINGS).prepare(told, holdout=holdout)
        assert len(made.codes) + len(made.held_out) == 70
        assert len(made.held_out) == (7 if holdout is None else 14)


def test_some_images_are_not_the_first_ones() -> None:
    in_order = Images(torch.arange(900).view(-1, 1, 1, 1), torch.zeros(900, 2, 0))
    some = in_order.some(300).pixels.flatten()
    assert len(some.unique()) == 300 and some.double().mean() == pytest.approx(450, abs=60)
    assert torch.equal(some, in_order.some(300).pixels.flatten())
    assert in_order.some(901) is in_order
