"""Drawn scans whose truth is known: no body was ever in front of a camera.

A scan is a bright oval with two darker ones inside, as of a chest, in noise. One third of them
have a bright spot in one of the dark ovals: their label is "lesion", and their mask shows where.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.io.images import ImageLayout, ImageSource, write_images

LESION_SHARE = 1 / 3
LABELS = ("clear", "lesion")


def simulate_scans(n: int, seed: int, *, size: int = 32, masks: bool = False) -> ImageSource:
    """Draw scans with their labels.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Equal seeds give equal scans.
    size : int
        Height and width in pixels.
    masks : bool
        Whether masks of the spots belong to them.

    Returns
    -------
    ImageSource
        Grey images of 8 bits; columns ``label`` and ``patient`` (two scans each).
    """
    pixels, spots, labels = draw_scans(n, seed, size)
    names = [f"{i:06d}.png" for i in range(n)]
    records = pa.table(
        {
            "image": names,
            "label": [LABELS[label] for label in labels],
            "patient": [f"P{i // 2:05d}" for i in range(n)],
        }
    )
    layout = ImageLayout(
        kind="classes",
        suffix=".png",
        dtype="uint8",
        bits=8,
        channels=1,
        height=size,
        width=size,
        mask_place="folder" if masks else "",
    )

    def load(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        return iter(pixels[rows][:, None])

    def load_masks(rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
        return iter(spots[rows])

    return ImageSource(
        records=records,
        layout=layout,
        patient="patient",
        load=load,
        load_masks=load_masks if masks else None,
        rows=np.arange(n),
    )


def write_scans(folder: Path, n: int, seed: int, *, force: bool = False) -> None:
    """Draw scans, and write them to class folders with a table of records."""
    scans = simulate_scans(n, seed)
    pixels = np.stack(list(scans.images()))
    write_images(folder, pixels, scans.records, scans.layout, force=force)


def draw_scans(
    n: int, seed: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Draw scans (n, size, size), where their spots are, likewise, and their labels (n,)."""
    rng = np.random.default_rng(seed)
    place = (np.arange(size) + 0.5) / size - 0.5
    rows, columns = place[:, None], place
    shape = rng.normal(1.0, 0.08, (n, 4, 1, 1))
    shift = rng.normal(0.0, 0.02, (n, 2, 1, 1))

    def oval(down: Any, across: Any, tall: Any, wide: Any) -> NDArray[np.float64]:
        distance = ((rows - down) / tall) ** 2 + ((columns - across) / wide) ** 2
        return 1 / (1 + np.exp(np.clip(12 * (distance - 1), -50, 50)))

    scans = 0.7 * oval(shift[:, 0], shift[:, 1], 0.42 * shape[:, 0], 0.40 * shape[:, 1])
    sides = rng.choice([-1.0, 1.0], (n, 1, 1))
    for side in (-1.0, 1.0):
        across = shift[:, 1] + side * 0.17
        scans -= 0.5 * oval(shift[:, 0], across, 0.28 * shape[:, 2], 0.12 * shape[:, 3])
    labels = (rng.random(n) < LESION_SHARE).astype(np.int64)
    down = shift[:, 0] + rng.uniform(-0.12, 0.12, (n, 1, 1))
    radius = rng.uniform(0.06, 0.09, (n, 1, 1))
    spots = oval(down, shift[:, 1] + sides * 0.17, radius, radius) * labels[:, None, None]
    scans += 0.55 * spots + rng.normal(0.0, 0.03, scans.shape)
    pixels = np.rint(255 * scans.clip(0, 1)).astype(np.uint8)
    return pixels, (spots > 0.5).astype(np.uint8), labels
