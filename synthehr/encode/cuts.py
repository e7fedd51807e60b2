"""Where a numeric column is cut into bins and parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.config import EncodeConfig
from synthehr.encode.grid import rounded
from synthehr.encode.rare import count_patients, holders

MOST_OF_MEDIAN = 5.0
DIGITS = 2
SCALE = 16.0
"""Distances of the largest floats are beyond the largest float; a sixteenth of them is not."""


class Cuts(NamedTuple):
    """Parts of a column, and the bins they make up.

    Attributes
    ----------
    edges : ndarray of shape (P + 1,), float64
        Ends of the parts, ascending; none is a value that a patient holds, save where
        enough patients hold it.
    starts : ndarray of shape (B + 1,), int64
        First part of each bin, and P.
    single : ndarray of shape (P,), int64
        The only place within each part, where there is one that enough patients hold; else -1.
    """

    edges: NDArray[np.float64]
    starts: NDArray[np.int64]
    single: NDArray[np.int64]


def cut(
    places: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    *,
    gridded: bool,
    has_atoms: bool,
    limits: tuple[float, float],
    times: bool,
    config: EncodeConfig,
) -> Cuts | None:
    """Cut at quantiles so that enough patients hold every part; None where too few are there.

    Parameters
    ----------
    places : ndarray of shape (U,)
        Distinct values, ascending: grid indices, or values of a column without a grid.
    groups : ndarray of shape (N,)
        Which of them each record holds.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    gridded : bool
        Whether places are grid indices, so that edges lie on half indices.
    has_atoms : bool
        Whether few records may go to the column's atoms instead.
    limits : tuple of float
        Between which places the outermost edges lie.
    times : bool
        Whether places are points in time, where nothing may lie beyond the last one.
    config : EncodeConfig
        Limits.
    """
    k = config.rare_patients
    total = len(groups) if patients is None else count_patients(patients)
    if total < (2 * k if has_atoms else k):
        return None
    counts = np.bincount(groups, minlength=len(places))
    if total < 2 * k:
        return _one_part(places, groups, patients, gridded, limits, times)
    between = _between(places, gridded)
    inner = np.union1d(
        _quantile_cuts(counts, between, total, config),
        _tail_cuts(counts, between, groups, patients, k),
    )
    inner = _merge(inner, groups, len(places), patients, k)
    if not len(inner):
        return _one_part(places, groups, patients, gridded, limits, times)
    inside = between[inner - 1]
    ends = []
    for cut_place, beyond in ((inside[0], groups < inner[0]), (inside[-1], groups >= inner[-1])):
        owners = None if patients is None else patients[beyond]
        distances = places[groups[beyond]] / SCALE - cut_place / SCALE
        reach = np.sign(distances[0]) * _reach(np.abs(distances), owners, times)
        ends.append(_end(cut_place, reach, places, gridded, limits))
    edges = np.concatenate([ends[:1], inside, ends[1:]])
    n_parts = len(edges) - 1
    bins = min(config.bins, max(1, (n_parts + 1) // 2))
    width = min(config.parts, -(-n_parts // bins))
    starts = np.append(np.arange(0, n_parts, width), n_parts)
    bounds = np.concatenate([[0], inner, [len(places)]])
    single = np.where(np.diff(bounds) == 1, bounds[:-1], -1)
    return Cuts(edges, starts, single)


def _one_part(
    places: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    gridded: bool,
    limits: tuple[float, float],
    times: bool,
) -> Cuts:
    """Lay one part around the mean of the middle half, which is no one's value."""
    ordered = np.sort(places[groups])
    quarter = len(ordered) // 4
    middle = float((ordered[quarter : len(ordered) - quarter] / SCALE).mean()) * SCALE
    reach = _reach(np.abs(places[groups] / SCALE - middle / SCALE), patients, times)
    middle = np.rint(middle) if gridded else middle
    ends = [_end(middle, sign * reach, places, gridded, limits) for sign in (-1, 1)]
    return Cuts(np.array(ends), np.array([0, 1]), np.array([-1]))


