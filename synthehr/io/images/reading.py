"""Reading images: which layout a place has, and which door it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.io.images.dicom import open_dicom
from synthehr.io.images.joining import (
    TABLES,
    find_column,
    mask_column,
    names_in,
    places,
    prefix_of,
)
from synthehr.io.images.nifti import open_nifti
from synthehr.io.images.npz import holds_arrays, open_npz
from synthehr.io.images.pictures import open_pictures
from synthehr.io.images.source import ImageLayout, ImageSource, Kind, Stack
from synthehr.io.images.tree import (
    Arranged,
    Medium,
    Paired,
    arranged,
    holds_images,
    medium_of,
    paired,
    walk,
)
from synthehr.io.source import read
from synthehr.io.visits.keys import check_column, check_patients
from synthehr.schema.words import names_a_patient

_OPEN = {"picture": open_pictures, "dicom": open_dicom, "nifti": open_nifti}
IMAGE, OWNER = "image", "patient"
_NO_TREE = Arranged("folder", {}, [])


class _Table(NamedTuple):
    """A table of records beside the images."""

    table: pa.Table
    column: str
    place: Path | None


def read_images(
    path: Path,
    *,
    labels: Path | None = None,
    table: pa.Table | None = None,
    image_column: str | None = None,
    patient: str | None = None,
) -> ImageSource:
    """Read images and what is known of each, in whichever layout they lie.

    Parameters
    ----------
    path : Path
        A folder of PNG, JPEG, TIFF, DICOM or NIfTI files, flat or with sub-folders for
        classes, splits, masks or two domains; an .npz file; one DICOM or NIfTI file; or a
        table of records with a column of file names, which are relative to the table.
    labels : Path or None
        A table with a row an image, whose columns are kept. A file called records.parquet,
        or metadata or labels (.parquet, .csv), in the folder is found by itself.
    table : pyarrow.Table or None
        The same, read before; file names are relative to `path`, or to its folder.
    image_column : str or None
        Column of file names; None goes by its name.
    patient : str or None
        Column that says whose image it is; None goes by its name.

    Returns
    -------
    ImageSource
        Its images are decoded when they are asked for.

    Raises
    ------
    InputError
        If there are no images, some cannot be read, or the table does not fit them; with
        counts, for names of files can identify patients.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file or folder {path.name}", hint="Check the path.")
    beside, warnings = _table_beside(path, labels, table, image_column)
    prefix = prefix_of(path if path.is_dir() else path.parent, beside.place if beside else None)
    npz = _npz_of(path)
    if npz is not None:
        stack, tree, kind = open_npz(npz), _NO_TREE, "npz"
    else:
        stack, tree, kind, notes = _open_files(path, beside, prefix)
        warnings += notes
    source = _assembled(stack, tree, kind, beside, prefix, patient)
    return dataclasses.replace(source, warnings=(*warnings, *source.warnings))


def is_images(path: Path) -> bool:
    """Whether a place holds images: a folder of them, an .npz, DICOM or NIfTI file, a picture."""
    path = Path(path)
    if path.is_dir():
        return _npz_of(path) is not None or holds_images(path)
    if path.suffix.lower() == ".npz":
        return path.is_file() and holds_arrays(path)
    return path.is_file() and medium_of(path.name) is not None


