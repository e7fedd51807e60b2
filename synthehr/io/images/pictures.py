"""One PNG, JPEG or TIFF file: its header, its pixels, and writing them; nothing else of it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.images.foreign import BROKEN
from synthehr.io.images.source import Load, Stack

MOST_PIXELS = 2**26
_FORMATS = ("PNG", "JPEG", "TIFF")
# Mode of Pillow: channels, type of the pixels, and the mode to convert to first.
_MODES: dict[str, tuple[int, str, str]] = {
    "1": (1, "uint8", "L"), "L": (1, "uint8", ""), "LA": (2, "uint8", ""),
    "P": (3, "uint8", "RGB"), "RGB": (3, "uint8", ""), "YCbCr": (3, "uint8", "RGB"),
    "CMYK": (3, "uint8", "RGB"), "RGBA": (4, "uint8", ""), "PA": (4, "uint8", "RGBA"),
    "I;16": (1, "uint16", ""), "I;16B": (1, "uint16", ""), "I": (1, "int16", ""),
    "F": (1, "float32", ""),
}  # fmt: skip
# Pillow brings these to 8 bits while it reads them.
_CUT_SHORT = ("RGB", "RGBA", "LA", "RGBX", "CMYK")
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)

Fault = Literal[
    "", "not an image", "frames", "huge", "deep colour", "mode", "unreadable",
]  # fmt: skip
_FAULTS: dict[str, tuple[str, str]] = {
    "unreadable": ("cannot be opened", "Check the rights of the files."),
    "not an image": (
        "not images, or damaged at their start",
        "Files that end in .png, .jpg or .tif must be such; remove the others.",
    ),
    "frames": (
        "animations or stacks of several pictures",
        "Save every frame as a file of its own.",
    ),
    "huge": (
        f"larger than {MOST_PIXELS // 10**6} million pixels",
        "Cut them into tiles, or make them smaller, before they are read.",
    ),
    "deep colour": (
        "colour pictures of 16 bits, which would be cut to 8",
        "Save them with 8 bits a channel, or all of them as arrays in one .npz file.",
    ),
    "mode": (
        "of a kind of pixel that is not read",
        "Convert them to grey or RGB, of 8 or 16 bits.",
    ),
}


class Head(NamedTuple):
    """What the header of a picture says."""

    fault: Fault
    channels: int = 0
    dtype: str = ""
    height: int = 0
    width: int = 0
    lossy: bool = False


def open_pictures(root: Path, names: list[str], masks: list[list[str]] | None) -> Stack:
    """Look at the headers of pictures, and say how to decode them.

    Parameters
    ----------
    root : Path
        The folder.
    names : list of N str
        The pictures, relative to it.
    masks : list of N lists of str, or None
        The mask of each, in one or several files.

    Raises
    ------
    InputError
        If some are no images, or they differ in channels or depth; with counts, no names.
    """
    heads = [probe(root / name) for name in names]
    _refuse_faults(heads, "images")
    channels = _agreed([head.channels for head in heads], "channels")
    dtype = _agreed([head.dtype for head in heads], "types of pixel")
    sizes = {(head.height, head.width) for head in heads}
    height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
    if masks is not None:
        _check_masks(root, heads, masks)

    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        for row in rows.tolist():
            with _told(row, len(names)):
                yield pixels_of(root / names[row])

    traits = {
        "suffix": Path(names[0]).suffix.lower(), "dtype": dtype, "channels": channels,
        "bits": {"uint8": 8, "float32": 32}.get(dtype, 16), "height": height, "width": width,
    }  # fmt: skip
    return Stack(
        names, names, np.arange(len(names)), {}, traits, load, _mask_loader(root, masks), []
    )


def probe(path: Path) -> Head:
    """Read the header of a picture, and nothing of its pixels."""
    from PIL import Image

    try:
        with _strict(), Image.open(path, formats=_FORMATS) as image:
            height, width = image.height, image.width
            if height * width > MOST_PIXELS:
                return Head("huge")
            if getattr(image, "n_frames", 1) > 1:
                return Head("frames")
            if image.mode in _CUT_SHORT and any(";16" in _raw(tile) for tile in image.tile):
                return Head("deep colour")
            if image.mode not in _MODES:
                return Head("mode")
            if image.getexif().get(_ORIENTATION) in _TURNED:
                height, width = width, height
            channels, dtype, _ = _MODES[image.mode]
            return Head("", channels, dtype, height, width, image.format == "JPEG")
    except PermissionError:
        return Head("unreadable")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Head("huge")
    except BROKEN:
        return Head("not an image")


def _raw(tile: Any) -> str:
    """Give the mode of the file itself."""
    return str(tile[3] if isinstance(tile[3], str) else tile[3][0])


def pixels_of(path: Path) -> NDArray[Any]:
    """Decode a picture to (C, H, W); it is turned as its EXIF orientation says."""
    from PIL import Image, ImageOps

    with _strict(), Image.open(path, formats=_FORMATS) as image:
        wanted = _MODES[image.mode]
        turned = image.getexif().get(_ORIENTATION, 1) not in (None, 1)
        upright = ImageOps.exif_transpose(image) if turned else image
        cells = np.asarray(upright.convert(wanted[2]) if wanted[2] else upright)
    if wanted[1] == "int16" and (cells.min() < -(2**15) or cells.max() >= 2**15):
        raise InputError(
            "an image has pixels beyond 16 bits", hint="Bring them to 16 bits, or to floats."
        )
    cells = cells.astype(wanted[1], copy=False)
    return cells[None] if cells.ndim == 2 else np.ascontiguousarray(cells.transpose(2, 0, 1))


def mask_of(path: Path) -> NDArray[Any]:
    """Decode a mask to (H, W): palette indices, or grey values."""
    from PIL import Image

    with _strict(), Image.open(path, formats=_FORMATS) as image:
        cells = np.asarray(image.convert("L") if image.mode == "1" else image)
    if cells.ndim == 3:
        if (cells[..., :3] != cells[..., :1]).any():
            raise InputError(
                "a mask is in colour", hint="Save masks as one grey value, or one index, a class."
            )
        cells = cells[..., 0]
    if cells.dtype.kind == "f":
        raise InputError("a mask holds decimal numbers", hint="Save one whole number a class.")
    return cells.astype(np.int32) if cells.dtype.itemsize > 1 else cells


def write_picture(path: Path, cells: NDArray[Any]) -> None:
    """Write (C, H, W) or (H, W) pixels, marked as synthetic and with no other metadata."""
    from PIL import Image, PngImagePlugin

    flat = cells[0] if cells.ndim == 3 and len(cells) == 1 else cells
    whole = flat.transpose(1, 2, 0) if flat.ndim == 3 else flat
    image = Image.fromarray(np.ascontiguousarray(whole))
    if path.suffix == ".png":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", "synthetic image, made by synthehr")
        image.save(path, "PNG", pnginfo=notes)
    else:
        image.save(path, "TIFF", compression="tiff_adobe_deflate")


@contextmanager
def _strict() -> Iterator[None]:
    # Pillow's own warnings quote metadata; only that of a decompression bomb counts.
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def _told(row: int, total: int, what: str = "image") -> Iterator[None]:
    """Say which row failed: messages of Pillow and the system can hold names."""
    from PIL import Image

    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except (*BROKEN, *bombs):
        raise InputError(
            f"the {what} of row {row + 1} (of {total}) cannot be decoded: truncated or damaged",
            hint="Export it again, or leave it out.",
        ) from None


def _refuse_faults(heads: Sequence[Head], what: str) -> None:
    found = Counter(head.fault for head in heads)
    for fault, (told, hint) in _FAULTS.items():
        if found[fault]:
            raise InputError(f"{found[fault]} of {len(heads)} {what} are {told}", hint=hint)


def _agreed(found: Sequence[Any], what: str) -> Any:
    counts = Counter(found)
    if len(counts) > 1:
        told = ", ".join(f"{count} of {value}" for value, count in sorted(counts.items()))
        raise InputError(
            f"the images differ in their {what}: {told}",
            hint="Convert them to one, for instance all to grey of 8 bits, or leave some out.",
        )
    return found[0]


def _check_masks(root: Path, heads: Sequence[Head], masks: list[list[str]]) -> None:
    rows = [row for row, parts in enumerate(masks) for _ in parts]
    found = [probe(root / part) for parts in masks for part in parts]
    _refuse_faults(found, "masks")
    if lossy := sum(head.lossy for head in found):
        raise InputError(
            f"{lossy} masks are JPEG files, which blur the classes", hint="Save them as PNG."
        )
    unlike = sum(
        (head.height, head.width) != (heads[row].height, heads[row].width)
        for head, row in zip(found, rows, strict=True)
    )
    if unlike:
        raise InputError(
            f"{unlike} of {len(found)} masks have another size than their images",
            hint="Make every mask as large as its image.",
        )


def _mask_loader(root: Path, masks: list[list[str]] | None) -> Load | None:
    if masks is None:
        return None

    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        for row in rows.tolist():
            with _told(row, len(masks), "mask"):
                parts = [mask_of(root / part) for part in masks[row]]
            yield np.maximum.reduce(parts)

    return load
