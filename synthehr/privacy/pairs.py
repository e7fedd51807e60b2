"""Noisy two-way marginals: which pairs of columns are counted, over which cells, at what cost.

A patient is in one cell of each of P pairs, so all are counted by one Gaussian mechanism of
sensitivity ``P ** 0.5``. Where few enough are there all are counted. Else each column is
counted with those that it depends on most. The more noise, the fewer pairs and the coarser
their cells.

NOTE[DIFF]: MST (McKenna, Miklau and Sheldon 2021, arXiv:2108.04978) and AIM (McKenna et al.
2022, arXiv:2201.12677) choose by the exponential mechanism, pair after pair. Here the scores of all
pairs are noised at once: a score is an L1 distance, which one patient moves by at most 1, so
this is one more Gaussian mechanism of sensitivity ``P ** 0.5``. For as many pairs as are
chosen here the noise is about the same, and it composes exactly with the counts': both
together are one Gaussian mechanism of the given multiplier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import final

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.fields import Fields
from synthehr.privacy import noise
from synthehr.privacy.cells import coarse_cells
from synthehr.privacy.histograms import Question, answers
from synthehr.privacy.ledger import Entry
from synthehr.privacy.mechanisms import Gaussian

MOST_CELLS, LEAST_CELLS = 16, 4
"""Coarse cells of a column, null not counted."""
STANDS_OUT = 3.0
"""An even share of a pair's cells is at least so many times the noise of a share."""
MOST_PAIRS = 300
"""So many pairs are counted at most."""
MOST_NOISE_OF_PAIRS = 0.006
"""So many pairs are counted that the noise of a share stays below this, or one per column."""
SELECTION = 0.2
"""Share of the pairs' budget that goes to choosing among more."""


