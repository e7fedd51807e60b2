"""Drawn images that are nobody's: ellipses, some with a bright lesion; labels and masks known."""

from __future__ import annotations

import numpy as np

from synthehr.evaluation.images.records import ImageRecords


def phantoms(n: int, seed: int, *, side: int = 16, per_patient: int = 1) -> ImageRecords:
    """Draw n ellipses on a dark ground; every second patient's has a lesion, masked with 1."""
    rng = np.random.default_rng(seed)
    who = np.arange(n) // per_patient
    labels = (who % 2).astype(np.int64)
    rows, columns = np.mgrid[:side, :side] / side
    body = rng.uniform([0.44, 0.44, 0.28, 0.20], [0.56, 0.56, 0.40, 0.32], (n, 4))
    inside = _ellipse(rows, columns, body)
    angle, reach = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.1, 0.4, n)
    size = rng.uniform(0.09, 0.13, n)
    spot = np.stack([
        body[:, 0] + reach * body[:, 2] * np.sin(angle),
        body[:, 1] + reach * body[:, 3] * np.cos(angle),
        size, size,
    ], axis=1)  # fmt: skip
    lesion = _ellipse(rows, columns, spot) & (labels == 1)[:, None, None]
    shades = rng.uniform(0.35, 0.55, (n, 1, 1))
    pixels = 0.08 + inside * shades + lesion * 0.3 + rng.normal(0, 0.02, (n, side, side))
    return ImageRecords(
        pixels=np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)[:, None],
        labels=labels,
        class_names=("well", "lesion"),
        patients=np.array([f"{seed}-{k}" for k in who]) if per_patient > 1 else None,
        masks=lesion.astype(np.int64),
    )


def _ellipse(rows: np.ndarray, columns: np.ndarray, shape: np.ndarray) -> np.ndarray:
    y, x, high, wide = (part[:, None, None] for part in shape.T)
    return ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1
