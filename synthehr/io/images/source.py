"""Images as they were found: one row of records an image, decoded when they are asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ArtifactError

Kind = Literal["folder", "classes", "table", "masks", "domains", "npz", "dicom", "nifti"]
KINDS: tuple[str, ...] = get_args(Kind)
DTYPES = ("uint8", "uint16", "int16", "float32")
MASK_PLACES = ("", "folder", "beside", "array")
HOUNSFIELD = "HU"

Load = Callable[[NDArray[np.int64]], Iterator[NDArray[Any]]]
"""Gives the images of some rows, one after the other."""


@dataclass(frozen=True, kw_only=True)
class ImageLayout:
    """How images lie on disk, so that others can be written in the same way.

    Nothing in it belongs to a single patient: it goes into the model file.

    Attributes
    ----------
    kind : Kind
        "folder", "table", "classes" (a sub-folder a class), "masks" (images/ beside masks/),
        "domains" (trainA, trainB, …) of PNG, JPEG or TIFF files; "npz", "dicom" or "nifti".
    suffix : str
        Suffix of the files, such as ".png".
    dtype : {"uint8", "uint16", "int16", "float32"}
        Type of the pixels.
    bits : int
        Bits that a pixel uses: 8 to 16; 32 for float32.
    channels : int
        Channels of an image, 1 to 4.
    height, width : int
        Pixels of an image; 0 where images differ.
    unit : {"", "HU"}
        Unit of the pixels.
    mask_place : {"", "folder", "beside", "array"}
        Where masks lie: nowhere, in a folder masks/, as x_mask.png beside x.png, in the npz.
    splits : bool
        Whether a folder or array for each split ("train", "val", "test") stands above the rest.
    image_column : str
        Name that the column of images has in the table.
    classes : tuple of str
        Texts of the labels in a codebook that the file itself holds (npz only).
    details : dict from text to text or number
        What a format needs besides, such as the modality of DICOM files.
    """

    kind: Kind
    suffix: str
    dtype: str
    bits: int
    channels: int
    height: int = 0
    width: int = 0
    unit: str = ""
    mask_place: str = ""
    splits: bool = False
    image_column: str = "image"
    classes: tuple[str, ...] = ()
    details: dict[str, str | float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Lay it out as JSON-ready values."""
        return dataclasses.asdict(self) | {"classes": list(self.classes)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ImageLayout:
        """Rebuild what `to_json` gave.

        Raises
        ------
        ArtifactError
            If something is missing, unknown or of the wrong type.
        """
        try:
            layout = cls(**{**content, "classes": tuple(content["classes"])})
            whole = (layout.bits, layout.channels, layout.height, layout.width)
            sound = (
                layout.kind in KINDS
                and layout.dtype in DTYPES
                and layout.mask_place in MASK_PLACES
                and isinstance(layout.splits, bool)
                and all(type(number) is int and number >= 0 for number in whole)
                and 1 <= layout.channels <= 4
                and all(
                    isinstance(text, str)
                    for text in (layout.suffix, layout.unit, layout.image_column, *layout.classes)
                )
                and all(isinstance(x, str | int | float) for x in layout.details.values())
            )
        except (KeyError, TypeError, AttributeError):
            sound, layout = False, None
        if not sound or layout is None:
            raise ArtifactError(
                "the model file is damaged: what it says of the layout of images does not fit",
                hint="copy it again from where it came, or fit again",
            )
        return layout


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Images and what is known of each.

    Attributes
    ----------
    records : pyarrow.Table
        One row an image. The first column holds the image's name, relative to the folder and
        unique; then come, where known, "label", "split", "domain", "patient", "mask" and the
        columns of the table. Names can identify patients: they are never modelled or shown.
    layout : ImageLayout
        How the images lie.
    patient : str or None
        Column of `records` that says whose image it is.
    warnings : tuple of str
        What was found out or looks odd; neither cell values nor file names are in it.
    load : Load
        Decodes the images of some rows of the files.
    load_masks : Load or None
        Decodes their masks.
    rows : ndarray of shape (N,), int64
        Which rows of the files these are.
    """

    records: pa.Table = field(repr=False)
    layout: ImageLayout
    patient: str | None = None
    warnings: tuple[str, ...] = ()
    load: Load = field(repr=False)
    load_masks: Load | None = field(repr=False, default=None)
    rows: NDArray[np.int64] = field(repr=False)

    def __len__(self) -> int:
        return self.records.num_rows

    def images(self) -> Iterator[NDArray[Any]]:
        """Decode one image after the other, in the order of the rows.

        Yields
        ------
        ndarray of shape (C, H, W)
            uint8, uint16, int16 or float32, in the units of the file: Hounsfield units of
            CT, and dark where MONOCHROME1 is bright.

        Raises
        ------
        InputError
            If an image is truncated or damaged.
        """
        return self.load(self.rows)

    def masks(self) -> Iterator[NDArray[Any]] | None:
        """Decode one mask after the other; None where there are none.

        Yields
        ------
        ndarray of shape (H, W), of whole numbers
            As in the file.
        """
        return None if self.load_masks is None else self.load_masks(self.rows)

    def take(self, rows: NDArray[Any]) -> ImageSource:
        """Choose images: their positions, or True for those to keep."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        return dataclasses.replace(
            self, records=self.records.take(pa.array(chosen)), rows=self.rows[chosen]
        )


class Stack(NamedTuple):
    """What the reader of one format makes of its files.

    Attributes
    ----------
    sources : list of str
        Names of the files.
    names : list of str
        Names of the N images.
    files : ndarray of shape (N,), int64
        The file that each comes from, ascending.
    columns : dict from text to list
        What the format tells of each image.
    traits : dict
        Fields of `ImageLayout` that the format settles.
    load, load_masks : Load, or None
        Decode the images and masks of some rows.
    warnings : list of str
        What looks odd.
    """

    sources: list[str]
    names: list[str]
    files: NDArray[np.int64]
    columns: dict[str, list[Any]]
    traits: dict[str, Any]
    load: Load
    load_masks: Load | None
    warnings: list[str]
