"""Folders, tables and arrays of images: what is found, and what is refused without a name."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from phantoms import SECRET, folder, phantoms, save
from PIL import Image, PngImagePlugin

from synthehr.errors import ArtifactError, InputError
from synthehr.io.images import ImageLayout, ImageSource, is_images, read_images

EIGHT = [f"{i:02d}.png" for i in range(8)]
DEPTHS = {
    "8 bits": ("uint8", 1, ".png"),
    "jpeg": ("uint8", 1, ".jpg"),
    "colour": ("uint8", 3, ".png"),
    "grey and alpha": ("uint8", 2, ".png"),
    "colour and alpha": ("uint8", 4, ".tif"),
    "16 bits": ("uint16", 1, ".png"),
    "16 bits in TIFF": ("uint16", 1, ".tif"),
    "with a sign": ("int16", 1, ".tif"),
    "decimal": ("float32", 1, ".tiff"),
}


def _pixels(source: ImageSource) -> NDArray[Any]:
    return np.stack(list(source.images()))


def _refused(match: str, path: Path, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as caught:
        source = read_images(path, **options)
        list(source.images())
        list(source.masks() or [])
    told = str(caught.value)
    assert caught.value.hint and SECRET not in told and ".png" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("dtype", "channels", "suffix"), DEPTHS.values(), ids=DEPTHS)
def test_a_flat_folder_keeps_its_depth(tmp_path, dtype, channels, suffix):
    pixels = folder(tmp_path, [f"{i}{suffix}" for i in range(3)], dtype, channels)
    source = read_images(tmp_path)
    assert len(source) == 3 and source.warnings == () and source.masks() is None
    assert source.records.column_names == ["image"]
    layout = source.layout
    assert (layout.kind, layout.dtype, layout.channels) == ("folder", dtype, channels)
    assert (layout.height, layout.width, layout.suffix) == (12, 12, suffix)
    read = _pixels(source)
    assert read.dtype == dtype and read.shape == pixels.shape
    if suffix == ".jpg":
        assert np.abs(read.astype(int) - pixels).mean() < 12
    else:
        assert (read == pixels).all()


def test_sub_folders_are_classes_and_splits(tmp_path):
    folder(tmp_path, [f"{s}/{c}/{i}.png" for s in ("test", "train") for c in "ab" for i in "01"])
    source = read_images(tmp_path)
    assert (source.layout.kind, source.layout.splits) == ("classes", True)
    assert source.records["split"].to_pylist() == ["test"] * 4 + ["train"] * 4
    assert source.records["label"].to_pylist() == ["a", "a", "b", "b"] * 2
    assert "2 sub-folders were taken as classes" in source.warnings[0]


def test_a_table_that_tells_the_patients_leaves_nothing_to_guess(tmp_path):
    names = [f"{c}/{i}.png" for c in "ab" for i in "01"]
    folder(tmp_path, names)
    table = pa.table({"image": names, "patient": [1, 1, 2, 2]})
    pq.write_table(table, tmp_path / "records.parquet")
    source = read_images(tmp_path)
    assert (source.patient, source.warnings) == ("patient", ())
    assert source.records["label"].to_pylist() == ["a", "a", "b", "b"]


def test_sub_folders_of_patients_are_no_classes(tmp_path):
    folder(tmp_path, [f"patient_{i // 2}/{i}.png" for i in range(6)])
    source = read_images(tmp_path)
    assert source.layout.kind == "folder" and source.patient == "patient"
    assert source.records["patient"].to_pylist() == [0, 0, 1, 1, 2, 2]


def test_two_domains(tmp_path):
    folder(tmp_path, [f"{s}{d}/{i}.png" for s in ("train", "test") for d in "AB" for i in "01"])
    source = read_images(tmp_path)
    assert source.layout.kind == "domains"
    assert source.records["domain"].to_pylist() == ["A", "A", "B", "B"] * 2
    assert source.records["split"].to_pylist() == ["test"] * 4 + ["train"] * 4


@pytest.mark.parametrize(
    ("image", "mask", "kind", "place"),
    [
        ("images/{}.png", "masks/{}.png", "masks", "folder"),
        ("{}.png", "{}_mask.png", "folder", "beside"),
        ("train/images/{}.png", "train/masks/{}_seg.png", "masks", "folder"),
        ("imagesTr/{}_0000.png", "labelsTr/{}.png", "masks", "folder"),
    ],
    ids=["folders", "beside", "split", "nnU-Net"],
)
def test_masks_belong_to_images(tmp_path, image, mask, kind, place):
    pixels, masks = phantoms(3)
    for i in range(3):
        save(tmp_path / image.format(f"s{i}"), pixels[i])
        save(tmp_path / mask.format(f"s{i}"), masks[i])
    source = read_images(tmp_path)
    assert (source.layout.kind, source.layout.mask_place) == (kind, place)
    assert len(source) == 3 and (_pixels(source) == pixels).all()
    found = source.masks()
    assert found is not None and (np.stack(list(found)) == masks).all()


def test_several_masks_of_an_image_are_joined_and_palettes_are_indices(tmp_path):
    pixels, masks = phantoms(2)
    for i, label in enumerate(("benign", "malignant")):
        save(tmp_path / label / "1.png", pixels[i])
        picture = Image.fromarray((masks[i] > 0).astype(np.uint8)).convert("P")
        picture.save(tmp_path / label / "1_mask.png")
        save(tmp_path / label / "1_mask_1.png", (masks[i] == 2).astype(np.uint8) * 2)
    source = read_images(tmp_path)
    assert source.records["label"].to_pylist() == ["benign", "malignant"]
    assert (np.stack(list(source.masks() or [])) == masks).all()


def _table(names: list[str], column: str = "file_name") -> pa.Table:
    ages = pa.array(range(len(names)), pa.int16())
    who = [f"{SECRET}{i // 2}" for i in range(len(names))]
    return pa.table({"age": ages, column: names, "patient_id": who})


@pytest.mark.parametrize("how", ["labels", "found", "path", "memory", "csv"])
def test_a_table_keeps_its_rows_columns_and_patients(tmp_path, how):
    pixels = folder(tmp_path / "images", EIGHT)
    table = _table([f"images/{name}" for name in reversed(EIGHT[1:])])
    options: dict[str, Any] = {}
    place = tmp_path
    if how == "csv":
        lines = [",".join(map(str, row.values())) for row in table.to_pylist()]
        (tmp_path / "labels.csv").write_text("\n".join([",".join(table.column_names), *lines]))
    elif how == "memory":
        options["table"] = table
    else:
        pq.write_table(table, tmp_path / ("records.parquet" if how == "found" else "t.parquet"))
    if how == "labels":
        options["labels"] = tmp_path / "t.parquet"
        place = tmp_path / "images"
    elif how == "path":
        place, options = tmp_path / "t.parquet", {"image_column": "file_name"}
    source = read_images(place, **options)
    assert (source.layout.kind, source.layout.image_column) == ("table", "file_name")
    assert source.records.column_names == ["image", "age", "patient_id"]
    assert source.records["age"].to_pylist() == list(range(7))
    assert source.patient == "patient_id"
    assert (_pixels(source) == pixels[:0:-1]).all()
    left = ["1 images are not in the table; they were left out."]
    assert list(source.warnings) == ([] if how == "path" else left)


def test_names_without_folder_or_suffix_are_found(tmp_path):
    folder(tmp_path / "deep" / "images", EIGHT)
    for names in (EIGHT, [name[:-4] for name in EIGHT]):
        assert len(read_images(tmp_path, table=_table(names), patient="patient_id")) == 8
    folder(tmp_path, ["more/1001.png", "more/1002.png"])
    numbers = pa.table({"image": [1002, 1001]})
    found = read_images(tmp_path, table=numbers).records["image"].to_pylist()
    assert found == ["more/1002.png", "more/1001.png"]


def test_a_table_can_name_masks(tmp_path):
    pixels, masks = phantoms(2)
    for i in range(2):
        save(tmp_path / "x" / f"{i}.png", pixels[i])
        save(tmp_path / "y" / f"{i}.png", masks[i])
    named = {"image": ["x/1.png", "x/0.png"], "mask": ["y/1.png", "y/0.png"]}
    pq.write_table(pa.table(named), tmp_path / "r.parquet")
    for source in (
        read_images(tmp_path / "r.parquet"),
        read_images(tmp_path, labels=tmp_path / "r.parquet"),
    ):
        assert source.records.column_names == ["image"]
        assert (np.stack(list(source.masks() or [])) == masks[::-1]).all()


def test_choosing_rows_chooses_images_masks_and_records(tmp_path):
    pixels, masks = phantoms(6)
    np.savez(tmp_path / "a.npz", images=pixels[:, 0], masks=masks, age=np.arange(6))
    source = read_images(tmp_path / "a.npz")
    for rows in (np.array([4, 1, 5]), np.arange(6) % 2 == 0):
        part = source.take(rows)
        assert (_pixels(part) == pixels[rows]).all()
        assert (np.stack(list(part.masks() or [])) == masks[rows]).all()
        assert part.records["age"].to_pylist() == np.arange(6)[rows].tolist()
    assert (_pixels(source.take(np.array([5, 2, 4])).take(np.array([1]))) == pixels[2]).all()


def test_medmnist_arrays(tmp_path):
    pixels, _ = phantoms(6, channels=3)
    last = pixels.transpose(0, 2, 3, 1)
    arrays = {}
    for split, start in (("train", 0), ("val", 3), ("test", 4)):
        end = {"train": 3, "val": 4, "test": 6}[split]
        arrays[f"{split}_images"] = last[start:end]
        arrays[f"{split}_labels"] = np.arange(start, end)[:, None] % 2
    np.savez(tmp_path / "m.npz", **arrays)
    source = read_images(tmp_path / "m.npz")
    assert (source.layout.kind, source.layout.channels, source.layout.splits) == ("npz", 3, True)
    assert source.records["split"].to_pylist() == ["train"] * 3 + ["val"] + ["test"] * 2
    assert source.records["label"].to_pylist() == [0, 1] * 3
    assert (_pixels(source) == pixels).all()


def test_plain_arrays_with_texts_of_labels_masks_and_ids(tmp_path):
    pixels, masks = phantoms(4, "int16")
    np.savez_compressed(
        tmp_path / "images.npz",
        images=pixels[:, 0],
        masks=masks,
        labels=np.array([1, 0, 1, 1], np.uint8),
        class_names=np.array(["well", "ill"]),
        ids=np.array(["p", "q", "p", "r"]),
        boxes=np.zeros((4, 4)),
    )
    source = read_images(tmp_path)
    assert source.records["label"].to_pylist() == ["ill", "well", "ill", "ill"]
    assert source.layout.classes == ("well", "ill") and source.patient == "patient"
    assert "1 arrays" in source.warnings[0]
    assert (_pixels(source) == pixels).all() and _pixels(source).dtype == np.int16
    several = np.array([[0, 1], [1, 1], [0, 0], [1, 0]])
    np.savez(tmp_path / "images.npz", images=pixels, labels=several, class_names=["a", "b"])
    source = read_images(tmp_path)
    assert source.records["label_a"].to_pylist() == [0, 1, 0, 1]
    assert (_pixels(source) == pixels).all()


def test_what_is_an_image_and_what_is_not(tmp_path):
    (tmp_path / "tables").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "tables" / "t.parquet")
    np.savez(tmp_path / "tables" / "numbers.npz", numbers=np.arange(3))
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), np.uint8))
    folder(tmp_path / "images", ["deep/er/1.PNG"])
    assert is_images(tmp_path / "images") and is_images(tmp_path / "a.npz")
    assert is_images(tmp_path / "images/deep/er/1.PNG")
    for name in ("tables", "tables/t.parquet", "tables/numbers.npz", "nothing"):
        assert not is_images(tmp_path / name)


def test_an_orientation_is_applied_and_no_metadata_comes_along(tmp_path):
    pixels, _ = phantoms(1, height=6, width=9)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, SECRET
    save(tmp_path / "1.jpg", pixels[0], exif=exif, quality=100)
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Patient", SECRET)
    save(tmp_path / "2.png", np.rot90(pixels[0], -1, (1, 2)), pnginfo=notes)
    source = read_images(tmp_path)
    assert (source.layout.height, source.layout.width) == (9, 6)
    turned, upright = source.images()
    assert np.abs(turned.astype(int) - upright).max() < 20
    assert SECRET not in repr(source) + str(source.records) + str(source.layout.to_json())


def test_a_layout_survives_json_and_a_damaged_one_is_refused(tmp_path):
    folder(tmp_path, EIGHT)
    layout = read_images(tmp_path).layout
    content = layout.to_json()
    assert ImageLayout.from_json(content) == layout
    for change in ({"kind": "x"}, {"channels": 0}, {"bits": "8"}, {"more": 1}, {"classes": None}):
        with pytest.raises(ArtifactError, match="damaged"):
            ImageLayout.from_json({**content, **change})


# What is refused.


def _png(height: int, width: int, bits: int, colour: int, rows: bytes) -> bytes:
    """Assemble a PNG by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_files_that_are_no_images(tmp_path):
    folder(tmp_path, [f"{SECRET}{i}.png" for i in range(3)])
    (tmp_path / f"{SECRET}.png").write_bytes(b"no image")
    (tmp_path / f"{SECRET}.jpg").write_bytes(b"")
    _refused("2 of 5 images are not images", tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_truncated_images(tmp_path, suffix):
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (1, 64, 64), dtype=np.uint8)
    for i in range(2):
        save(tmp_path / f"{SECRET}{i}{suffix}", noise)
    whole = (tmp_path / f"{SECRET}1{suffix}").read_bytes()
    kept = 0.6 if suffix != ".tif" else 1
    (tmp_path / f"{SECRET}1{suffix}").write_bytes(
        whole[: int(len(whole) * kept)] if kept < 1 else whole[:1000] + whole[3000:]
    )
    _refused("row 2|1 of 2 images are not", tmp_path)


