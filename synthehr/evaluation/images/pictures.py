"""Images to look at: samples of each class, and neighbours."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.images.features import Features
from synthehr.evaluation.images.manifold import squares
from synthehr.evaluation.images.memorisation import Memorised
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.results import Sheet
from synthehr.evaluation.images.sides import Sides

COLUMNS = 12
ROWS = 4
"""Rows of a sheet without classes."""
MOST_CLASSES = 10
NEIGHBOURS = 3
GAP = 2
"""Pixels between images."""


def samples(sides: Sides, names: tuple[str, ...]) -> tuple[Sheet, Sheet]:
    """Draw synthetic and training images at random, class by class, under these names."""
    return (
        _sample(sides.synthetic, "Synthetic images", names, False, sides.rng("sheet")),
        _sample(sides.trained, "Training images", names, True, sides.rng("sheet")),
    )


def _sample(
    images: ImageRecords, name: str, names: tuple[str, ...], real: bool, rng: np.random.Generator
) -> Sheet:
    captions, rows = [], []
    if images.labels is None:
        chosen = rng.permutation(len(images))[: ROWS * COLUMNS]
        rows = [chosen[k : k + COLUMNS] for k in range(0, len(chosen), COLUMNS)]
    else:
        for label in np.unique(images.labels)[:MOST_CLASSES]:
            captions.append(names[label] if label < len(names) else f"class {label}")
            rows.append(rng.permutation(np.flatnonzero(images.labels == label))[:COLUMNS])
    return Sheet(name, tuple(captions), tuple(images.unit(each) for each in rows), real)


def neighbours(sides: Sides, features: Features, synthetic: ImageRecords) -> Sheet:
    """Show synthetic images, each beside the synthetic ones that are most alike."""
    points = features(synthetic)
    chosen = sides.rng("neighbours").permutation(len(points))[: ROWS * 3]
    far = squares(points[chosen], points)
    far[np.arange(len(chosen)), chosen] = np.inf
    near = np.argsort(far, axis=1, kind="stable")[:, :NEIGHBOURS]
    return Sheet(
        "Synthetic images, each with its nearest synthetic ones",
        (),
        _in_rows(synthetic, chosen, synthetic, near),
        False,
    )


def walks(images: NDArray[np.float32]) -> Sheet:
    """Show drawn images and what lies between them, (n, steps, C, H, W) from 0 to 1."""
    return Sheet("From one synthetic image to another, by the model", (), tuple(images), False)


def suspects(sides: Sides, found: Memorised, synthetic: ImageRecords) -> Sheet:
    """Show the synthetic images nearest to a training image, each beside it."""
    chosen = np.argsort(found.distances, kind="stable")[: ROWS * 6]
    return Sheet(
        "Synthetic images nearest to a training image, each beside it",
        (),
        _in_rows(synthetic, chosen, sides.trained, found.nearest[chosen, None]),
        True,
    )


def _in_rows(
    images: ImageRecords, chosen: NDArray[np.int64], others: ImageRecords, near: NDArray[np.int64]
) -> tuple[NDArray[np.float32], ...]:
    """Put each image before its neighbours, groups beside one another."""
    groups = [
        np.concatenate([images.unit(chosen[k : k + 1]), others.unit(near[k])])
        for k in range(len(chosen))
    ]
    many = max(1, COLUMNS // (near.shape[1] + 1))
    return tuple(np.concatenate(groups[k : k + many]) for k in range(0, len(groups), many))


def strip_of(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Put images (n, C, H, W) beside one another; shape (H, width) or (H, width, 3)."""
    levels = (np.clip(images, 0, 1) * 255).round().astype(np.uint8)
    padded = np.pad(levels, ((0, 0), (0, 0), (0, 0), (0, GAP)), constant_values=255)
    row = np.concatenate(list(padded), axis=2)[:, :, :-GAP]
    return row.transpose(1, 2, 0) if len(row) == 3 else row[0]


def png(pixels: NDArray[np.uint8]) -> str:
    """Write a grey or colour picture as the address of an embedded PNG."""
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format="PNG", optimize=False)
    return "data:image/png;base64," + base64.b64encode(target.getvalue()).decode()
