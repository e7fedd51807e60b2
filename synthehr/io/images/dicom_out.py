"""Synthetic DICOM: Secondary Capture objects that say what they are and carry nobody's header."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import ArtifactError
from synthehr.io.images.foreign import needed
from synthehr.io.images.source import ImageLayout

_MADE_BY = "synthehr"


def write_dicom(
    path: Path, cells: NDArray[Any], layout: ImageLayout, *, patient: int, seal: bytes
) -> None:
    """Write one image as a Secondary Capture object, marked as derived and synthetic.

    Parameters
    ----------
    path : Path
        The file.
    cells : ndarray of shape (C, H, W)
        One channel of uint8, uint16, int16 or float32, or three of uint8.
    layout : ImageLayout
        Modality, unit and pixel spacing.
    patient : int
        Number of the synthetic patient.
    seal : bytes
        What all images of a set share, and no other set does: UIDs are derived from it.

    Raises
    ------
    ArtifactError
        If DICOM does not hold such pixels.
    """
    needed("pydicom", "DICOM")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

    head = Dataset()
    head.file_meta = FileMetaDataset()
    head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head.SOPClassUID = SecondaryCaptureImageStorage
    head.SOPInstanceUID = _uid(seal, path.name.encode(), cells.tobytes())
    head.StudyInstanceUID = _uid(seal, b"study", str(patient).encode())
    head.SeriesInstanceUID = _uid(seal, b"series", str(patient).encode())
    head.PatientID = f"SYNTH-{patient + 1:06d}"
    head.PatientName = "SYNTHETIC"
    for name in (
        "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
        "ReferringPhysicianName", "SeriesNumber", "InstanceNumber", "PatientOrientation",
    ):  # fmt: skip
        setattr(head, name, None)
    head.Modality = str(layout.details.get("modality", "OT"))
    head.ConversionType = "SYN"
    head.ImageType = ["DERIVED", "SECONDARY"]
    head.DerivationDescription = f"synthetic image, made by {_MADE_BY}; it shows no patient"
    head.PatientIdentityRemoved = "YES"
    head.DeidentificationMethod = f"synthetic, made by {_MADE_BY}"
    head.SoftwareVersions = _MADE_BY
    if "spacing" in layout.details:
        head.PixelSpacing = str(layout.details["spacing"]).split("\\")
    _set_pixels(head, cells, layout)
    head.save_as(path, enforce_file_format=True)


def seal_of(pixels: NDArray[Any]) -> bytes:
    """Digest a set of images, so that equal sets get equal UIDs and others do not."""
    digest = hashlib.sha256(str((pixels.shape, pixels.dtype)).encode())
    for image in pixels:
        digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _uid(*parts: bytes) -> str:
    # PS3.5 B.2: a UUID below 2.25 needs no root of one's own.
    digest = hashlib.sha256(b"\x00".join(parts)).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def _set_pixels(head: Any, cells: NDArray[Any], layout: ImageLayout) -> None:
    channels = len(cells)
    if channels not in (1, 3) or (channels == 3 and cells.dtype != np.uint8):
        raise ArtifactError(
            f"DICOM holds no images of {channels} channels of {cells.dtype}",
            hint="Write them as .npz.",
        )
    slope, intercept = 1.0, 0.0
    if cells.dtype == np.float32:
        low, high = float(cells.min()), float(cells.max())
        slope, intercept = (high - low) / 65535 or 1.0, low
        cells = np.round((cells.astype(np.float64) - intercept) / slope).astype(np.uint16)
    head.SamplesPerPixel = channels
    head.PhotometricInterpretation = "RGB" if channels == 3 else "MONOCHROME2"
    if channels == 3:
        head.PlanarConfiguration = 0
    head.Rows, head.Columns = cells.shape[1:]
    head.BitsAllocated = 8 * cells.dtype.itemsize
    head.BitsStored = (
        layout.bits if cells.dtype == np.uint16 and layout.bits < 16 else (head.BitsAllocated)
    )
    head.HighBit = head.BitsStored - 1
    head.PixelRepresentation = int(cells.dtype == np.int16)
    if cells.dtype == np.int16 or (slope, intercept) != (1.0, 0.0):
        head.RescaleSlope, head.RescaleIntercept = f"{slope:.10g}", f"{intercept:.10g}"
        head.RescaleType = layout.unit or "US"
    head.PixelData = np.ascontiguousarray(cells.transpose(1, 2, 0)).tobytes()
    head["PixelData"].VR = "OB" if head.BitsAllocated == 8 else "OW"