def test_an_empty_folder_and_a_missing_one(tmp_path):
    _refused("holds 0 images", tmp_path)
    _refused("there is no file or folder", tmp_path / "x")
    (tmp_path / "a.bmp").write_bytes(b"BM")
    _refused("holds 0 images", tmp_path)


def test_mixed_channels_and_depths(tmp_path):
    folder(tmp_path, EIGHT)
    save(tmp_path / "9.png", phantoms(1, channels=3)[0][0])
    _refused("differ in their channels: 8 of 1, 1 of 3", tmp_path)
    save(tmp_path / "9.png", phantoms(1, "uint16")[0][0])
    _refused("differ in their types of pixel: 1 of uint16, 8 of uint8", tmp_path)


def test_animations_and_stacks(tmp_path):
    frames = [Image.fromarray(cells[0]) for cells in phantoms(3)[0]]
    frames[0].save(tmp_path / "1.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "2.tif", save_all=True, append_images=frames[1:])
    _refused("2 of 2 images are animations", tmp_path)


def test_a_decompression_bomb(tmp_path):
    for i, side in enumerate((8_200, 10_000, 20_000)):
        (tmp_path / f"{i}.png").write_bytes(_png(side, side, 8, 0, b""))
    _refused("3 of 3 images are larger than 67 million pixels", tmp_path)


def test_colour_of_16_bits_is_not_cut_to_8(tmp_path):
    (tmp_path / "1.png").write_bytes(_png(2, 2, 16, 2, (b"\x00" + bytes(12)) * 2))
    _refused("1 of 1 images are colour pictures of 16 bits", tmp_path)


def test_several_formats_in_one_folder(tmp_path):
    folder(tmp_path, EIGHT)
    (tmp_path / "a.nii").write_bytes(b"")
    _refused("several formats: 1 nifti files, 8 picture files", tmp_path)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (["00.png", "../out.png"], "1 of 2 names in the column image point out"),
        (["00.png", "/tmp/out.png"], "1 of 2 names .* point out"),
        (["00.png", "a/../../b.png"], "1 of 2 names .* point out"),
        (["C:\\a.png", "..\\b.png"], "2 of 2 names .* point out"),
        (["00.png", "00.png", "01.png"], "1 of 3 rows name an image that another"),
        (["00.png", "./00.png"], "1 of 2 rows name an image that another"),
        (["00.png", "00"], "1 of 2 rows name images that another"),
        (["00.png", f"{SECRET}.png"], "1 of 2 images that the table names are not"),
        (["00.png", None], "the column image is null in 1 of 2"),
        ([0.5, 1.5], "the column image has the type double"),
        ([7, 99], "2 of 2 images that the table names are not"),
    ],
    ids=[
        "up",
        "root",
        "hidden",
        "drive",
        "twice",
        "same",
        "stem",
        "missing",
        "null",
        "type",
        "number",
    ],
)
@pytest.mark.parametrize("as_path", [False, True], ids=["folder", "path"])
def test_tables_that_do_not_fit(tmp_path, names, match, as_path):
    folder(tmp_path, EIGHT)
    (tmp_path.parent / "out.png").write_bytes((tmp_path / "00.png").read_bytes())
    pq.write_table(pa.table({"image": names}), tmp_path / "t.parquet")
    if as_path and names == [7, 99]:
        match = "t.parquet names no image that is there"
    if as_path:
        _refused(match, tmp_path / "t.parquet")
    else:
        _refused(match, tmp_path, labels=tmp_path / "t.parquet")


