"""Records, or patients, as points: distances between them mean the same in every column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.views import View

MOST_LEVELS = 60
FURTHEST = 10.0
CHUNK_CELLS = 2_000_000
"""Distances held at a time: about what a processor's cache holds."""


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


def spans_of(scale: Scale, categorical: NDArray[np.bool_]) -> list[slice]:
    """Say which coordinates of `embed` belong to each column."""
    widths = [
        len(levels) + 1 if is_category else 2
        for levels, is_category in zip(scale.levels, categorical, strict=True)
    ]
    ends = np.cumsum(widths).tolist()
    return [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]


class Closest(NamedTuple):
    """The k nearest points of each of n, nearest first.

    Attributes
    ----------
    distances : ndarray of shape (n, k)
        Euclidean distances.
    indices : ndarray of shape (n, k), int64
        Which points they are.
    within : ndarray of shape (n,), int64
        How many points lie within the radius that was asked for; zeros without one.
    """

    distances: NDArray[np.float64]
    indices: NDArray[np.int64]
    within: NDArray[np.int64]


def closest(
    points: NDArray[np.float32],
    among: NDArray[np.float32],
    k: int,
    *,
    radius: NDArray[np.float64] | None = None,
    skip_self: bool = False,
) -> Closest:
    """Find the k nearest of some points for each of others, in chunks of rows.

    Parameters
    ----------
    points : ndarray of shape (n, width)
        The points that look for neighbours.
    among : ndarray of shape (m, width), m >= k (m > k with `skip_self`)
        Where they look.
    k : int
        How many; a pass over all distances each, so a few.
    radius : ndarray of shape (n,), optional
        Count the points within this distance, too.
    skip_self : bool
        Whether `among` begins with `points`, and none is its own neighbour.
    """
    centre = among.mean(axis=0)
    a, b = points - centre, among - centre
    lengths = (b * b).sum(axis=1)
    step = max(1, CHUNK_CELLS // len(b))
    index = np.empty((len(a), k), dtype=np.int64)
    within = np.zeros(len(a), dtype=np.int64)
    for start in range(0, len(a), step):
        part = a[start : start + step]
        squares = part @ b.T
        squares *= -2
        squares += lengths
        rows = np.arange(len(part))
        if skip_self:
            squares[rows, start + rows] = np.inf
        if radius is not None:
            reach = radius[start : start + step] ** 2 - (part.astype(np.float64) ** 2).sum(axis=1)
            within[start : start + step] = (squares <= reach[:, None].astype(np.float32)).sum(1)
        for place in range(k):
            found = squares.argmin(axis=1)
            squares[rows, found] = np.inf
            index[start : start + step, place] = found
    # The product above rounds; what is reported is computed from the differences themselves.
    far = np.stack(
        [np.sqrt(((points - among[i]).astype(np.float64) ** 2).sum(1)) for i in index.T], axis=1
    )
    order = np.argsort(far, axis=1, kind="stable")
    return Closest(
        np.take_along_axis(far, order, axis=1), np.take_along_axis(index, order, axis=1), within
    )


class Neighbours(NamedTuple):
    """Distance to the nearest and second nearest point, and the index of the nearest; (n,)."""

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    index: NDArray[np.int64]


def nearest(
    points: NDArray[np.float32], among: NDArray[np.float32], *, skip_self: bool = False
) -> Neighbours:
    """Find the two nearest points; parameters as in `closest`."""
    found = closest(points, among, 2, skip_self=skip_self)
    return Neighbours(found.distances[:, 0], found.distances[:, 1], found.indices[:, 0])
