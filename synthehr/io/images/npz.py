"""Arrays of images in one .npz file, as MedMNIST has them; read image by image, never unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.images.source import DTYPES, Load, Stack
from synthehr.io.source import MAX_BYTES

IMAGES, MASKS, LABELS = "images", "masks", "labels"
SPLITS = ("train", "val", "test")
_CODEBOOKS = ("class_names", "mask_names")
_BROKEN = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError)


class _Array(NamedTuple):
    """The header of an array."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def open_npz(path: Path) -> Stack:
    """Look at the arrays of an .npz file, and say how to decode its images.

    Known are `images`, `labels`, `masks`, `class_names` and `ids` (the patients), each but
    the codebook also for a split, as in `train_images`; other arrays with an entry an image
    become columns.

    Raises
    ------
    InputError
        If it is damaged, would need pickle, or holds no images.
    """
    arrays = _headers(path)
    prefixes = [f"{split}_" for split in SPLITS if f"{split}_{IMAGES}" in arrays]
    prefixes = [""] if IMAGES in arrays else prefixes
    if not prefixes:
        raise InputError(
            f"{path.name} holds no array of images",
            hint="Call it images, or train_images, val_images and test_images.",
        )
    found = [arrays[f"{prefix}{IMAGES}"] for prefix in prefixes]
    traits = _traits(found)
    counts = [array.shape[0] for array in found]
    if sum(counts) == 0:
        raise InputError(f"{path.name} holds 0 images", hint="Give a file with images in it.")
    places = [f"{prefix}{IMAGES}" for prefix in prefixes]
    masks = [f"{prefix}{MASKS}" for prefix in prefixes if f"{prefix}{MASKS}" in arrays]
    if masks and any(
        arrays[name].shape != array.shape[:1] + _height_width(array)
        or arrays[name].dtype.kind not in "bui"
        for name, array in zip(masks, found, strict=False)
    ):
        raise InputError(
            "the masks have another shape than the images, or hold no whole numbers",
            hint="Give one whole number a pixel: masks of shape (N, H, W).",
        )
    classes, columns, warnings = _columns(path, arrays, prefixes, counts)
    if len(prefixes) > 1 or prefixes[0]:
        columns = {
            "split": [p[:-1] for p, n in zip(prefixes, counts, strict=True) for _ in range(n)]
        } | columns
    traits |= {
        "splits": "split" in columns and prefixes != [""],
        "classes": classes,
        "mask_place": "array" if len(masks) == len(prefixes) else "",
    }
    names = [f"{prefix}{row:06d}" for prefix, n in zip(prefixes, counts, strict=True)
             for row in range(n)]  # fmt: skip
    load_masks = _loader(path, masks, counts, masks=True) if traits["mask_place"] else None
    return Stack(
        names, names, np.arange(len(names)), columns, traits, _loader(path, places, counts),
        load_masks, warnings,
    )  # fmt: skip