def test_columns_that_are_not_there(tmp_path):
    folder(tmp_path, EIGHT)
    stems = [name.removesuffix(".png") for name in EIGHT]
    pq.write_table(pa.table({"x": stems}), tmp_path / "t.parquet")
    labels = tmp_path / "t.parquet"
    _refused("no column of the table is named as images are", tmp_path, labels=labels)
    _refused("the table has no column y", tmp_path, labels=labels, image_column="y")
    _refused("there is no table", tmp_path, image_column="x")
    _refused("no column who", tmp_path, labels=labels, image_column="x", patient="who")
    assert len(read_images(tmp_path, labels=labels, image_column="x")) == 8


def test_a_column_is_one_of_images_where_each_cell_names_a_picture(tmp_path):
    folder(tmp_path, EIGHT)
    pq.write_table(pa.table({"scan": EIGHT, "age": range(8)}), tmp_path / "t.parquet")
    assert read_images(tmp_path, labels=tmp_path / "t.parquet").records["age"].to_pylist() == [
        *range(8)
    ]


def test_masks_that_do_not_fit(tmp_path):
    pixels, masks = phantoms(3)
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", pixels[i])
    for i in range(2):
        save(tmp_path / "masks" / f"{i}.png", masks[i])
    _refused("1 of 3 images have no mask", tmp_path)
    save(tmp_path / "masks" / "2.png", masks[2, :8])
    _refused("1 of 3 masks have another size", tmp_path)
    save(tmp_path / "masks" / "2.png", phantoms(1, channels=3)[0][0])
    _refused("a mask is in colour", tmp_path)
    (tmp_path / "masks" / "2.png").unlink()
    save(tmp_path / "masks" / "2.jpg", masks[2])
    _refused("1 masks are JPEG", tmp_path)


