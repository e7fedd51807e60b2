"""From folders and files to images that can be compared: of one size, with classes in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.raster import Raster
from synthehr.errors import InputError
from synthehr.evaluation.images.records import ImageRecords
from synthehr.io.images import ImageSource, read_images
from synthehr.schema.column import nearest, shown

LABEL = "label"
MOST_CLASSES = 100


def read_sets(
    paths: Sequence[Path],
    *,
    patient: str | None = None,
    image_column: str | None = None,
    target: str | None = None,
    raster: Raster | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[ImageRecords]:
    """Read real, synthetic and maybe held-out images, all in the same way.

    Parameters
    ----------
    paths : sequence of path
        The places, real images first.
    patient : str or None
        The column that says whose image it is; None goes by its name.
    image_column : str or None
        The column of file names in a table.
    target : str or None
        The column of classes; None: "label", where all images have one.
    raster : Raster or None
        What brings images to one size; None settles it on the real ones.
    tell : callable
        Is told warnings.

    Raises
    ------
    InputError
        If images cannot be read, or labels of synthetic or held-out images are none of the real
        ones.
    """
    sources: list[ImageSource] = []
    for k, path in enumerate(paths):
        # Synthetic images may well be of nobody.
        source = read_images(path, image_column=image_column, patient=None if k == 1 else patient)
        for warning in source.warnings:
            tell(f"warning: {path.name}: {warning}")
        sources.append(source)
    return sets_of(sources, target=target, raster=raster)


def sets_of(
    sources: list[ImageSource], *, target: str | None = None, raster: Raster | None = None
) -> list[ImageRecords]:
    """Bring images to one size, and their classes to the numbers of those of the first.

    Parameters
    ----------
    sources : list of ImageSource
        Real images first.
    target, raster
        As of `read_sets`.

    Raises
    ------
    InputError
        As of `read_sets`.
    """
    if any(source.load_masks is None for source in sources):
        sources = [replace(source, load_masks=None) for source in sources]
    raster = raster or Raster.settle(sources[0])
    column = _target(sources, target)
    names = () if column is None else _classes(sources[0].records, column)
    sets = []
    for source in sources:
        cells = raster.encode(source)
        owner = source.patient
        sets.append(
            ImageRecords(
                pixels=cells[:, : raster.channels],
                labels=None if column is None else _labels(source.records, column, names),
                class_names=names,
                patients=None
                if owner is None
                else np.array([str(who) for who in source.records.column(owner).to_pylist()]),
                masks=cells[:, raster.channels :].argmax(axis=1) if raster.mask_classes else None,
            )
        )
    return sets


def _target(sources: list[ImageSource], target: str | None) -> str | None:
    """Find the column of classes."""
    for source in sources:
        if target is not None and target not in source.records.column_names:
            raise InputError(
                f"the images have no column {shown(target)}",
                hint=nearest(target, tuple(source.records.column_names)),
            )
    if target is not None:
        return target
    complete = all(
        LABEL in source.records.column_names and not source.records.column(LABEL).null_count
        for source in sources
    )
    return LABEL if complete else None


def _classes(records: pa.Table, column: str) -> tuple[str, ...]:
    found = sorted({str(cell) for cell in records.column(column).to_pylist() if cell is not None})
    if len(found) > MOST_CLASSES:
        raise InputError(
            f"column {shown(column)} has {len(found)} different values; a report takes at most "
            f"{MOST_CLASSES} classes",
            hint="name a column of classes with --target",
        )
    return tuple(found)


def _labels(records: pa.Table, column: str, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Give each image the number of its class among those of the real ones."""
    places = {name: k for k, name in enumerate(names)}
    cells = records.column(column).to_pylist()
    codes = np.array([places.get(str(cell), -1) for cell in cells], dtype=np.int64)
    if (codes < 0).any():
        raise InputError(
            f"column {shown(column)} is null, or no class of the real images, in "
            f"{(codes < 0).sum()} images",
            hint="give each image one of the classes",
        )
    return codes