def holds_arrays(path: Path) -> bool:
    """Look whether an .npz file holds images."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except _BROKEN:
        return False
    return bool(names & {IMAGES, *(f"{split}_{IMAGES}" for split in SPLITS)})


def write_npz(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays, compressed, with the same bytes for the same arrays."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy")  # of no date
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                npy.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def _headers(path: Path) -> dict[str, _Array]:
    """Read the headers alone, and refuse what would not fit into memory or needs pickle."""
    found, pickled, size = {}, 0, 0
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".npy"):
                    continue
                with archive.open(entry) as file:
                    array = _header(file)
                bytes_ = int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize
                if array.dtype.hasobject:
                    pickled += 1
                elif bytes_ > entry.file_size:
                    raise ValueError("shorter than its header says")
                size += bytes_
                found[entry.filename.removesuffix(".npy")] = array
    except _BROKEN:
        raise _damaged(path) from None
    if pickled:
        raise InputError(
            f"{pickled} arrays of {path.name} would need pickle and were not opened",
            hint="Such files can run code when they are loaded; save text as fixed-width strings "
            "and numbers as numbers.",
        )
    if size > MAX_BYTES:
        raise InputError(
            f"{path.name} decodes to more than {MAX_BYTES / 2**30:.3g} GiB",
            hint="Give fewer or smaller images.",
        )
    return found


def _header(file: IO[bytes]) -> _Array:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    return _Array(*read(file))


def _height_width(array: _Array) -> tuple[int, ...]:
    """Give (H, W) of an array of images."""
    if len(array.shape) == 3:
        return array.shape[1:]
    return array.shape[2:] if _channels_first(array) else array.shape[1:3]


def _channels_first(array: _Array) -> bool:
    return array.shape[3] > 4 and 1 <= array.shape[1] <= 4


def _traits(arrays: list[_Array]) -> dict[str, Any]:
    first = arrays[0]
    shapes = {array.shape[1:] for array in arrays}
    dtypes = {array.dtype for array in arrays}
    if len(shapes) > 1 or len(dtypes) > 1:
        raise InputError(
            "the splits hold images of different shapes or types", hint="Bring them to one."
        )
    dtype = "float32" if first.dtype == np.float64 else str(first.dtype.newbyteorder("="))
    if dtype not in DTYPES:
        raise InputError(
            f"the images are of the type {first.dtype}",
            hint="Save them as uint8, uint16, int16 or float32.",
        )
    if len(first.shape) == 3:
        channels = 1
    elif len(first.shape) == 4:
        channels = first.shape[1] if _channels_first(first) else first.shape[3]
    else:
        channels = 0
    if not 1 <= channels <= 4 or 0 in first.shape[1:]:
        raise InputError(
            f"the images have the shape {first.shape[1:]}, each",
            hint="Give (N, H, W) or (N, H, W, C) with 1 to 4 channels; cut volumes into slices.",
        )
    height, width = _height_width(first)
    return {
        "suffix": ".npz", "dtype": dtype, "channels": channels, "height": height, "width": width,
        "bits": {"uint8": 8, "float32": 32}.get(dtype, 16),
    }  # fmt: skip


def _loader(path: Path, names: list[str], counts: list[int], *, masks: bool = False) -> Load:
    ends = np.cumsum(counts)

    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        parts = np.searchsorted(ends, rows, side="right")
        runs = np.flatnonzero(np.diff(parts, prepend=-1))
        for start, end in zip(runs, [*runs[1:], len(rows)], strict=True):
            part = int(parts[start])
            begin = ends[part] - counts[part]
            for cells in _decoded(path, names[part], rows[start:end] - begin):
                yield cells if masks else cells[None] if cells.ndim == 2 else cells

    return load


def _decoded(path: Path, name: str, rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Give some rows of an array, without holding all of it where they are in order."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            array = _header(file)
            bytes_ = int(np.prod(array.shape[1:])) * array.dtype.itemsize
            if array.fortran or (np.diff(rows) <= 0).any():
                file.seek(0)
                whole = npy.read_array(file, allow_pickle=False)
                for row in rows.tolist():
                    yield _upright(whole[row], array)
                return
            place = 0
            for row in rows.tolist():
                while place <= row:
                    raw = file.read(bytes_)
                    place += 1
                if len(raw) < bytes_:
                    raise EOFError
                yield _upright(np.frombuffer(raw, array.dtype).reshape(array.shape[1:]), array)
    except _BROKEN:
        raise _damaged(path) from None


def _upright(cells: NDArray[Any], array: _Array) -> NDArray[Any]:
    """Bring channels to the front, and bytes into the order of the machine."""
    kept = np.float32 if array.dtype == np.float64 else array.dtype.newbyteorder("=")
    cells = cells.astype(kept, copy=False)
    if cells.ndim == 3 and not _channels_first(array):
        cells = cells.transpose(2, 0, 1)
    return np.ascontiguousarray(cells)


def _columns(
    path: Path, arrays: Mapping[str, _Array], prefixes: list[str], counts: list[int]
) -> tuple[tuple[str, ...], dict[str, list[Any]], list[str]]:
    """Read what has one entry an image: labels with their texts, patients, and other columns."""
    codebook = "class_names" in arrays and len(arrays["class_names"].shape) == 1
    classes = tuple(map(str, _array(path, "class_names").tolist())) if codebook else ()
    columns: dict[str, list[Any]] = {}
    left = 0
    taken = {f"{prefix}{kind}" for prefix in prefixes for kind in (IMAGES, MASKS)}
    for name in sorted(set(arrays) - taken - set(_CODEBOOKS)):
        prefix = next((p for p in prefixes if name.startswith(p)), None)
        if prefix is None or (prefix and prefix != prefixes[0]):
            continue
        bare = name[len(prefix) :]
        parts = [f"{each}{bare}" for each in prefixes]
        lengths = [arrays[x].shape[:1] if x in arrays else () for x in parts]
        shapes = {arrays[x].shape[1:] for x in parts if x in arrays}
        if lengths != [(count,) for count in counts] or len(shapes) > 1:
            left += 1
            continue
        whole = np.concatenate([_array(path, x) for x in parts])
        if whole.ndim == 2 and whole.shape[1] == 1:
            whole = whole[:, 0]
        if bare == LABELS:
            columns |= _labels(whole, classes)
        elif whole.ndim == 1 and whole.dtype.kind in "buifU":
            columns["patient" if bare == "ids" else bare] = whole.tolist()
        else:
            left += 1
    warnings = [f"{left} arrays of {path.name} are no columns; they were left out."] if left else []
    return classes if "label" in columns else (), columns, warnings


def _labels(cells: NDArray[Any], classes: tuple[str, ...]) -> dict[str, list[Any]]:
    """Give the column label, or one column for each of several findings."""
    if cells.ndim == 2:
        named = classes if len(classes) == cells.shape[1] else range(cells.shape[1])
        return {f"label_{name}": cells[:, i].tolist() for i, name in enumerate(named)}
    whole = cells.dtype.kind in "ui" and len(cells) > 0
    if whole and cells.min() >= 0 and cells.max() < len(classes):
        return {"label": np.array(classes)[cells].tolist()}
    return {"label": cells.tolist()}


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]
    except _BROKEN:
        raise _damaged(path) from None


def _damaged(path: Path) -> InputError:
    return InputError(
        f"{path.name} cannot be read: damaged file, or no archive of arrays",
        hint="Export it again, and compare its checksum with that of the source.",
    )
