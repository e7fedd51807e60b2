"""Where a numeric column is cut into bins and parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.config import EncodeConfig
from synthehr.encode.extremes import MEAN_REACH, mean_ends, one_part, tail_cuts, trimmed_ends
from synthehr.encode.rare import count_patients, holders

ASIDE = 0.4871293650284713
"""Where an edge lies between two values: beside the middle, which may be another's value."""


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
    between = _between(places, gridded)
    inner = _quantile_cuts(counts, between, total, config)
    if config.extremes == "trim":
        ends = trimmed_ends(places, between, groups, patients, gridded, k)
        if ends is not None:
            inside = (between[inner - 1] > ends[0]) & (between[inner - 1] < ends[1])
            inner = _merge(inner[inside], groups, len(places), patients, k)
    else:
        inner = np.union1d(inner, tail_cuts(between, groups, patients, k))
        inner = _merge(inner, groups, len(places), patients, k)
        ends = mean_ends(places, between, inner, groups, patients, gridded, limits, times)
    if ends is None:
        factor = 0.5 if config.extremes == "trim" else MEAN_REACH[times]
        ends = one_part(places, groups, patients, gridded, limits, factor)
        return Cuts(np.array(ends), np.array([0, 1]), np.array([-1]))
    edges = np.concatenate([ends[:1], between[inner - 1], ends[1:]])
    n_parts = len(edges) - 1
    bins = min(config.bins, max(1, (n_parts + 1) // 2))
    width = min(config.parts, -(-n_parts // bins))
    starts = np.append(np.arange(0, n_parts, width), n_parts)
    bounds = np.concatenate([[0], inner, [len(places)]])
    single = np.where(np.diff(bounds) == 1, bounds[:-1], -1)
    return Cuts(edges, starts, single)


def _between(places: NDArray[np.float64], gridded: bool) -> NDArray[np.float64]:
    """Place an edge between each two neighbours, NaN where there is no room; shape (U - 1,)."""
    left, right = places[:-1], places[1:]
    if gridded:
        return left + np.floor((right - left - 1) / 2) + 0.5
    inside = (1 - ASIDE) * left + ASIDE * right
    return np.where((left < inside) & (inside < right), inside, np.nan)


def _quantile_cuts(
    counts: NDArray[np.int64], between: NDArray[np.float64], total: int, config: EncodeConfig
) -> NDArray[np.int64]:
    """Choose after how many distinct values to cut, at about equal counts of records."""
    k = config.rare_patients
    bins = min(config.bins, max(1, total // (2 * k)))
    parts = bins * min(config.parts, max(1, total // k // bins))
    if config.extremes == "mean":
        parts = max(1, parts - 2)  # the two tails are parts besides
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
