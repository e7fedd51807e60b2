"""The sets of images of the suite, as the package reads them, with what stays unseen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.evaluation.images.records import ImageRecords
from synthehr.io.images import ImageLayout, ImageSource
from synthehr.schema.table import Schema

GOOD_CLASSES = ("BreastMRI", "CXR", "Hand", "HeadCT")
"""Classes of medical_mnist64 that are windowed well at their source."""
UNSEEN = 0.25
"""Share of the patients, or of the images, that no model sees."""


class ImageSet(NamedTuple):
    """Images to learn from and images that stay unseen."""

    fitted: ImageSource
    unseen: ImageSource


def image_set(name: str, root: Path) -> ImageSet:
    """Load a set by its name; `root` is the folder of the data sets."""
    if name == "pneumoniamnist":
        parts = [_arrays(root / name / part) for part in ("train", "val", "test")]
        fitted = {key: np.concatenate([part[key] for part in parts[:2]]) for key in ARRAYS}
        return ImageSet(_source(fitted, _names(parts[0])), _source(parts[2], _names(parts[0])))
    arrays = _arrays(root / name)
    names = _names(arrays)
    if name == "medical_mnist64":
        arrays = _some(arrays, np.isin(np.array(names)[arrays["labels"].ravel()], GOOD_CLASSES))
    elif name in ("hippocampus64", "nuclei64"):
        arrays = _some(arrays, np.asarray(arrays["masks"].any(axis=(1, 2))))
    aside = _aside(arrays)
    return ImageSet(*(_source(_some(arrays, side), names) for side in (~aside, aside)))


def _some(arrays: dict[str, NDArray[Any]], kept: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Keep some images, (N,) bool, in all arrays that have one entry an image."""
    return {name: a[kept] if len(a) == len(kept) else a for name, a in arrays.items()}


ARRAYS = ("images", "labels")


def _arrays(folder: Path) -> dict[str, NDArray[Any]]:
    with np.load(folder / "images.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def _names(arrays: dict[str, NDArray[Any]]) -> tuple[str, ...]:
    return tuple(str(name) for name in arrays.get("class_names", ()))


def _aside(arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Choose whose images stay unseen: whole patients where they are known."""
    rng = np.random.default_rng(0)
    who = arrays.get("ids", np.arange(len(arrays["images"])))
    everyone = np.unique(who)
    chosen = rng.permutation(everyone)[: round(UNSEEN * len(everyone))]
    return np.isin(who, chosen)


def _source(arrays: dict[str, NDArray[Any]], names: Sequence[str]) -> ImageSource:
    """Give arrays as the package's own reader would, from memory."""
    images, masks = arrays["images"], arrays.get("masks")
    columns: dict[str, Any] = {"image": [f"{i:06d}.png" for i in range(len(images))]}
    if masks is None and "labels" in arrays:
        columns["label"] = [names[label] for label in arrays["labels"].ravel()]
    patient = None
    if "ids" in arrays:
        patient = "patient"
        columns[patient] = arrays["ids"].tolist()
    layout = ImageLayout(
        kind="npz",
        suffix=".npz",
        dtype="uint8",
        bits=8,
        channels=1,
        height=images.shape[1],
        width=images.shape[2],
        mask_place="" if masks is None else "array",
        classes=tuple(names),
    )

    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        return iter(images[rows][:, None])

    def load_masks(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        assert masks is not None
        return iter(masks[rows])

    return ImageSource(
        records=pa.table(columns),
        layout=layout,
        patient=patient,
        load=load,
        load_masks=None if masks is None else load_masks,
        rows=np.arange(len(images)),
    )


def records_of(source: ImageSource) -> ImageRecords:
    """Give the images of a source to the evaluation."""
    masks = source.masks()
    labels, names = labels_of(source.records)
    who = source.records[source.patient] if source.patient else None
    return ImageRecords(
        pixels=np.stack(list(source.images())),
        labels=labels,
        class_names=names,
        patients=None if who is None else np.array(who.to_pylist()),
        masks=None if masks is None else np.stack(list(masks)).astype(np.int64),
    )


def declared(source: ImageSource) -> Schema:
    """Declare the classes in public, as a data owner would."""
    _, names = labels_of(source.records)
    columns = [{"name": "label", "kind": "categorical", "levels": list(names)}] if names else []
    return Schema.from_json({"format": "synthehr schema", "version": 1, "columns": columns})


def labels_of(records: pa.Table) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Take the labels of records as numbers, in the order of their names."""
    if "label" not in records.column_names:
        return None, ()
    names, labels = np.unique(np.array(records["label"].to_pylist()), return_inverse=True)
    return labels.astype(np.int64), tuple(str(name) for name in names)


def some_of(source: ImageSource, n: int) -> ImageSource:
    """Keep n images, or all where there are no more."""
    chosen = np.zeros(len(source), dtype=bool)
    chosen[np.random.default_rng(0).permutation(len(source))[:n]] = True
    return source.take(chosen)


def of_class(source: ImageSource, label: str) -> ImageSource:
    """Keep the images of one class, without the column of labels."""
    held = np.array([name == label for name in source.records["label"].to_pylist()])
    kept = source.take(held)
    return replace(kept, records=kept.records.drop_columns(["label"]))