def _npz_of(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() == ".npz" else None
    found = sorted(path.glob("*.npz"))
    alone = len(found) == 1 and not holds_images(path)
    return found[0] if alone and holds_arrays(found[0]) else None


def _table_beside(
    path: Path, labels: Path | None, table: pa.Table | None, column: str | None
) -> tuple[_Table | None, list[str]]:
    """Find the table: given, in a file of its own, the path itself, or in the folder."""
    is_table = path.is_file() and medium_of(path.name) is None and path.suffix.lower() != ".npz"
    if table is not None:
        where = path if path.is_file() else None
        return _Table(table, find_column(table, column) or "", where), []
    place = labels or (path if is_table else None)
    if place is None and path.is_dir():
        place = next((path / name for name in TABLES if (path / name).is_file()), None)
    if place is None:
        if column is not None:
            raise InputError(
                "a column of images is named, and there is no table",
                hint="Give the table with --labels.",
            )
        return None, []
    source = read(place)
    needed = labels is not None or is_table or column is not None
    found = find_column(source.table, column, needed=needed)
    if found is None:
        told = f"{place.name} has no column of images; it was not read (name it: --image-column)."
        return None, [told]
    return _Table(source.table, found, place), list(source.warnings)


def _open_files(
    path: Path, beside: _Table | None, prefix: str
) -> tuple[Stack, Arranged, Kind, list[str]]:
    root, warnings = path if path.is_dir() else path.parent, list[str]()
    found: dict[Medium, list[str]] = {}
    medium = medium_of(path.name)
    if path.is_dir():
        found, warnings = walk(path)
    elif medium is not None:
        found = {medium: [path.name]}
    elif beside is not None:
        found = _listed(root, beside)
    if not found:
        named = "names no image that is there" if path.is_file() else "holds 0 images"
        raise InputError(
            f"{path.name} {named}",
            hint="Known are .png, .jpg, .tif, .dcm and .nii files, and arrays in .npz.",
        )
    if len(found) > 1:
        told = ", ".join(f"{len(names)} {medium} files" for medium, names in sorted(found.items()))
        raise InputError(
            f"{path.name} holds images in several formats: {told}",
            hint="Give a folder for each format.",
        )
    ((medium, names),) = found.items()
    pairs = _paired(names, beside, prefix)
    stack = _OPEN[medium](root, pairs.names, pairs.masks)
    # A table that names the images says itself what they are.
    tree = _NO_TREE if path.is_file() else arranged(pairs.names, pairs.place)
    kind: Kind = medium if medium != "picture" else tree.kind
    tells = beside is not None and beside.table.num_columns > 1
    kind = "table" if kind == "folder" and tells else kind
    stack.traits["mask_place"] = pairs.place
    stack.traits["splits"] = "split" in tree.columns
    return stack, tree, kind, [*warnings, *pairs.warnings]


def _listed(root: Path, beside: _Table) -> dict[Medium, list[str]]:
    """Look up the files that a table names."""
    columns = [beside.column, mask_column(beside.table)]
    found: dict[Medium, list[str]] = {}
    for column in dict.fromkeys(x for x in columns if x is not None):
        for name in dict.fromkeys(names_in(beside.table, column, once=False)):
            medium = medium_of(name) if (root / name).is_file() else None
            if medium is not None:
                found.setdefault(medium, []).append(name)
    return found


def _paired(names: list[str], beside: _Table | None, prefix: str) -> Paired:
    """Tell masks from images: as the table says, or by their names."""
    column = None if beside is None else mask_column(beside.table)
    if beside is None or column is None:
        return paired(names)
    rows = places(names_in(beside.table, beside.column), names, prefix)
    masks = places(names_in(beside.table, column), names, prefix, "masks")
    images, marks = [names[row] for row in rows], [names[row] for row in masks]
    together = all(
        PurePosixPath(image).parent == PurePosixPath(mark).parent
        for image, mark in zip(images, marks, strict=True)
    )
    return Paired(images, [[mark] for mark in marks], "beside" if together else "folder", [])


def _assembled(
    stack: Stack,
    tree: Arranged,
    kind: Kind,
    beside: _Table | None,
    prefix: str,
    patient: str | None,
) -> ImageSource:
    """Put together what the format, the folders and the table tell of each image."""
    known = {name: [cells[i] for i in stack.files] for name, cells in tree.columns.items()}
    # A header names the person; a folder more than the one volume in it.
    known = {**known, **stack.columns} if kind == "dicom" else {**stack.columns, **known}
    known.pop(IMAGE, None)
    told = [*stack.warnings, *tree.warnings]
    if "label" in known and kind != "npz" and _each_one(known["label"], known.get(OWNER)):
        del known["label"]
        told = [*stack.warnings, "every sub-folder holds one patient; they are no classes."]
    rows, columns = np.arange(len(stack.names)), dict[str, Any]()
    if beside is not None:
        rows, chosen, left = _matched(stack, beside, prefix)
        told += left
        dropped = {beside.column, mask_column(beside.table)}
        columns = {x: chosen.column(x) for x in chosen.column_names if x not in dropped}
        if IMAGE in columns:
            raise InputError(
                f"the table has a column {IMAGE} besides that of the file names",
                hint="Rename it.",
            )
    owners = [name for name in columns if names_a_patient(name)]
    if owners or patient in columns:
        # Whose the images are is told, and need not be guessed by the folders.
        known.pop(OWNER, None)
        told = [each for each in told if each not in tree.warnings]
    records = pa.table(
        {
            IMAGE: pa.array([stack.names[row] for row in rows.tolist()], pa.string()),
            **{
                name: pa.array([cells[row] for row in rows.tolist()])
                for name, cells in known.items()
                if name not in columns
            },
            **columns,
        }
    )
    if patient is not None:
        check_column(records, patient, "--patient")
    found = [OWNER] if OWNER in records.column_names else owners
    patient = patient or (found[0] if len(found) == 1 else None)
    if patient is not None:
        check_patients(records.column(patient), patient)
    return ImageSource(
        records=records,
        layout=ImageLayout(
            kind=kind, image_column=IMAGE if beside is None else beside.column, **stack.traits
        ),
        patient=patient,
        warnings=tuple(told),
        load=stack.load,
        load_masks=stack.load_masks,
        rows=rows,
    )


def _each_one(labels: Sequence[Any], owners: Sequence[Any] | None) -> bool:
    """Whether every sub-folder holds one patient, so that its name may be his."""
    pairs = set(zip(labels, owners, strict=True)) if owners is not None else set()
    return bool(pairs) and len(pairs) == len({label for label, _ in pairs})


def _matched(
    stack: Stack, beside: _Table, prefix: str
) -> tuple[NDArray[np.int64], pa.Table, list[str]]:
    """Give the images that a table names, its rows beside them, and what was left out."""
    wanted = places(names_in(beside.table, beside.column), stack.sources, prefix)
    starts = np.searchsorted(stack.files, wanted, side="left")
    counts = np.searchsorted(stack.files, wanted, side="right") - starts
    before = np.cumsum(counts) - counts
    rows = np.arange(counts.sum()) + np.repeat(starts - before, counts)
    chosen = beside.table.take(pa.array(np.repeat(np.arange(len(wanted)), counts)))
    left = len(stack.sources) - len(wanted)
    return rows, chosen, [f"{left} images are not in the table; they were left out."] * (left > 0)