def test_arrays_that_would_run_code_or_lie(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=np.array([{"a": 1}, SECRET], dtype=object))
    _refused("1 arrays of a.npz would need pickle", path)
    np.savez(path, images=np.zeros((2, 8, 8)), labels=np.array(["a", None], dtype=object))
    _refused("1 arrays of a.npz would need pickle", path)
    path.write_bytes(b"PK\x03\x04 no archive")
    _refused("damaged file", path)
    header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000), }"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header + text.ljust(117).encode() + b"\n")
    _refused("damaged file", path)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"x": np.zeros((2, 8, 8), np.uint8)}, "holds no array of images"),
        ({"images": np.zeros((0, 8, 8), np.uint8)}, "holds 0 images"),
        ({"images": np.zeros((2, 8, 8), np.int64)}, "of the type int64"),
        ({"images": np.zeros((2, 8, 8, 8), np.uint8)}, "have the shape"),
        ({"images": np.zeros((2, 8), np.uint8)}, "have the shape"),
        (
            {"images": np.zeros((2, 8, 8), np.uint8), "masks": np.zeros((2, 8, 7), int)},
            "masks have another shape",
        ),
    ],
    ids=["none", "empty", "wide", "volumes", "flat", "masks"],
)
def test_arrays_that_are_no_images(tmp_path, arrays, match):
    np.savez(tmp_path / "a.npz", **arrays)
    _refused(match, tmp_path / "a.npz")
