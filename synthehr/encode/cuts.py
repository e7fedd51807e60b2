"""Where a numeric column is cut into bins and parts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.config import EncodeConfig
from synthehr.encode.rare import count_patients, holders


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
    config : EncodeConfig
        Limits.
    """
    k = config.rare_patients
    total = len(groups) if patients is None else count_patients(patients)
    if total < (2 * k if has_atoms else k):
        return None
    counts = np.bincount(groups, minlength=len(places))
    low, high = _trim(counts, groups, patients, k)
    if total < 2 * k or low > high:
        return _one_part(places, counts, gridded)
    between = _between(places, gridded)
    inner = _quantile_cuts(counts, between, total, config)
    inner = _merge(inner[(inner > low) & (inner <= high)], groups, len(places), patients, k)
    first = _outermost(places, between, low, gridded, below=True)
    last = _outermost(places, between, high, gridded, below=False)
    edges = np.concatenate([[first], between[inner - 1], [last]])
    n_parts = len(edges) - 1
    bins = min(config.bins, max(1, (n_parts + 1) // 2))
    width = min(config.parts, -(-n_parts // bins))
    starts = np.append(np.arange(0, n_parts, width), n_parts)
    ends = np.concatenate([[0], inner, [len(places)]])
    single = np.where(np.diff(ends) == 1, ends[:-1], -1)
    return Cuts(edges, starts, single)


def _one_part(places: NDArray[np.float64], counts: NDArray[np.int64], gridded: bool) -> Cuts:
    """Lay one part around the mean of all, where the extremes of both ends would cross."""
    middle = float(np.average(places, weights=counts))
    if gridded:
        ends = np.rint(middle) + np.array([-0.5, 0.5])
    else:
        spread = np.sqrt(np.average((places / 2 - middle / 2) ** 2, weights=counts))
        ends = middle + np.array([-0.5, 0.5]) * min(spread, 1e300)
    return Cuts(ends, np.array([0, 1]), np.array([-1]))


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
    parts = bins * min(config.parts, max(1, total // k // bins))
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


def _trim(
    counts: NDArray[np.int64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    k: int,
) -> tuple[int, int]:
    """Find the places of the k-th patient from below and from above."""
    if patients is None:
        reached = np.cumsum(counts)
        low = int(np.searchsorted(reached, k))
        return low, int(np.searchsorted(reached, reached[-1] - k, side="right"))
    n_patients = int(patients.max()) + 1
    first = np.full(n_patients, len(counts))
    last = np.full(n_patients, -1)
    np.minimum.at(first, patients, groups)
    np.maximum.at(last, patients, groups)
    present = last >= 0
    return int(np.sort(first[present])[k - 1]), int(np.sort(last[present])[-k])


def _outermost(
    places: NDArray[np.float64],
    between: NDArray[np.float64],
    index: int,
    gridded: bool,
    *,
    below: bool,
) -> float:
    """Place the outermost edge just beyond the k-th patient's value."""
    neighbour = index - 1 if below else index
    if gridded:
        return float(places[index] + (-0.5 if below else 0.5))
    if 0 <= neighbour < len(between) and not np.isnan(between[neighbour]):
        return float(between[neighbour])
    return float(places[index])