@final
@dataclass(frozen=True)
class PairMarginals:
    """What was measured of pairs of columns.

    Attributes
    ----------
    cells : tuple of D ndarrays of shape (size,)
        Coarse cell of each token of each column.
    columns : tuple of P pairs of int
        Places of the columns that were counted together.
    shares : tuple of P ndarrays
        Noised share of the patients in each cell of a pair, the second column's cells
        innermost; some are negative.
    deviation : float
        Standard deviation of the noise of a share.
    rows : int
        The number of patients, in public.
    """

    cells: tuple[NDArray[np.int64], ...]
    columns: tuple[tuple[int, int], ...]
    shares: tuple[NDArray[np.float64], ...]
    deviation: float
    rows: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of coarse cells of each column."""
        return tuple(int(cells.max()) + 1 for cells in self.cells)

    def located(self, tokens: NDArray[np.integer]) -> tuple[NDArray[np.int64], ...]:
        """Find which cell of each pair records with these tokens, (N, D), are in; P times (N,)."""
        located = _located(self.cells, tokens)
        return tuple(_joint(located, self.sizes, pair) for pair in self.columns)


def measure_pairs(
    tokens: NDArray[np.integer],
    fields: Fields,
    patients: NDArray[np.int64] | None,
    *,
    rows: int,
    multiplier: float,
    columns: Sequence[tuple[int, int]] | None = None,
    most: int = MOST_PAIRS,
) -> tuple[PairMarginals, Entry]:
    """Count pairs of columns over coarse cells, with noise.

    Parameters
    ----------
    tokens : ndarray of shape (N, D)
        The records, by an encoder that has cost what it cost.
    fields : tuple of D fields
        The columns, with noised shares.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    rows : int
        The number of patients, in public.
    multiplier : float
        Noise multiplier of all of this together.
    columns : sequence of pairs of int, optional
        Which pairs may be counted; by default all.
    most : int
        So many are counted at most, but for one for each column.

    Returns
    -------
    pairs : PairMarginals
    entry : Entry
        What it cost.
    """
    weights = np.ones(len(tokens))
    if patients is not None:
        weights = 1.0 / np.bincount(patients)[patients]
    columns = tuple(combinations(range(len(fields)), 2) if columns is None else columns)
    wanted = min(len(columns), most_pairs(len(fields), rows, multiplier, most))
    most = most_cells(wanted, rows, multiplier)
    cells = tuple(coarse_cells(field, most) for field in fields)
    sizes = [int(each.max()) + 1 for each in cells]
    located = _located(cells, tokens)
    for_counts = multiplier
    if len(columns) > wanted:
        shares = [
            np.bincount(each, field.shares).astype(np.float64)
            for each, field in zip(cells, fields, strict=True)
        ]
        scores = np.array([
            dependence(_joint(located, sizes, (a, b)), weights, rows * shares[a], shares[b])
            for a, b in columns
        ])  # fmt: skip
        deviation = multiplier / math.sqrt(SELECTION) * math.sqrt(len(columns))
        scores += deviation * noise.normal(len(columns)).numpy()
        columns = _strongest(columns, scores, len(fields), wanted)
        for_counts = multiplier / math.sqrt(1 - SELECTION)
    asked = [
        Question(_joint(located, sizes, (a, b)), sizes[a] * sizes[b]) for a, b in columns
    ]  # fmt: skip
    counts, deviation = answers(asked, weights, for_counts) if asked else ([], 0.0)
    shares_of_pairs = tuple(count / rows for count in counts)
    pairs = PairMarginals(cells, columns, shares_of_pairs, deviation / rows, rows)
    what = f"two-way marginals of {len(columns)} pairs of columns"
    return pairs, Entry(what, Gaussian(noise_multiplier=multiplier))


def most_pairs(columns: int, rows: int, multiplier: float, most: int = MOST_PAIRS) -> int:
    """Choose how many pairs are counted: all would drown in noise where patients are few.

    Parameters
    ----------
    columns : int
        The number of columns.
    rows : int
        The number of patients, in public.
    multiplier : float
        Noise multiplier of all pairs together.
    most : int
        The most where there is next to no noise.

    Returns
    -------
    int
        At least one for each column.
    """
    bearable = math.floor((MOST_NOISE_OF_PAIRS * rows / multiplier) ** 2)
    return min(max(bearable, columns), max(columns, most))


def most_cells(pairs: int, rows: int, multiplier: float) -> int:
    """Choose how finely columns are cut, so that what is counted stands out of the noise.

    Parameters
    ----------
    pairs : int
        Pairs of columns that are counted.
    rows : int
        The number of patients, in public.
    multiplier : float
        Noise multiplier of all pairs together.

    Returns
    -------
    int
        Coarse cells of a column, null not counted.
    """
    deviation = multiplier * math.sqrt(max(pairs, 1)) / rows
    cells = math.floor((STANDS_OUT * deviation) ** -0.5)
    return min(max(cells, LEAST_CELLS), MOST_CELLS)


def _strongest(
    columns: tuple[tuple[int, int], ...],
    scores: NDArray[np.float64],
    n_columns: int,
    wanted: int,
) -> tuple[tuple[int, int], ...]:
    """Choose pairs such that every column is counted with those it depends on most.

    The highest scores alone would go to a few columns that all say the same, and leave a
    column of weaker relations, such as an outcome, without any.
    """
    table = np.full((n_columns, n_columns), -np.inf)
    one, two = np.array(columns).T
    table[one, two] = table[two, one] = scores
    ranks = (-table).argsort(axis=1, kind="stable").argsort(axis=1)
    first = np.minimum(ranks[one, two], ranks[two, one])
    chosen = np.sort(np.lexsort((-scores, first))[:wanted])
    return tuple(columns[place] for place in chosen)


def dependence(
    joint: NDArray[np.int64],
    weights: NDArray[np.float64],
    counts: NDArray[np.float64],
    shares: NDArray[np.float64],
) -> float:
    """Say how far a pair is from independent columns, in patients (L1).

    What chance alone makes of independent columns is taken off, by what is public.
    """
    expected = np.outer(counts, shares).ravel()
    found = np.abs(np.bincount(joint, weights, len(expected)) - expected).sum()
    return float(found - math.sqrt(2 / math.pi) * np.sqrt(expected).sum())


def _located(
    cells: Sequence[NDArray[np.int64]], tokens: NDArray[np.integer]
) -> list[NDArray[np.int64]]:
    """Find the coarse cells of records' tokens, (N, D), column by column."""
    return [each[tokens[:, column]] for column, each in enumerate(cells)]


def _joint(
    located: Sequence[NDArray[np.int64]], sizes: Sequence[int], pair: tuple[int, int]
) -> NDArray[np.int64]:
    """Give each record the number of its cell in a pair of columns; (N,)."""
    one, two = pair
    return located[one] * sizes[two] + located[two]
