"""Writing images in the layout that others came in, with their records beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ArtifactError
from synthehr.io.folder import check_folder, replacing_folder
from synthehr.io.images.dicom_out import seal_of, write_dicom
from synthehr.io.images.nifti import write_nifti
from synthehr.io.images.npz import LABELS, MASKS, SPLITS, write_npz
from synthehr.io.images.pictures import write_picture
from synthehr.io.images.reading import IMAGE, OWNER
from synthehr.io.images.source import DTYPES, ImageLayout
from synthehr.io.write import write_table
from synthehr.split import patients_of

RECORDS, ARRAYS = "records.parquet", "images.npz"
_WHAT = "images that synthehr wrote"
_OURS = re.compile(r"\d{6,}(_mask)?\.(png|tif|dcm|nii\.gz)")
_MASK = "mask"


def check_images_target(target: str | PathLike[str], *, force: bool = False) -> None:
    """Refuse a place where `write_images` would refuse, before work begins.

    Raises
    ------
    ArtifactError
        As `write_images` does.
    """
    if Path(target).suffix:
        raise ArtifactError(
            "images are written to a folder, with a table of records in it",
            hint="Give the name of a folder, without a suffix.",
        )
    check_folder(Path(target), _WHAT, _is_ours, force)


def write_images(
    target: str | PathLike[str],
    pixels: NDArray[Any],
    records: pa.Table,
    layout: ImageLayout,
    *,
    masks: NDArray[Any] | None = None,
    force: bool = False,
) -> None:
    """Write images to a folder, in the layout of others; it appears whole or not at all.

    Files are numbered. PNG holds 8 and 16 bits, TIFF whole numbers with a sign and decimal
    ones. All files are marked as synthetic where their format has room for it.

    Parameters
    ----------
    target : path
        The folder.
    pixels : ndarray of shape (N, C, H, W)
        uint8, uint16, int16 or float32, in the units of the files.
    records : pyarrow.Table
        N rows; "label", "split", "domain" and "patient" choose folders, arrays and ids.
        The column of images is made here, in place of the one that may be there.
    layout : ImageLayout
        That of the images that came in.
    masks : ndarray of shape (N, H, W), of whole numbers, or None
        The mask of each.
    force : bool
        Whether a folder that is already there is replaced. It is only if it holds nothing
        but what this function writes.

    Raises
    ------
    ArtifactError
        If the place cannot be written, or the format does not hold such pixels.
    """
    check_images_target(target, force=force)
    _check(pixels, records, layout, masks)
    if layout.mask_place == "" and masks is not None:
        place = "array" if layout.kind == "npz" else "folder"
    else:
        place = layout.mask_place if masks is not None else ""
    with replacing_folder(Path(target), _WHAT, _is_ours, force=force) as draft:
        kept = [x for x in records.column_names if x not in (IMAGE, layout.image_column, _MASK)]
        if layout.kind == "npz":
            names = _write_arrays(draft, pixels, records, layout, masks)
            columns = {layout.image_column: pa.array(names, pa.string())}
        else:
            names, marks = _names(records, layout, _suffix(pixels, layout), place)
            columns = {layout.image_column: pa.array(names, pa.string())}
            _write_files(draft, names, pixels, records, layout)
            if masks is not None:
                columns[_MASK] = pa.array(marks, pa.string())
                _write_masks(draft, marks, masks)
        table = pa.table({**columns, **{name: records.column(name) for name in kept}})
        write_table([table], draft / RECORDS)


def _check(
    pixels: NDArray[Any], records: pa.Table, layout: ImageLayout, masks: NDArray[Any] | None
) -> None:
    fits = pixels.ndim == 4 and len(pixels) == records.num_rows > 0
    if masks is not None:
        fits = fits and masks.shape == (len(pixels), *pixels.shape[2:])
    if not fits or str(pixels.dtype) not in DTYPES:
        raise ArtifactError(
            "pixels, masks and records do not fit together, or are none",
            hint="Give pixels of shape (N, C, H, W), N records, and masks of shape (N, H, W).",
        )
    deep = pixels.dtype != np.uint8 and pixels.shape[1] > 1
    if deep and layout.kind in ("folder", "table", "classes", "masks", "domains"):
        raise ArtifactError(
            f"PNG and TIFF hold no images of {pixels.shape[1]} channels of {pixels.dtype}",
            hint="Write them as .npz.",
        )


def _suffix(pixels: NDArray[Any], layout: ImageLayout) -> str:
    if layout.kind in ("dicom", "nifti"):
        return {"dicom": ".dcm", "nifti": ".nii.gz"}[layout.kind]
    return ".png" if pixels.dtype in (np.uint8, np.uint16) else ".tif"


def _names(
    records: pa.Table, layout: ImageLayout, suffix: str, place: str
) -> tuple[list[str], list[str]]:
    """Name images and masks: split, class or domain, and a number."""
    n = records.num_rows
    above = [""] * n
    texts = {
        name: _folder_names(records.column(name).to_pylist())
        for name in ("split", "label", "domain")
        if name in records.column_names
    }
    if layout.kind == "domains" and "domain" in texts:
        splits = texts["split"] if layout.splits and "split" in texts else [""] * n
        above = [f"{a}{b}/" for a, b in zip(splits, texts["domain"], strict=True)]
    else:
        levels = [texts["split"]] if layout.splits and "split" in texts else []
        levels += [texts["label"]] if layout.kind == "classes" and "label" in texts else []
        above = ["".join(f"{level[i]}/" for level in levels) for i in range(n)]
    ends = [f"{i + 1:06d}" for i in range(n)]
    mask_suffix = suffix if suffix in (".dcm", ".nii.gz") else ".png"
    if place == "folder":
        names = [f"images/{a}{end}{suffix}" for a, end in zip(above, ends, strict=True)]
        return names, [f"masks/{a}{end}{mask_suffix}" for a, end in zip(above, ends, strict=True)]
    names = [f"{a}{end}{suffix}" for a, end in zip(above, ends, strict=True)]
    return names, [f"{a}{end}_mask{mask_suffix}" for a, end in zip(above, ends, strict=True)]


def _folder_names(cells: Sequence[Any]) -> list[str]:
    """Turn labels into names of folders: distinct ones, that lead nowhere else."""
    made: dict[Any, str] = {}
    for cell in sorted(set(cells), key=str):
        text = "unknown" if cell is None else re.sub(r"[^\w .+-]", "_", str(cell)).strip(" .")
        text = text[:100] or "_"
        while text in made.values():
            text += "_"
        made[cell] = text
    return [made[cell] for cell in cells]


def _write_files(
    draft: Path,
    names: Sequence[str],
    pixels: NDArray[Any],
    records: pa.Table,
    layout: ImageLayout,
) -> None:
    write: Callable[[Path, NDArray[Any]], None] = write_picture
    if layout.kind == "nifti":
        write = write_nifti
    owners = _owners(records)
    seal = seal_of(pixels) if layout.kind == "dicom" else b""
    for i, name in enumerate(names):
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if layout.kind == "dicom":
            write_dicom(path, pixels[i], layout, patient=int(owners[i]), seal=seal)
        else:
            write(path, pixels[i])


def _write_masks(draft: Path, names: Sequence[str], masks: NDArray[Any]) -> None:
    small = _small(masks)
    for name, mask in zip(names, small, strict=True):
        path = draft / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".nii.gz"):
            write_nifti(path, mask)
        else:
            write_picture(path, mask)


def _small(masks: NDArray[Any]) -> NDArray[Any]:
    return masks.astype(np.uint8 if masks.max(initial=0) < 256 else np.uint16)


def _owners(records: pa.Table) -> NDArray[np.int64]:
    found = patients_of(records, OWNER if OWNER in records.column_names else None)
    return np.arange(records.num_rows) if found is None else found


def _write_arrays(
    draft: Path,
    pixels: NDArray[Any],
    records: pa.Table,
    layout: ImageLayout,
    masks: NDArray[Any] | None,
) -> list[str]:
    """Write images.npz as `open_npz` reads it, and give the names that it will find."""
    n = len(pixels)
    last = pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)
    whole: dict[str, NDArray[Any]] = {"images": last}
    if masks is not None:
        whole[MASKS] = _small(masks)
    codebook = layout.classes
    if "label" in records.column_names:
        cells = records.column("label").to_pylist()
        texts = sorted({str(cell) for cell in cells} - set(codebook))
        if codebook or isinstance(cells[0], str):
            codebook = (*codebook, *texts)
            places = {text: i for i, text in enumerate(codebook)}
            small = np.uint8 if len(codebook) < 256 else np.uint16
            whole[LABELS] = np.array([places[str(cell)] for cell in cells], dtype=small)
        elif None not in cells:
            whole[LABELS] = np.array(cells)
    if OWNER in records.column_names:
        whole["ids"] = _owners(records)
    arrays, names = {}, [""] * n
    split = records.column("split").to_pylist() if "split" in records.column_names else [None] * n
    for part in SPLITS if layout.splits else ("",):
        held = [i for i in range(n) if part in ("", split[i] if split[i] in SPLITS else "train")]
        rows = np.array(held, dtype=np.int64)
        prefix = f"{part}_" if part else ""
        for place, row in enumerate(rows.tolist()):
            names[row] = f"{prefix}{place:06d}"
        if len(rows):
            arrays |= {f"{prefix}{name}": array[rows] for name, array in whole.items()}
    if codebook:
        arrays["class_names"] = np.array(codebook)
    write_npz(draft / ARRAYS, arrays)
    return names


def _is_ours(folder: Path) -> bool:
    files = [path for path in folder.rglob("*") if not path.is_dir()]
    return all(
        not path.is_symlink() and (path.name in (RECORDS, ARRAYS) or _OURS.fullmatch(path.name))
        for path in files
    )
