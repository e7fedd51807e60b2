"""Drawn phantoms: an ellipse with a lesion, its mask, and folders and files of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SECRET = "Doe^Jane"


def phantoms(
    n: int, dtype: str = "uint8", channels: int = 1, height: int = 12, width: int = 12
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw n images (n, C, H, W) that all differ, and their masks (n, H, W) of 0, 1, 2."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    body = x**2 / 0.8 + y**2 / 0.6 < 1
    places = rng.uniform(-0.3, 0.3, size=(n, 2, 1, 1))
    lesion = (x - places[:, 0]) ** 2 + (y - places[:, 1]) ** 2 < 0.06
    masks = body.astype(np.uint8) + (lesion & body)
    shares = body * 0.4 + (lesion & body) * 0.5 + rng.uniform(0, 0.1, size=(n, height, width))
    shares = np.stack([shares * (1 - 0.1 * c) for c in range(channels)], axis=1)
    if dtype == "float32":
        return shares.astype(np.float32), masks
    low, high = {"uint8": (0, 255), "uint16": (0, 4095), "int16": (-1024, 3071)}[dtype]
    return np.rint(low + shares * (high - low)).astype(dtype), masks


def save(path: Path, cells: NDArray[Any], **options: Any) -> None:
    """Save (C, H, W) or (H, W) pixels with Pillow, in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = cells[0] if cells.ndim == 3 and len(cells) == 1 else cells
    whole = flat.transpose(1, 2, 0) if flat.ndim == 3 else flat
    Image.fromarray(np.ascontiguousarray(whole)).save(path, **options)


def folder(root: Path, names: list[str], dtype: str = "uint8", channels: int = 1) -> NDArray[Any]:
    """Save one phantom under each name, and give their pixels."""
    pixels, _ = phantoms(len(names), dtype, channels)
    for name, cells in zip(names, pixels, strict=True):
        save(root / name, cells)
    return pixels


def dicom(path: Path, cells: NDArray[Any], **attributes: Any) -> None:
    """Save (H, W), (frames, H, W) or (H, W, 3) stored values as a DICOM file of one Jane Doe."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    head = Dataset()
    head.file_meta = FileMetaDataset()
    head.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    head.SOPClassUID, head.SOPInstanceUID = CTImageStorage, generate_uid()
    head.PatientName, head.PatientID, head.PatientBirthDate = SECRET, SECRET, "19500101"
    head.StudyInstanceUID = generate_uid(entropy_srcs=[str(attributes.get("PatientID", SECRET))])
    head.Modality, head.PhotometricInterpretation = "CT", "MONOCHROME2"
    colour = cells.ndim == 3 and cells.shape[2] == 3
    head.SamplesPerPixel = 3 if colour else 1
    if colour:
        head.PlanarConfiguration = 0
    head.Rows, head.Columns = cells.shape[:2] if colour else cells.shape[-2:]
    head.BitsAllocated = head.BitsStored = 8 * cells.dtype.itemsize
    head.PixelRepresentation = int(cells.dtype.kind == "i")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that no standard allows
        for name, value in attributes.items():
            setattr(head, name, value)
    head.HighBit = head.BitsStored - 1
    head.PixelData = np.ascontiguousarray(cells).tobytes()
    head["PixelData"].VR = "OB" if head.BitsAllocated == 8 else "OW"
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        head.save_as(path, enforce_file_format=True)
