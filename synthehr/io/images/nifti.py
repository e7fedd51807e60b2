"""NIfTI volumes as axial slices; a volume is a patient, unless something else tells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.images.foreign import BROKEN, needed, quiet
from synthehr.io.images.source import Load, Stack

MOST_VOXELS, MOST_SLICES = 2**29, 10_000
_KEPT = ("uint8", "uint16", "int16")


class _Volume(NamedTuple):
    """The header of a volume, axes from left to right, back to front, bottom to top."""

    shape: tuple[int, ...] = ()
    dtype: str = ""
    fault: str = ""


def open_nifti(root: Path, names: list[str], masks: list[list[str]] | None) -> Stack:
    """Look at the headers of volumes, and say how to decode their axial slices.

    A slice lies as the patient does: front at the top, and its columns go from left to
    right (RAS). Scaled and wide volumes become float32.

    Parameters
    ----------
    root, names, masks
        As in `open_pictures`.

    Raises
    ------
    InputError
        If nibabel is missing, or some files are no volumes of three axes; with counts.
    """
    needed("nibabel", "NIfTI")
    heads = [_head(root / name) for name in names]
    _refuse_faults(heads, "volumes")
    if masks is not None:
        found = [_head(root / parts[0]) for parts in masks]
        _refuse_faults(found, "masks")
        unlike = sum(a.shape != b.shape for a, b in zip(found, heads, strict=True))
        if unlike:
            raise InputError(
                f"{unlike} of {len(masks)} masks have another size than their volumes",
                hint="Bring every mask to the grid of its volume.",
            )
    depths = [head.shape[2] for head in heads]
    files = np.repeat(np.arange(len(heads)), depths)
    planes = np.concatenate([np.arange(depth) for depth in depths])
    dtypes = {head.dtype for head in heads}
    dtype = dtypes.pop() if len(dtypes) == 1 else "float32"
    sizes = {head.shape[:2] for head in heads}
    width, height = sizes.pop() if len(sizes) == 1 else (0, 0)
    traits = {
        "suffix": ".nii.gz", "dtype": dtype, "channels": 1, "height": height, "width": width,
        "bits": {"uint8": 8, "float32": 32}.get(dtype, 16),
    }  # fmt: skip
    named = [
        names[i] if depths[i] == 1 else f"{names[i]}#{plane:04d}"
        for i, plane in zip(files.tolist(), planes.tolist(), strict=True)
    ]
    columns: dict[str, list[Any]] = {"patient": files.tolist()}
    load_masks = None
    if masks is not None:
        load_masks = _loader([root / parts[0] for parts in masks], files, planes, "int32")
    load = _loader([root / name for name in names], files, planes, dtype)
    return Stack(names, named, files, columns, traits, load, load_masks, [])


def write_nifti(path: Path, cells: NDArray[Any]) -> None:
    """Write one slice (H, W), or (1, H, W), as a volume of one plane, marked as synthetic."""
    nibabel = needed("nibabel", "NIfTI")
    plane = cells.reshape(cells.shape[-2:])[::-1].T[:, :, None]
    image = nibabel.Nifti1Image(np.ascontiguousarray(plane), np.eye(4), dtype=plane.dtype)
    image.header["descrip"] = b"synthetic, made by synthehr"
    nibabel.save(image, path)


def _head(path: Path) -> _Volume:
    nibabel = needed("nibabel", "NIfTI")
    try:
        with quiet("nibabel.global"):
            image = nibabel.load(path)
            shape, kind = tuple(image.shape), image.get_data_dtype().newbyteorder("=")
            scale = (float(image.dataobj.slope), float(image.dataobj.inter))
            turned = nibabel.io_orientation(image.affine)[:, 0]
    except (*BROKEN, *_raised(nibabel)):
        return _Volume(fault="no volumes, or damaged at their start")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    single = kind.names is None and kind.kind in "uif"
    if len(shape) != 3 or not single or min(shape) < 1 or np.isnan(turned).any():
        return _Volume(fault="not of three axes with one number a voxel")
    if math.prod(shape) > MOST_VOXELS:
        return _Volume(fault=f"larger than {MOST_VOXELS // 10**6} million voxels")
    order = turned.argsort(kind="stable").tolist()
    if shape[order[2]] > MOST_SLICES:
        return _Volume(fault=f"of more than {MOST_SLICES} slices")
    plain = scale == (1.0, 0.0) and str(kind) in _KEPT
    return _Volume(tuple(shape[axis] for axis in order), str(kind) if plain else "float32")


def _raised(nibabel: Any) -> tuple[type[Exception], ...]:
    """Give nibabel's own exceptions, which stand below no common one."""
    return (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.orientations.OrientationError,
    )


def _refuse_faults(heads: Sequence[_Volume], what: str) -> None:
    faults = [head.fault for head in heads if head.fault]
    if faults:
        raise InputError(
            f"{faults.count(faults[0])} of {len(heads)} {what} are {faults[0]}",
            hint="Give one .nii or .nii.gz file a volume; split series over time before.",
        )


def _loader(
    paths: list[Path], files: NDArray[np.int64], planes: NDArray[np.int64], dtype: str
) -> Load:
    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        held, volume = -1, np.zeros((0, 0, 0))
        for row in rows.tolist():
            if files[row] != held:
                held = int(files[row])
                volume = _volume(paths[held], held, len(paths), dtype)
            plane = np.ascontiguousarray(volume[:, ::-1, planes[row]].T)
            yield plane if dtype == "int32" else plane[None]

    return load


def _volume(path: Path, place: int, total: int, dtype: str) -> NDArray[Any]:
    nibabel = needed("nibabel", "NIfTI")
    try:
        with quiet("nibabel.global"):
            image = nibabel.as_closest_canonical(nibabel.load(path))
            cells = np.asanyarray(image.dataobj)
            cells = cells.reshape(cells.shape[:3])
    except (*BROKEN, *_raised(nibabel)):
        raise InputError(
            f"volume {place + 1} of {total} cannot be decoded: truncated or damaged",
            hint="Export it again, or leave it out.",
        ) from None
    if dtype == "int32" and (cells != np.round(cells)).any():
        raise InputError("a mask holds decimal numbers", hint="Save one whole number a class.")
    with np.errstate(all="ignore"):  # what does not fit becomes infinite, and is refused later
        return cells.astype(dtype)
