"""Shares of each column's values over bins or levels, with small counts left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.coverage import patients_a_cell, patients_a_level
from synthehr.evaluation.results import SMALLEST, Histogram
from synthehr.evaluation.views import Compared, View, Views

BINS = 30
MOST_LEVELS = 20
OTHER = "(other levels)"


def histograms(views: Views) -> tuple[Histogram, ...]:
    """Make one histogram a column; columns with fewer than 20 real patients are left out."""
    made = []
    for j, column in enumerate(views.columns):
        find = _of_category if column.kind == "category" else _of_number
        histogram = find(views, j, column)
        if histogram is not None:
            made.append(histogram)
    return tuple(made)


def _of_category(views: Views, j: int, column: Compared) -> Histogram | None:
    patients = patients_a_level(views.real.values[:, j], views.real.patients)
    shown = np.flatnonzero(patients >= SMALLEST)[:MOST_LEVELS]
    if not len(shown):
        return None
    place = np.full(len(column.levels) + 1, len(shown))
    place[shown] = np.arange(len(shown))
    cells = []
    for view in _tables(views):
        codes = view.values[:, j]
        known = ~np.isnan(codes)
        cells.append((place[codes[known].astype(np.int64)], view.patients[known]))
    others = any((cell == len(shown)).any() for cell, _ in cells)
    labels = [column.levels[code] for code in shown] + [OTHER] * others
    return _histogram(column, (), tuple(labels), cells, len(labels))


def _of_number(views: Views, j: int, column: Compared) -> Histogram | None:
    values = views.real.values[:, j]
    ends = _outermost(values, views.real.patients)
    if ends is None:
        return None
    edges = _edges(values, *ends)
    cells = []
    for view in _tables(views):
        numbers = view.values[:, j]
        known = ~np.isnan(numbers)
        place = np.searchsorted(edges[1:-1], numbers[known], side="right")
        cells.append((place, view.patients[known]))
    return _histogram(column, tuple(float(e) for e in edges), (), cells, len(edges) - 1)


def _tables(views: Views) -> list[View]:
    tables = [views.real, views.synthetic]
    return tables if views.holdout is None else [*tables, views.holdout]


def _outermost(
    values: NDArray[np.float64], patients: NDArray[np.int64]
) -> tuple[float, float] | None:
    """Values that `SMALLEST` patients reach at either end; None with too few patients."""
    known = ~np.isnan(values)
    n = int(patients.max(initial=-1)) + 1
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, patients[known], values[known])
    np.maximum.at(high, patients[known], values[known])
    low, high = low[np.isfinite(low)], high[np.isfinite(high)]
    if len(low) < 2 * SMALLEST:
        return None
    return float(np.sort(low)[SMALLEST - 1]), float(np.sort(high)[-SMALLEST])


def _edges(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Bins of equal width, one a value for whole numbers that take few."""
    inner = np.nanquantile(values, [0.005, 0.995])
    if inner[1] > inner[0]:
        low, high = max(low, inner[0]), min(high, inner[1])
    if low >= high:
        low, high = min(low, high), max(low, high)
        return np.array([low - 0.5, high + 0.5])
    inside = values[(values >= low) & (values <= high)]
    if high - low >= 2 and (inside == np.round(inside)).all():
        # Bins as wide as a whole number: otherwise some hold one number more than others.
        step = np.ceil((high - low + 1) / BINS)
        return np.arange(np.floor(low), high + step + 1, step) - 0.5
    return np.linspace(low, high, BINS + 1)


def _histogram(
    column: Compared,
    edges: tuple[float, ...],
    labels: tuple[str, ...],
    cells: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    size: int,
) -> Histogram:
    shares = []
    for which, (place, patients) in enumerate(cells):
        counts = np.bincount(place, minlength=size).astype(np.float64)
        part = counts / max(1.0, counts.sum())
        if which != 1:
            part[patients_a_cell(place, patients, size) < SMALLEST] = np.nan
        shares.append(tuple(float(share) for share in part))
    holdout = shares[2] if len(shares) > 2 else ()
    return Histogram(column.name, column.kind, edges, labels, shares[0], shares[1], holdout)
