"""Records, or patients, as points: distances between them mean the same in every column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.views import View

MOST_LEVELS = 60
FURTHEST = 10.0
CHUNK_CELLS = 20_000_000


class Scale(NamedTuple):
    """What turns values into coordinates: taken from one table, used for all.

    Attributes
    ----------
    middles, widths : ndarray of shape (D,)
        Median, and distance from the 1 % to the 99 % quantile, of numbers and dates.
    levels : tuple of ndarray
        The levels of each category that become coordinates; empty for the rest.
    """

    middles: NDArray[np.float64]
    widths: NDArray[np.float64]
    levels: tuple[NDArray[np.float64], ...]


def scale_of(reference: View, categorical: NDArray[np.bool_]) -> Scale:
    """Measure the widths and levels of a table."""
    middles, widths = np.zeros(len(categorical)), np.ones(len(categorical))
    levels = []
    for j, is_category in enumerate(categorical):
        values = reference.values[:, j]
        values = values[~np.isnan(values)]
        levels.append(np.unique(values)[:MOST_LEVELS] if is_category else np.empty(0))
        if len(values) and not is_category:
            low, middles[j], high = np.quantile(values, [0.01, 0.5, 0.99])
            widths[j] = high - low or 1.0
    return Scale(middles, widths, tuple(levels))


def embed(view: View, scale: Scale, categorical: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Turn records into points of shape (N, width).

    Two records that differ in one level lie sqrt(1/2) apart, as do those of which one is null;
    numbers count by their distance over the width of the column.
    """
    parts = []
    for j, is_category in enumerate(categorical):
        values = view.values[:, j]
        null = np.isnan(values)
        if is_category:
            parts.append((values[:, None] == scale.levels[j]) * np.float32(0.5))
            parts.append(null[:, None] * np.float32(0.5))
        else:
            near = np.clip((values - scale.middles[j]) / scale.widths[j], -FURTHEST, FURTHEST)
            parts.append(np.where(null, 0.0, near)[:, None])
            parts.append(null[:, None])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def by_patient(points: NDArray[np.float32], patients: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average the records of each patient, and add how many there are; (patients, width + 1)."""
    n = int(patients.max()) + 1
    order = np.argsort(patients, kind="stable")
    counts = np.bincount(patients, minlength=n)
    sums = np.add.reduceat(points[order], np.cumsum(counts) - counts, axis=0)
    means = sums / counts[:, None].astype(np.float32)
    return np.column_stack([means, np.log(counts)]).astype(np.float32)


class Neighbours(NamedTuple):
    """Distance to the nearest and second nearest point, and the index of the nearest; (n,)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    index: NDArray[np.int64]


def nearest(
    points: NDArray[np.float32], among: NDArray[np.float32], *, skip_self: bool = False
) -> Neighbours:
    """Find the two nearest of some points for each of others, in chunks of rows.

    Parameters
    ----------
    points : ndarray of shape (n, width)
        The points that look for neighbours.
    among : ndarray of shape (m, width), m >= 2
        Where they look.
    skip_self : bool
        Whether the two are the same points, and none is its own neighbour.
    """
    centre = among.mean(axis=0)
    a, b = points - centre, among - centre
    lengths = (b * b).sum(axis=1)
    step = max(1, CHUNK_CELLS // len(b))
    index = np.empty((len(a), 2), dtype=np.int64)
    for start in range(0, len(a), step):
        part = a[start : start + step]
        squares = lengths - 2 * (part @ b.T)
        rows = np.arange(len(part))
        if skip_self:
            squares[rows, start + rows] = np.inf
        for k in (0, 1):
            found = squares.argmin(axis=1)
            squares[rows, found] = np.inf
            index[start : start + step, k] = found
    # The product above rounds; what is reported is computed from the differences themselves.
    far = np.stack(
        [np.sqrt(((points - among[index[:, k]]).astype(np.float64) ** 2).sum(1)) for k in (0, 1)]
    )
    return Neighbours(far.min(axis=0), far.max(axis=0), index[:, 0])
