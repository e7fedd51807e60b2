"""Where a numeric column ends: nothing of the outermost k patients is told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.grid import rounded
from synthehr.encode.rare import holders

MOST_OF_MEDIAN = 5.0
DIGITS = 2
MEAN_REACH = {False: 2.0, True: 0.95}
"""How far an outermost part reaches, in mean distances of its patients: numbers, points in time."""
SCALE = 16.0
"""Distances of the largest floats are beyond the largest float; a sixteenth of them is not."""


def trimmed_ends(
    places: NDArray[np.float64],
    between: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    gridded: bool,
    k: int,
) -> tuple[float, float] | None:
    """End a column at the k-th patient from either end; None where these ends cross.

    A value that k patients hold is an end itself; else the end lies between it and the next
    value inwards.
    """
    low, high = _kth_patients(groups, len(places), patients, k)
    if gridded:
        return None if high < low else (float(places[low] - 0.5), float(places[high] + 0.5))
    held = holders(groups, len(places), patients) >= k
    room = np.flatnonzero(~np.isnan(between))
    above, below = room[room >= low], room[room < high]
    if not (held[low] or len(above)) or not (held[high] or len(below)):
        return None
    first = places[low] if held[low] else between[above[0]]
    last = places[high] if held[high] else between[below[-1]]
    return None if last <= first else (float(first), float(last))


def tail_cuts(
    between: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    k: int,
) -> NDArray[np.int64]:
    """Cut off the k lowest and the k highest patients, where there is room for an edge."""
    low, high = _kth_patients(groups, len(between) + 1, patients, k)
    cuts = np.array([low + 1, high])
    cuts = cuts[(cuts > 0) & (cuts <= len(between))]
    return cuts[~np.isnan(between[cuts - 1])]


def mean_ends(
    places: NDArray[np.float64],
    between: NDArray[np.float64],
    inner: NDArray[np.int64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    gridded: bool,
    limits: tuple[float, float],
    times: bool,
) -> tuple[float, float] | None:
    """End the outermost parts where uniform draws from them have their patients' mean.

    So they lie twice as far from the inner edge as the patients do on average. Points in time
    reach as far as the mean alone, less what rounding may add: not beyond the last of them.
    None where nothing is cut off.
    """
    if not len(inner):
        return None
    ends = []
    for start, beyond in (
        (float(between[inner[0] - 1]), groups < inner[0]),
        (float(between[inner[-1] - 1]), groups >= inner[-1]),
    ):
        owners = None if patients is None else patients[beyond]
        distances = places[groups[beyond]] / SCALE - start / SCALE
        reach = np.sign(distances[0]) * _reach(np.abs(distances), owners, MEAN_REACH[times])
        ends.append(_end(start, reach, places, gridded, limits))
    return ends[0], ends[1]


def one_part(
    places: NDArray[np.float64],
    groups: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    gridded: bool,
    limits: tuple[float, float],
    factor: float,
) -> tuple[float, float]:
    """Lay one part around the mean of the middle half, which is no one's value.

    Parameters
    ----------
    factor : float
        How far the part reaches to either side, in mean distances from there.
    """
    ordered = np.sort(places[groups])
    quarter = len(ordered) // 4
    middle = float((ordered[quarter : len(ordered) - quarter] / SCALE).mean()) * SCALE
    reach = _reach(np.abs(places[groups] / SCALE - middle / SCALE), patients, factor)
    middle = float(np.rint(middle)) if gridded else middle
    low, high = (_end(middle, sign * reach, places, gridded, limits) for sign in (-1, 1))
    return low, high


def _kth_patients(
    groups: NDArray[np.int64], n_places: int, patients: NDArray[np.int64] | None, k: int
) -> tuple[int, int]:
    """Find the places of the k-th patient from below and from above.

    Parameters
    ----------
    groups : ndarray of shape (N,)
        Place of each record.
    n_places : int
        U, how many places there are.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    k : int
        At most as many as there are patients.
    """
    if patients is None:
        reached = np.cumsum(np.bincount(groups, minlength=n_places))
        low = int(np.searchsorted(reached, k))
        return low, int(np.searchsorted(reached, reached[-1] - k, side="right"))
    n_patients = int(patients.max()) + 1
    first, last = np.full(n_patients, n_places), np.full(n_patients, -1)
    np.minimum.at(first, patients, groups)
    np.maximum.at(last, patients, groups)
    present = last >= 0
    return int(np.sort(first[present])[k - 1]), int(np.sort(last[present])[-k])


def _reach(
    distances: NDArray[np.float64], patients: NDArray[np.int64] | None, factor: float
) -> float:
    """Say how far a part reaches, in the patients' rounded mean distance.

    Each patient counts once, and at most `MOST_OF_MEDIAN` times the median, so that none
    decides alone.
    """
    if patients is not None:
        sums, n = np.bincount(patients, distances), np.bincount(patients)
        distances = sums[n > 0] / n[n > 0]
    capped = np.minimum(distances, MOST_OF_MEDIAN * np.median(distances))
    return float(rounded(capped.mean(keepdims=True) * factor, DIGITS)[0])


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
