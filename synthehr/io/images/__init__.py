"""Images in and out: pictures, arrays, DICOM and NIfTI, with the records that belong to them."""

from __future__ import annotations

from synthehr.io.images.reading import is_images, read_images
from synthehr.io.images.source import ImageLayout, ImageSource
from synthehr.io.images.writing import check_images_target, write_images

__all__ = [
    "ImageLayout",
    "ImageSource",
    "check_images_target",
    "is_images",
    "read_images",
    "write_images",
]
