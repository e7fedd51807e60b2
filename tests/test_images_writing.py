"""Images are written as others came in: every layout and depth, whole or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from phantoms import SECRET, folder, phantoms, save
from PIL import Image

from synthehr.errors import ArtifactError
from synthehr.io.images import (
    ImageLayout,
    ImageSource,
    check_images_target,
    read_images,
    write_images,
)


def _pixels(source: ImageSource) -> NDArray[Any]:
    return np.stack(list(source.images()))


def _flat(root: Path) -> None:
    folder(root, [f"{SECRET}{i}.png" for i in range(4)])


def _classes(root: Path) -> None:
    folder(root, [f"{split}/{c}/{i}.png" for split in ("train", "val") for c in "ab" for i in "12"])


def _domains(root: Path) -> None:
    folder(root, [f"{s}{d}/{i}.png" for s in ("train", "test") for d in "AB" for i in "12"])


def _masks(root: Path) -> None:
    pixels, masks = phantoms(4)
    for i in range(4):
        save(root / "images" / f"{i}.png", pixels[i])
        save(root / "masks" / f"{i}.png", masks[i])


def _beside(root: Path) -> None:
    pixels, masks = phantoms(4)
    for i in range(4):
        save(root / "ab"[i % 2] / f"{i}.png", pixels[i])
        save(root / "ab"[i % 2] / f"{i}_mask.png", masks[i])


def _table(root: Path) -> None:
    folder(root / "pictures", [f"{i}.png" for i in range(4)])
    named = [f"pictures/{i}.png" for i in range(4)]
    table = pa.table({"age": [30, None, 50, 60], "file_name": named, "subject_id": [1, 1, 2, 3]})
    pq.write_table(table, root / "records.parquet")


def _arrays(root: Path) -> None:
    pixels, masks = phantoms(5, "int16")
    root.mkdir()
    labels, texts = np.array([0, 1, 1, 0, 1]), np.array(["well", "ill"])
    np.savez(
        root / "images.npz", images=pixels[:, 0], masks=masks, labels=labels, class_names=texts,
        ids=np.array([f"{SECRET}{i}" for i in "11223"]), side=np.array([1, 2, 1, 2, 1]),
    )  # fmt: skip


def _medmnist(root: Path) -> None:
    pixels, _ = phantoms(6, channels=3)
    last = pixels.transpose(0, 2, 3, 1)
    root.mkdir()
    np.savez(
        root / "some.npz", train_images=last[:4], train_labels=np.array([[0], [1], [2], [1]]),
        test_images=last[4:], test_labels=np.array([[2], [0]]),
    )  # fmt: skip


LAYOUTS = (_flat, _classes, _domains, _masks, _beside, _table, _arrays, _medmnist)


@pytest.mark.parametrize("make", LAYOUTS, ids=lambda make: make.__name__[1:])
def test_the_layout_that_came_in_goes_out(tmp_path, make):
    make(tmp_path / "in")
    source = read_images(tmp_path / "in")
    pixels = _pixels(source)
    masks = None if source.masks() is None else np.stack(list(source.masks() or []))
    # Another order than that of the names, as a sample has.
    order = np.random.default_rng(3).permutation(len(source))
    records = source.records.take(pa.array(order))
    some = None if masks is None else masks[order]
    write_images(tmp_path / "out", pixels[order], records, source.layout, masks=some)
    back = read_images(tmp_path / "out")
    assert ImageLayout.from_json(source.layout.to_json()) == source.layout == back.layout
    assert (_pixels(back) == pixels[order]).all()
    if some is not None:
        assert (np.stack(list(back.masks() or [])) == some).all()
    kept = [name for name in source.records.column_names if name != "image"]
    assert back.records.select(kept).to_pylist() == records.select(kept).to_pylist()
    assert back.patient == source.patient
    names = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not any(SECRET in name for name in names)


DEPTHS = [("uint8", 1), ("uint8", 2), ("uint8", 3), ("uint8", 4), ("uint16", 1), ("int16", 1)]


@pytest.mark.parametrize(("dtype", "channels"), [*DEPTHS, ("float32", 1)])
@pytest.mark.parametrize("kind", ["classes", "npz"])
def test_every_depth_survives(tmp_path, dtype, channels, kind):
    pixels, _ = phantoms(3, dtype, channels)
    bits = {"uint8": 8, "float32": 32}.get(dtype, 16)
    layout = ImageLayout(kind=kind, suffix=".png", dtype=dtype, bits=bits, channels=channels)
    records = pa.table({"label": ["a", "b", "a"]})
    write_images(tmp_path / "out", pixels, records, layout)
    back = read_images(tmp_path / "out")
    assert back.layout.dtype == dtype and back.layout.channels == channels
    assert _pixels(back).dtype == dtype and (_pixels(back) == pixels).all()
    assert back.records["label"].to_pylist() == ["a", "b", "a"]


LAYOUT = ImageLayout(kind="classes", suffix=".png", dtype="uint8", bits=8, channels=1)


def test_no_image_is_lost_whatever_its_split(tmp_path):
    layout = dataclasses.replace(LAYOUT, kind="npz", splits=True)
    splits = ["test", "fold 3", None, "train"]
    pixels, _ = phantoms(4)
    write_images(tmp_path / "out", pixels, pa.table({"split": splits}), layout)
    back = read_images(tmp_path / "out")
    assert back.records["split"].to_pylist() == splits and (_pixels(back) == pixels).all()


def test_arrays_are_compressed_and_the_same_each_time(tmp_path):
    layout = dataclasses.replace(LAYOUT, kind="npz")
    pixels, table = np.zeros((50, 1, 64, 64), np.uint8), pa.table({"age": range(50)})
    for name in ("a", "b"):
        write_images(tmp_path / name, pixels, table, layout)
    whole = (tmp_path / "a" / "images.npz").read_bytes()
    assert whole == (tmp_path / "b" / "images.npz").read_bytes()
    assert len(whole) < pixels.size / 50


def test_labels_cannot_lead_out_of_the_folder(tmp_path):
    labels = ["../../up", "/root", "a/b", "a_b", ".hidden", None, "", "ä ö"]
    pixels, _ = phantoms(8)
    write_images(tmp_path / "out", pixels, pa.table({"label": labels}), LAYOUT)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    below = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(below) == 9 and "records.parquet" in below and "ä ö" in below
    back = read_images(tmp_path / "out")
    assert back.records["label"].to_pylist() == labels
    assert (_pixels(back) == pixels).all()


def test_pictures_say_that_they_are_synthetic(tmp_path):
    write_images(tmp_path / "out", phantoms(1)[0], pa.table({"age": [1]}), LAYOUT)
    with Image.open(tmp_path / "out" / "000001.png") as picture:
        assert picture.info == {"Comment": "synthetic image, made by synthehr"}


def test_masks_of_a_layout_without_any_lie_in_a_folder(tmp_path):
    pixels, masks = phantoms(2)
    write_images(tmp_path / "out", pixels, pa.table({"age": [1, 2]}), LAYOUT, masks=masks)
    back = read_images(tmp_path / "out")
    assert (np.stack(list(back.masks() or [])) == masks).all()
    assert back.records.column_names == ["image", "age"]


def test_only_our_own_folder_is_replaced(tmp_path):
    pixels, _ = phantoms(3)
    table = pa.table({"age": [1, 2, 3]})
    write_images(tmp_path / "out", pixels, table, LAYOUT)
    with pytest.raises(ArtifactError, match="exists already"):
        write_images(tmp_path / "out", pixels, table, LAYOUT)
    write_images(tmp_path / "out", pixels[:2], table.slice(1), LAYOUT, force=True)
    assert len(read_images(tmp_path / "out")) == 2
    (tmp_path / "out" / "thesis.docx").write_text("x")
    with pytest.raises(ArtifactError, match="holds other files"):
        write_images(tmp_path / "out", pixels, table, LAYOUT, force=True)
    with pytest.raises(ArtifactError, match="written to a folder"):
        check_images_target(tmp_path / "out.npz")
    with pytest.raises(ArtifactError, match="the folder of out does not exist"):
        check_images_target(tmp_path / "none" / "out")


def test_a_failure_leaves_nothing_behind(tmp_path):
    pixels, masks = phantoms(3, "uint16", 3)
    with pytest.raises(ArtifactError, match="no images of 3 channels of uint16"):
        write_images(tmp_path / "out", pixels, pa.table({"age": [1, 2, 3]}), LAYOUT)
    dicom = ImageLayout(kind="dicom", suffix=".dcm", dtype="uint8", bits=8, channels=2)
    with pytest.raises(ArtifactError, match="DICOM holds no images of 2 channels"):
        write_images(tmp_path / "out", phantoms(3, channels=2)[0], pa.table({"a": [1] * 3}), dicom)
    for cells, marks in ((pixels[:2], None), (pixels[:, 0], None), (pixels, masks[:, :3])):
        with pytest.raises(ArtifactError, match="do not fit together"):
            write_images(tmp_path / "out", cells, pa.table({"a": [1] * 3}), LAYOUT, masks=marks)
    assert list(tmp_path.iterdir()) == []
