"""DICOM files: their pixels in the unit of the file, their patients as numbers.

It is no de-identification of the files themselves (DICOM PS3.15, annex E): text burned into
pixels stays there, and is warned of.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.images.dicom_header import DicomHeader, header_of
from synthehr.io.images.foreign import BROKEN, needed, quiet
from synthehr.io.images.source import HOUNSFIELD, Load, Stack

_BURNED_IN_IS_USUAL = {"US", "SC", "OT", "ES", "XC", "GM", "IVUS", "RF", "XA", "DOC"}
_PIXELS = (
    "PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames",
    "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
)  # fmt: skip
_SHARED_BY = 10


def open_dicom(root: Path, names: list[str], masks: list[list[str]] | None) -> Stack:
    """Look at the headers of DICOM files, and say how to decode their frames.

    Pixels are given in the unit of the file (rescale slope and intercept applied, so
    Hounsfield units for CT), bright where MONOCHROME1 is dark. Windows are not applied.

    Parameters
    ----------
    root, names, masks
        As in `open_pictures`.

    Raises
    ------
    InputError
        If pydicom is missing, or some files cannot be decoded, or they differ in channels
        or type; with counts.
    """
    salt = secrets.token_bytes(16)
    heads = [header_of(root / name, salt) for name in names]
    notes = _check(heads)
    kept = [i for i, head in enumerate(heads) if not head.fault]
    frames = [heads[i].frames for i in kept]
    files = np.repeat(np.array(kept, dtype=np.int64), frames)
    planes = np.concatenate([np.arange(n) for n in frames])
    found = [heads[i] for i in kept]
    dtype, channels = _common_type(found)
    patients, told = _patients(found)
    owners = np.repeat(patients, frames).tolist()
    sizes = {(head.height, head.width) for head in found}
    height, width = sizes.pop() if len(sizes) == 1 else (0, 0)
    traits = {
        "suffix": ".dcm", "dtype": dtype, "channels": channels, "height": height, "width": width,
        "bits": {"int16": 16, "float32": 32}.get(dtype) or max(head.bits for head in found),
        "unit": HOUNSFIELD if all(head.hounsfield for head in found) else "",
        "details": _details(found, patients),
    }  # fmt: skip
    columns: dict[str, list[Any]] = {"patient": owners}
    for name, cells in (
        ("modality", [head.modality for head in found]),
        ("view", [head.view for head in found]),
        ("laterality", [head.side for head in found]),
    ):
        if len(set(cells)) > 1:
            columns[name] = [cell for cell, n in zip(cells, frames, strict=True) for _ in range(n)]
    named = [
        names[i] if heads[i].frames == 1 else f"{names[i]}#{plane:04d}"
        for i, plane in zip(files.tolist(), planes.tolist(), strict=True)
    ]
    load = _loader([root / name for name in names], heads, files, planes, dtype)
    load_masks = None
    if masks is not None:
        load_masks = _mask_loader([root / parts[0] for parts in masks], files, planes)
    return Stack(names, named, files, columns, traits, load, load_masks, [*notes, *told])


def _check(heads: Sequence[DicomHeader]) -> list[str]:
    """Refuse files that cannot be decoded; warn of what is left out and of burned-in text."""
    faults = Counter(head.fault for head in heads if head.fault)
    no_image = faults.pop("no image", 0)
    for fault, count in faults.items():
        raise InputError(
            f"{count} of {len(heads)} files are {fault}",
            hint="pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
            if "package" in fault
            else "Leave them out, or export them again as grey or RGB images.",
        )
    found = [head for head in heads if not head.fault]
    if not found:
        raise InputError(
            f"none of {len(heads)} DICOM files holds an image", hint="Give the images themselves."
        )
    marked = sum(head.burned_in == "YES" for head in found)
    unsaid = sum(not head.burned_in and head.modality in _BURNED_IN_IS_USUAL for head in found)
    told = "it is part of the pixels, may name patients, and would be learned: look at them."
    notes = [f"{no_image} DICOM files hold no image; they were left out."] if no_image else []
    if marked:
        notes.append(f"{marked} of {len(found)} DICOM files say that text is burned in; {told}")
    if unsaid:
        notes.append(
            f"{unsaid} of {len(found)} DICOM files do not say whether text is burned in, as is "
            f"common for their modality; {told}"
        )
    return notes


def _common_type(found: Sequence[DicomHeader]) -> tuple[str, int]:
    """Find the type that holds all of them."""
    for cells, what in (
        ([head.channels for head in found], "channels"),
        (["8 bits" if head.dtype == "uint8" else "more bits" for head in found], "depth"),
    ):
        counts = Counter(cells)
        if len(counts) > 1:
            told = ", ".join(f"{n} of {cell}" for cell, n in sorted(counts.items()))
            raise InputError(
                f"the images differ in their {what}: {told}", hint="Give a folder for each kind."
            )
    if found[0].channels == 3 and found[0].dtype != "uint8":
        raise InputError(
            "the images are in colour of more than 8 bits", hint="Convert them to 8 bits."
        )
    dtypes = {head.dtype for head in found}
    return dtypes.pop() if len(dtypes) == 1 else "float32", found[0].channels


def _patients(found: Sequence[DicomHeader]) -> tuple[NDArray[np.int64], list[str]]:
    """Give each patient a number, in order of appearance; by study where ids do not tell."""
    ids = [head.patient for head in found]
    told = []
    if len(set(ids)) == 1 and len({head.study for head in found}) > 1:
        told = [
            "the DICOM files name one patient, or none, for several studies; each study was "
            "taken as a patient."
        ]
        ids = [head.study for head in found]
    elif unnamed := ids.count(b""):
        told = [f"{unnamed} DICOM files name no patient; each was taken as one of its own."]
    numbers: dict[bytes, int] = {}
    keys = [key or str(i).encode() for i, key in enumerate(ids)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys]), told


def _details(found: Sequence[DicomHeader], patients: NDArray[np.int64]) -> dict[str, str | float]:
    """Keep the modality, and the pixel spacing where enough patients share it."""
    modality = Counter(head.modality for head in found).most_common(1)[0][0]
    spacing, _ = Counter(head.spacing for head in found).most_common(1)[0]
    sharing = {int(p) for p, head in zip(patients, found, strict=True) if head.spacing == spacing}
    kept = {"spacing": spacing} if spacing and len(sharing) >= _SHARED_BY else {}
    return {"modality": modality, **kept}


def _loader(
    paths: list[Path],
    heads: list[DicomHeader],
    files: NDArray[np.int64],
    planes: NDArray[np.int64],
    dtype: str,
) -> Load:
    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        for row, cells in _frames(paths, files, planes, rows):
            yield _in_units(cells, heads[files[row]], dtype)

    return load


def _mask_loader(paths: list[Path], files: NDArray[np.int64], planes: NDArray[np.int64]) -> Load:
    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        for _, cells in _frames(paths, files, planes, rows):
            yield cells.astype(np.int32)

    return load


def _frames(
    paths: list[Path],
    files: NDArray[np.int64],
    planes: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Decode frames; a file is read once for those that follow one another."""
    pydicom = needed("pydicom", "DICOM")
    from pydicom.pixels.utils import pixel_array

    held, content = -1, None
    for row in rows.tolist():
        try:
            with quiet("pydicom"):
                if files[row] != held:
                    held = int(files[row])
                    content = pydicom.dcmread(paths[held], specific_tags=list(_PIXELS))
                assert content is not None
                cells = pixel_array(content, index=int(planes[row]))
        except (*BROKEN, pydicom.errors.BytesLengthException):
            raise InputError(
                f"the image of row {row + 1} (of {len(files)}) cannot be decoded: truncated, "
                "damaged, or compressed in a way that is not read",
                hint="Export it again without compression, or leave it out.",
            ) from None
        yield row, cells


def _in_units(cells: NDArray[Any], head: DicomHeader, dtype: str) -> NDArray[Any]:
    """Apply the polarity, the slope and the intercept of the file."""
    wide = cells.astype(np.float64)
    if head.inverted:
        wide = (-1.0 if head.signed else 2.0**head.bits - 1) - wide
    wide = wide * head.slope + head.intercept
    if dtype != "float32":
        limits = np.iinfo(dtype)
        wide = np.clip(np.round(wide), limits.min, limits.max)
    return wide[None].astype(dtype) if wide.ndim == 2 else wide.transpose(2, 0, 1).astype(dtype)
