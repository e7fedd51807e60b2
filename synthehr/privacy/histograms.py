"""Histograms over public cells: counted, noised once, and put right without a further look."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.privacy import noise

BRANCHES = 16
COARSEST = 64
"""Cells of the coarsest histogram of a column, at most."""
SPLIT = 4.0
"""A cell is looked into where it holds more than this many standard deviations of the noise."""
LEAST_NULLS = 4.0
"""A column has nulls where their count is more than this many standard deviations."""
END_HOLDERS = 10
"""Patients that hold a declared bound, at the least, where the range is filled up to it."""


class Question(NamedTuple):
    """One histogram that is asked for.

    Attributes
    ----------
    cells : ndarray of shape (N,)
        The cell of each record.
    size : int
        Number of cells, fixed in public.
    """

    cells: NDArray[np.int64]
    size: int


def resolutions(size: int) -> tuple[int, ...]:
    """Say how many cells are asked for, from coarse to fine; the finest is `size`.

    A patient moves one cell of each resolution, so few of them are cheap, and a tree of
    sixteen branches finds both where most values lie and where single values are common.
    """
    found = [size]
    while found[0] > COARSEST:
        found.insert(0, -(-found[0] // BRANCHES))
    return tuple(found)


def answers(
    questions: Sequence[Question], weights: NDArray[np.float64], multiplier: float
) -> tuple[list[NDArray[np.float64]], float]:
    """Count the cells of several histograms and add noise to all counts at once.

    A patient's weights sum to at most 1 in each of the H histograms, so one patient moves
    all counts together by at most ``H ** 0.5`` (L2), and the whole is one Gaussian mechanism.

    Parameters
    ----------
    questions : sequence of H questions
        What is asked.
    weights : ndarray of shape (N,)
        One over the number of the patient's records.
    multiplier : float
        Noise multiplier of the mechanism.

    Returns
    -------
    histograms : list of H ndarrays of shape (size,)
        Noised counts of patients; some are negative.
    deviation : float
        Standard deviation of the noise of each count.
    """
    deviation = multiplier * math.sqrt(len(questions))
    sizes = [question.size for question in questions]
    drawn = np.split(noise.normal(sum(sizes)).numpy() * deviation, np.cumsum(sizes)[:-1])
    counted = (np.bincount(q.cells, weights, q.size) for q in questions)
    return [count + part for count, part in zip(counted, drawn, strict=True)], deviation


def nearest_shares(counts: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find, row by row, the nearest counts that are not negative and sum to a total.

    The projection on a simplex (Duchi et al. 2008, doi:10.1145/1390156.1390191): the most
    likely counts behind noised ones, and without the bias of cutting negative ones off.

    Parameters
    ----------
    counts : ndarray of shape (R, n)
        Noised counts; minus infinity where a cell must be empty.
    totals : ndarray of shape (R,)
        What each row sums to.
    """
    ordered = -np.sort(-counts, axis=1)
    ordered = np.where(np.isfinite(ordered), ordered, -1e300)
    ranks = np.arange(1, counts.shape[1] + 1)
    thresholds = (np.cumsum(ordered, axis=1) - totals[:, None]) / ranks
    last = np.maximum((ordered > thresholds).sum(axis=1) - 1, 0)
    cut = np.take_along_axis(thresholds, last[:, None], axis=1)
    return np.maximum(counts - cut, 0.0)


def settled(
    levels: Sequence[NDArray[np.float64]], nulls: float, total: float, deviation: float
) -> tuple[NDArray[np.float64], float]:
    """Settle the finest histogram of a column from all of its resolutions, top down.

    Parameters
    ----------
    levels : sequence of ndarrays
        Noised counts, from coarse to fine; sizes as `resolutions` gives them.
    nulls : float
        Noised count of the nulls.
    total : float
        The number of patients, in public.
    deviation : float
        Standard deviation of the noise.

    Returns
    -------
    counts : ndarray of the finest size
        None negative.
    nulls : float
        Their sum and this sum to the total.
    """
    nulls = nulls if nulls > LEAST_NULLS * deviation else -np.inf
    top = nearest_shares(np.append(levels[0], nulls)[None], np.array([total]))[0]
    counts, nulls = top[:-1], float(top[-1])
    for finer in levels[1:]:
        room = np.full(len(counts) * BRANCHES, -np.inf)
        room[: len(finer)] = finer
        children = room.reshape(-1, BRANCHES)
        widths = np.isfinite(children).sum(axis=1)
        even = np.where(np.isfinite(children), (counts / np.maximum(widths, 1))[:, None], 0.0)
        split = counts > SPLIT * deviation
        even[split] = nearest_shares(children[split], counts[split])
        counts = even.ravel()[: len(finer)]
    return counts, nulls


def with_ends(counts: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Let a few patients hold the first and the last cell, where many hold the quarter beside it.

    Bounds are declared because values reach them; a few values there are lost in the noise.
    Where the outer quarter of a range is as good as empty, its bound is only a bound.
    """
    found = counts.copy()
    quarter = max(1, len(counts) // 4)
    for outer, end in ((counts[:quarter], 0), (counts[-quarter:], -1)):
        if outer.sum() > SPLIT * deviation:
            found[end] = max(found[end], END_HOLDERS)
    return found


def shared_out(counts: NDArray[np.float64], total: int) -> NDArray[np.int64]:
    """Turn counts into whole numbers, none negative, that sum to a total.

    The sums of the first cells are rounded, so that no stretch is off by more than one.
    """
    reached = np.cumsum(counts)
    if reached[-1] <= 0:
        reached = np.arange(1.0, len(counts) + 1)
    ends = np.rint(reached / reached[-1] * total).astype(np.int64)
    return np.diff(ends, prepend=0)
