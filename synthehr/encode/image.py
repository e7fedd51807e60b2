"""Images and what is known of each as integers, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.fields import Fields
from synthehr.encode.raster import Raster
from synthehr.encode.table import TableEncoder
from synthehr.io.images import ImageSource


class ImageFields(NamedTuple):
    """What a model sees of a set of images.

    Attributes
    ----------
    channels : int
        Channels of an image, those of its mask included.
    masks : int
        How many of these, the last ones, are classes of a mask.
    size : int
        Height and width.
    top : int
        The integer that stands for 1; 0 stands for 0.
    columns : Fields
        The columns that are known of each image; may be none.
    """

    channels: int
    masks: int
    size: int
    top: int
    columns: Fields


class ImageCodes(NamedTuple):
    """Encoded images.

    Attributes
    ----------
    pixels : ndarray of shape (N, C, H, W), uint8 or int16
        From 0 to `ImageFields.top`.
    codes : ndarray of shape (N, 2, D), int16
        Tokens and parts of the columns.
    """

    pixels: NDArray[Any]
    codes: NDArray[np.int16]


@final
class ImageEncoder:
    """Turns images and their columns into integers, and integers into images and columns.

    Parameters
    ----------
    raster : Raster
        Of the images.
    table : TableEncoder or None
        Of their columns; None where there are none.
    """

    def __init__(self, raster: Raster, table: TableEncoder | None) -> None:
        self.raster = raster
        self.table = table

    @property
    def fields(self) -> ImageFields:
        """What a model sees."""
        raster, table = self.raster, self.table
        columns = () if table is None else table.fields
        return ImageFields(
            raster.shape[0],
            raster.mask_classes,
            raster.size,
            raster.top,
            columns,
        )

    @property
    def columns(self) -> tuple[Any, ...]:
        """The encoders of the columns, as of `TableEncoder`."""
        return () if self.table is None else self.table.columns

    def describe(self) -> list[dict[str, Any]]:
        """Say of each column how it is encoded."""
        return [] if self.table is None else self.table.describe()

    def encode(self, source: ImageSource) -> ImageCodes:
        """Decode images once, and encode their columns."""
        codes = np.zeros((len(source), 2, 0), dtype=np.int16)
        if self.table is not None:
            codes = self.table.encode(source.records)
        return ImageCodes(self.raster.encode(source), codes)

    def decode_columns(self, codes: NDArray[np.integer], rng: np.random.Generator) -> pa.Table:
        """Turn codes (N, 2, D) into a table of the columns."""
        if self.table is None:
            return pa.table({})
        return self.table.decode(codes, rng)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give what the model file keeps: JSON values, and arrays."""
        content, arrays = ({}, {}) if self.table is None else self.table.state()
        columns = None if self.table is None else content
        return {"raster": self.raster.to_json(), "columns": columns}, arrays

    @classmethod
    def from_state(cls, content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild what `state` gave."""
        kept = content["columns"]
        table = None if kept is None else TableEncoder.from_state(kept, dict(arrays))
        return cls(Raster.from_json(content["raster"]), table)
