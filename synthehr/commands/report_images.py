"""`synthehr report` on images."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from synthehr.errors import ConfigError, InputError
from synthehr.schema.column import nearest, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.encode.raster import Raster
    from synthehr.evaluation.images.features import Plug
    from synthehr.evaluation.images.records import ImageRecords
    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.io.images import ImageSource

UNUSED = ("--model", "--audit deep", "--rules", "--by", "--schema", "--time")
LABEL = "label"
MOST_CLASSES = 100


def for_images(real: Path, synthetic: Path, asked: Mapping[str, Any]) -> bool:
    """Say whether a report compares images.

    Parameters
    ----------
    real, synthetic : path
        The two places.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.

    Raises
    ------
    ConfigError
        If only one of the places holds images, or an option of images was given for tables.
    """
    from synthehr.io.images import is_images

    if asked["--image-column"] is not None:
        return True
    found = [is_images(path) for path in (real, synthetic)]
    if found[0] != found[1]:
        which = "first" if found[0] else "second"
        raise ConfigError(
            f"only the {which} of the two places holds images",
            hint="compare images with images, or tables with tables",
        )
    for name in ("--features", "--reading-sheet"):
        if asked[name] is not None and not found[0]:
            raise ConfigError(f"{name} is for images", hint="leave it out for tables")
    return found[0]


def assess_images(
    real: Path,
    synthetic: Path,
    asked: Mapping[str, Any],
    *,
    force: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> ImageEvaluation:
    """Compare synthetic with real images.

    Parameters
    ----------
    real, synthetic : path
        Folders, .npz, DICOM or NIfTI files.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.
    force : bool
        Overwrite existing files.
    tell : callable
        Is told how far the work is, and warnings.

    Raises
    ------
    ConfigError
        If an option does not go with images.
    InputError
        If images cannot be read or do not belong together.
    """
    from synthehr.evaluation.images.evaluate import evaluate_images
    from synthehr.evaluation.images.reading_sheet import write_reading_sheet

    for name in UNUSED:
        if asked[name] is not None:
            raise ConfigError(
                f"{name} does not go with images",
                hint="leave it out; name held-out images with --holdout",
            )
    plug = None if asked["--features"] is None else plug_of(asked["--features"])
    quiz, seed = asked["--reading-sheet"], asked["--seed"]
    sets = read_sets(
        [path for path in (real, synthetic, asked["--holdout"]) if path is not None],
        patient=asked["--patient"],
        image_column=asked["--image-column"],
        target=asked["--target"],
        tell=tell,
    )
    holdout = sets[2] if len(sets) > 2 else None
    if quiz is not None:
        key = write_reading_sheet(holdout or sets[0], sets[1], quiz, seed=seed, force=force)
        tell(f"wrote {quiz} and its key {key.name}, which readers must not see")
    return evaluate_images(sets[0], sets[1], holdout, features=plug, seed=seed, progress=tell)


def read_sets(
    paths: list[Path],
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
    paths : list of path
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
    from synthehr.encode.raster import Raster
    from synthehr.evaluation.images.records import ImageRecords
    from synthehr.io.images import read_images

    sources: list[ImageSource] = []
    for k, path in enumerate(paths):
        # Synthetic images may well be of nobody.
        source = read_images(path, image_column=image_column, patient=None if k == 1 else patient)
        for warning in source.warnings:
            tell(f"warning: {path.name}: {warning}")
        sources.append(source)
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


def _labels(records: pa.Table, column: str, names: tuple[str, ...]) -> np.ndarray:
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


def plug_of(text: str) -> Plug:
    """Import the function that `module:function` names.

    Raises
    ------
    ConfigError
        If there is none.
    """
    module, _, name = text.partition(":")
    found: Any = None
    with suppress(ImportError, AttributeError, ValueError):
        found = getattr(importlib.import_module(module), name)
    if not callable(found):
        raise ConfigError(
            "--features names no function that can be imported",
            hint="write it as module:function; the module's folder must be on PYTHONPATH",
        )
    return cast("Plug", found)
