"""The header of a DICOM file: what names nobody, and a number for who it is.

Only the attributes in `_READ` are parsed, and those in `_GROUPED` to tell patients apart,
of which nothing but a salted digest remains.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from synthehr.io.images.foreign import BROKEN, needed, quiet
from synthehr.io.images.pictures import MOST_PIXELS
from synthehr.io.images.source import HOUNSFIELD

MOST_FRAMES = 10_000
_READ = (
    "Modality", "PhotometricInterpretation", "SamplesPerPixel", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "PixelRepresentation", "NumberOfFrames", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "PixelSpacing", "BurnedInAnnotation", "ViewPosition",
    "ImageLaterality", "Laterality", "SharedFunctionalGroupsSequence",
)  # fmt: skip
_GROUPED = ("PatientID", "StudyInstanceUID")
# Defined terms of PS3.3 C.8.7.10, C.8.11.5 and 10.5: anything else may be free text.
_VIEWS = {"AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO", "CC", "MLO", "ML", "LM", "LAT"}
_SIDES = {"R", "L", "B", "U"}
_MODALITIES = {
    "CR", "CT", "DX", "ES", "GM", "IO", "IVUS", "MG", "MR", "NM", "OP", "OPT", "OT", "PT", "PX",
    "RF", "RG", "SC", "SM", "US", "XA", "XC",
}  # fmt: skip


class DicomHeader(NamedTuple):
    """What is kept of a header."""

    fault: str = ""
    modality: str = ""
    view: str | None = None
    side: str | None = None
    channels: int = 1
    height: int = 0
    width: int = 0
    frames: int = 1
    dtype: str = ""
    bits: int = 8
    signed: bool = False
    inverted: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    spacing: str = ""
    burned_in: str = ""
    patient: bytes = b""
    study: bytes = b""
    hounsfield: bool = False


def header_of(path: Path, salt: bytes) -> DicomHeader:
    """Read a header; the salt makes digests of ids that no other reading makes."""
    pydicom = needed("pydicom", "DICOM")
    try:
        with quiet("pydicom"):
            head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_READ, *_GROUPED])
            return _kept(head, salt)
    except (*BROKEN, pydicom.errors.InvalidDicomError, pydicom.errors.BytesLengthException):
        return DicomHeader(fault="not DICOM, or damaged at their start")


def _kept(head: Any, salt: bytes) -> DicomHeader:
    """Keep of a header what names nobody."""
    from pydicom.pixels.decoders.base import get_decoder

    if "Rows" not in head or "BitsAllocated" not in head:
        return DicomHeader(fault="no image")
    if not get_decoder(head.file_meta.TransferSyntaxUID).is_available:
        return DicomHeader(fault="compressed in a way that needs a further package")
    height, width, bits = int(head.Rows), int(head.Columns), int(head.BitsStored)
    frames = max(1, int(head.get("NumberOfFrames") or 1))
    if frames > MOST_FRAMES:
        return DicomHeader(fault=f"of more than {MOST_FRAMES} frames")
    if height * width > MOST_PIXELS:
        return DicomHeader(fault=f"larger than {MOST_PIXELS // 10**6} million pixels")
    modality = str(head.get("Modality", ""))
    if "SharedFunctionalGroupsSequence" in head and modality in ("CT", "MR", "PT"):
        return DicomHeader(fault="enhanced multi-frame objects, whose units lie in their groups")
    slope, intercept = float(head.get("RescaleSlope", 1)), float(head.get("RescaleIntercept", 0))
    signed = bool(head.get("PixelRepresentation", 0))
    channels = 1 if int(head.get("SamplesPerPixel", 1)) == 1 else 3
    if head.PhotometricInterpretation == "PALETTE COLOR" or bits > 16:
        return DicomHeader(fault="of a kind of pixel that is not read")
    rescaled = (slope, intercept) != (1.0, 0.0)
    if modality == "CT" or (rescaled and slope.is_integer() and intercept.is_integer()):
        dtype = "int16"
    elif rescaled:
        dtype = "float32"
    else:
        dtype = "int16" if signed else "uint8" if bits <= 8 else "uint16"
    spacing = head.get("PixelSpacing")
    return DicomHeader(
        modality=modality if modality in _MODALITIES else "OT",
        view=_term(head.get("ViewPosition"), _VIEWS),
        side=_term(head.get("ImageLaterality") or head.get("Laterality"), _SIDES),
        channels=channels,
        height=height,
        width=width,
        frames=frames,
        dtype=dtype,
        bits=bits,
        signed=signed,
        inverted=head.PhotometricInterpretation == "MONOCHROME1",
        slope=slope,
        intercept=intercept,
        spacing="" if not spacing else "\\".join(f"{float(x):.6g}" for x in spacing),
        burned_in=str(head.get("BurnedInAnnotation", "")),
        patient=_hidden(head.get("PatientID"), salt),
        study=_hidden(head.get("StudyInstanceUID"), salt),
        hounsfield=modality == "CT" and head.get("RescaleType", HOUNSFIELD) in ("", HOUNSFIELD),
    )


def _term(cell: Any, known: set[str]) -> str | None:
    return str(cell) if cell in known else None


def _hidden(text: Any, salt: bytes) -> bytes:
    return hashlib.blake2b(str(text).encode(), key=salt).digest() if text else b""
