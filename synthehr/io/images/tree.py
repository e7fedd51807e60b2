"""What a folder of images says by the names of its files and sub-folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from synthehr.errors import InputError

Medium = Literal["picture", "dicom", "nifti"]

_SUFFIXES: dict[str, Medium] = {
    ".png": "picture", ".jpg": "picture", ".jpeg": "picture", ".tif": "picture",
    ".tiff": "picture", ".dcm": "dicom", ".dicom": "dicom", ".ima": "dicom", ".nii": "nifti",
}  # fmt: skip
_NOT_READ = {".bmp", ".gif", ".webp", ".svs", ".ndpi", ".mha", ".mhd", ".nrrd", ".jp2", ".heic"}
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val",
           "validation": "val", "dev": "val", "test": "test", "testing": "test"}  # fmt: skip
_DOMAIN = re.compile(r"(train|val|test)?_?([AB])")
_IMAGE_FOLDERS = {"images", "image", "imgs", "img", "imagestr", "imagests"}
_MASK_FOLDERS = {"masks", "mask", "labels", "labelstr", "labelsts", "segmentations"}
_MASK = re.compile(r"(.+)[_-](mask|seg|segmentation)(_\d+)?")
# Folders of patients, which must not become classes.
_PATIENT = re.compile(
    r"((sub|subj|subject|pat|patient|pt|p|case|id|mrn|study)[ _-]*\d+|\d{3,})", re.IGNORECASE
)
_MOST_CLASSES = 100
_LOOKED_AT = 5_000


class Arranged(NamedTuple):
    """What folders say of N images.

    Attributes
    ----------
    kind : {"folder", "classes", "masks", "domains"}
        The layout.
    columns : dict from text to list of N
        "split", "label", "domain", "patient", where they are known.
    warnings : list of str
        What was guessed.
    """

    kind: Literal["folder", "classes", "masks", "domains"]
    columns: dict[str, list[str] | list[int]]
    warnings: list[str]


class Paired(NamedTuple):
    """Images, and the files that hold the mask of each."""

    names: list[str]
    masks: list[list[str]] | None
    place: str
    warnings: list[str]


def walk(root: Path) -> tuple[dict[Medium, list[str]], list[str]]:
    """List the images of a folder and its sub-folders, by their format.

    Returns
    -------
    found : dict from medium to list of str
        Names relative to the folder, in alphabetical order.
    warnings : list of str
        What was left out.
    """
    found: dict[Medium, list[str]] = {}
    unread = 0
    for name in _files(root):
        medium = _medium(root, name)
        if medium is not None:
            found.setdefault(medium, []).append(name)
        unread += PurePosixPath(name).suffix.lower() in _NOT_READ
    warnings = [f"{unread} images in formats that are not read were left out."] if unread else []
    return {medium: sorted(names) for medium, names in found.items()}, warnings


def holds_images(root: Path) -> bool:
    """Look whether there is an image among the first files of a folder."""
    return any(_medium(root, name) for name in islice(_files(root), _LOOKED_AT))


def medium_of(name: str) -> Medium | None:
    """Tell the format by the suffix."""
    lower = name.lower().removesuffix(".gz")
    if name.lower().endswith(".gz") and not lower.endswith(".nii"):
        return None
    return _SUFFIXES.get(PurePosixPath(lower).suffix)


def stem_of(name: str) -> str:
    """Give the last part of a name without its suffix."""
    return PurePosixPath(re.sub(r"(?i)\.nii\.gz$", ".nii", name)).stem


def paired(names: list[str]) -> Paired:
    """Tell masks from images: masks/x.png for images/x.png, or x_mask.png beside x.png.

    Raises
    ------
    InputError
        If some images have a mask and others have none, or two have the same name.
    """
    found: dict[tuple[tuple[str, ...], str], list[str]] = {}
    aside: dict[tuple[tuple[str, ...], str], list[str]] = {}
    in_folder = set()
    for name in names:
        folders, stem = PurePosixPath(name).parent.parts, stem_of(name)
        bare = tuple(x for x in folders if x.lower() not in _IMAGE_FOLDERS | _MASK_FOLDERS)
        named = _MASK.fullmatch(stem)
        if any(x.lower() in _MASK_FOLDERS for x in folders):
            in_folder.add(name)
            aside.setdefault((bare, named[1] if named else stem), []).append(name)
        elif named:
            aside.setdefault((bare, named[1]), []).append(name)
        else:
            found.setdefault((bare, stem), []).append(name)
    # Channels of nnU-Net end in _0000, and their masks do not.
    for key in [key for key in found if key not in aside and key[1].endswith("_0000")]:
        if (bare := (key[0], key[1].removesuffix("_0000"))) in aside:
            found[bare] = found.pop(key)
    matched = {key for key in aside if key in found}
    if not matched:
        return Paired(names, None, "", [])
    if double := sum(len(found[key]) - 1 for key in matched):
        raise InputError(
            f"{double} images with a mask have the same name as another, but for the suffix",
            hint="Give every image a name of its own.",
        )
    if lacking := sum(len(images) for key, images in found.items() if key not in matched):
        raise InputError(
            f"{lacking} of {sum(map(len, found.values()))} images have no mask",
            hint="Give each a mask of its name (an empty one where there is nothing), or remove "
            "all masks.",
        )
    orphans = sum(len(files) for key, files in aside.items() if key not in matched)
    warnings = [f"{orphans} masks belong to no image; they were left out."] if orphans else []
    pairs = sorted((found[key][0], sorted(aside[key])) for key in matched)
    place = "folder" if any(mask in in_folder for _, masks in pairs for mask in masks) else "beside"
    return Paired([name for name, _ in pairs], [masks for _, masks in pairs], place, warnings)


def arranged(names: Sequence[str], mask_place: str) -> Arranged:
    """Read splits, classes, domains or patients from the sub-folders of images."""
    folders = [
        tuple(x for x in PurePosixPath(name).parent.parts if x.lower() not in _IMAGE_FOLDERS)
        for name in names
    ]
    kind = "masks" if mask_place == "folder" else "folder"
    domains = [_DOMAIN.fullmatch(parts[0]) if parts else None for parts in folders]
    if all(domains) and len({match[2] for match in domains if match}) == 2:
        matches = [match for match in domains if match]
        columns: dict[str, list[str] | list[int]] = {"domain": [match[2] for match in matches]}
        if all(match[1] for match in matches):
            columns = {"split": [match[1] for match in matches], **columns}
        return Arranged("domains", columns, [])
    columns = {}
    if all(parts and parts[0].lower() in _SPLITS for parts in folders):
        columns["split"] = [_SPLITS[parts[0].lower()] for parts in folders]
        folders = [parts[1:] for parts in folders]
    groups = [parts[0] if parts else "" for parts in folders]
    distinct = sorted(set(groups))
    if "" in distinct or len(distinct) < 2:
        return Arranged(kind, columns, [])
    named = sum(_PATIENT.fullmatch(name) is not None for name in distinct)
    if named > len(distinct) / 2 or len(distinct) > _MOST_CLASSES:
        numbers = {name: number for number, name in enumerate(distinct)}
        columns["patient"] = [numbers[group] for group in groups]
        told = f"the {len(distinct)} sub-folders look like patients; each was taken as one."
        return Arranged(kind, columns, [told])
    columns["label"] = groups
    told = (
        f"the {len(distinct)} sub-folders were taken as classes (column label); where they are "
        "patients, give a table with a column of patients instead."
    )
    return Arranged("classes", columns, [told])


def _files(root: Path) -> Iterator[str]:
    for folder, below, files in os.walk(root):
        below[:] = sorted(x for x in below if not x.startswith(".") and x != "__MACOSX")
        place = Path(folder).relative_to(root)
        for name in files:
            if not name.startswith("."):
                yield (place / name).as_posix()


def _medium(root: Path, name: str) -> Medium | None:
    suffix = PurePosixPath(name).suffix
    # DICOM files are often called by their UID, which ends in a number.
    if suffix and not suffix[1:].isdigit():
        return medium_of(name)
    return "dicom" if _is_dicom(root / name) else None


def _is_dicom(path: Path) -> bool:
    if path.name.upper() == "DICOMDIR":
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