def _between(places: NDArray[np.float64], gridded: bool) -> NDArray[np.float64]:
    """Place an edge between each two neighbours, NaN where there is no room; shape (U - 1,)."""
    left, right = places[:-1], places[1:]
    if gridded:
        return left + np.floor((right - left - 1) / 2) + 0.5
    middle = left / 2 + right / 2
    return np.where((left < middle) & (middle < right), middle, np.nan)


def _quantile_cuts(
    counts: NDArray[np.int64], between: NDArray[np.float64], total: int, config: EncodeConfig
) -> NDArray[np.int64]:
    """Choose after how many distinct values to cut, at about equal counts of records."""
    k = config.rare_patients
    bins = min(config.bins, max(1, total // (2 * k)))
    # The two tails are cut off besides.
    parts = max(1, bins * min(config.parts, max(1, total // k // bins)) - 2)
    reached = np.cumsum(counts)
    targets = reached[-1] * np.arange(1, parts) / parts
    after = np.searchsorted(reached, targets) + 1
    before = np.concatenate([[0], reached])[after - 1]
    nearer = targets - before < reached[after - 1] - targets
    chosen = np.unique(after - nearer)
    chosen = chosen[(chosen > 0) & (chosen < len(counts))]
    return chosen[~np.isnan(between[chosen - 1])]


def _merge(
    cuts: NDArray[np.int64],
    groups: NDArray[np.int64],
    n_places: int,
    patients: NDArray[np.int64] | None,
    k: int,
) -> NDArray[np.int64]:
    """Drop cuts until every part is held by at least k patients."""
    while len(cuts):
        part = np.searchsorted(cuts, np.arange(n_places), side="right")
        held = holders(part[groups], len(cuts) + 1, patients)
        if held.min() >= k:
            break
        # NOTE: patients of several parts count several times here, hence the loop.
        full, running = [], 0
        for index, count in enumerate(held.tolist()):
            running += count
            if running >= k:
                full.append(index)
                running = 0
        cuts = cuts[full[:-1]]
    return cuts


def _tail_cuts(
    counts: NDArray[np.int64],
    between: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    k: int,
) -> NDArray[np.int64]:
    """Cut off the k lowest and the k highest patients."""
    if patients is None:
        reached = np.cumsum(counts)
        low = int(np.searchsorted(reached, k))
        high = int(np.searchsorted(reached, reached[-1] - k, side="right"))
    else:
        n_patients = int(patients.max()) + 1
        first, last = np.full(n_patients, len(counts)), np.full(n_patients, -1)
        np.minimum.at(first, patients, groups)
        np.maximum.at(last, patients, groups)
        present = last >= 0
        low, high = int(np.sort(first[present])[k - 1]), int(np.sort(last[present])[-k])
    cuts = np.array([low + 1, high])
    cuts = cuts[(cuts > 0) & (cuts < len(counts))]
    return cuts[~np.isnan(between[cuts - 1])]


def _reach(
    distances: NDArray[np.float64], patients: NDArray[np.int64] | None, times: bool
) -> float:
    """Say how far an outermost part reaches, by the mean distance of its patients.

    Twice the mean, so that uniform draws have that mean. Points in time reach as far as the
    mean alone, less what rounding may add, so not beyond the last of them. Each patient counts
    once, and at most `MOST_OF_MEDIAN` times the median, so that none decides alone.
    """
    if patients is not None:
        sums, n = np.bincount(patients, distances), np.bincount(patients)
        distances = sums[n > 0] / n[n > 0]
    capped = np.minimum(distances, MOST_OF_MEDIAN * np.median(distances))
    reach = capped.mean(keepdims=True) * (0.95 if times else 2)
    return float(rounded(reach, DIGITS)[0])


def _end(
    start: float,
    reach: float,
    places: NDArray[np.float64],
    gridded: bool,
    limits: tuple[float, float],
) -> float:
    """Place the end of an outermost part, on no patient's value and within the limits."""
    end = float(np.clip(start / SCALE + reach, limits[0] / SCALE, limits[1] / SCALE)) * SCALE
    if gridded and reach > 0:
        return float(max(np.floor(end), np.ceil(start)) + 0.5)
    if gridded:
        return float(min(np.ceil(end), np.floor(start)) - 0.5)
    while end != start and np.isin(end, places):
        end = end / 2 + start / 2
    return end
