"""Singling out: a description taken from synthetic records fits exactly one patient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.attacks.success import disclosure
from synthehr.evaluation.attacks.targets import MOST_SINGLED, whole
from synthehr.evaluation.metric import wilson
from synthehr.evaluation.results import DisclosureResult
from synthehr.evaluation.views import View, Views

MOST_GUESSES = 2_000
MOST_PARTS = 8
"""Columns that a description of several columns names, at most."""

_TRIED = 4
_CHUNK = 500
EQUAL, AT_MOST, AT_LEAST = range(3)


class Descriptions(NamedTuple):
    """Conjunctions over columns, as conditions: three parallel arrays and the conjunction of each.

    Attributes
    ----------
    of : ndarray of shape (C,), int64
        The description that the condition belongs to, ascending.
    columns, signs : ndarray of shape (C,), int64
        The column, and `EQUAL`, `AT_MOST` or `AT_LEAST`.
    values : ndarray of shape (C,)
        What it is compared with; equal to nan means null.
    n : int
        Number of descriptions.
    """

    of: NDArray[np.int64]
    columns: NDArray[np.int64]
    signs: NDArray[np.int64]
    values: NDArray[np.float64]
    n: int

    def some(self, kept: NDArray[np.bool_]) -> Descriptions:
        """Keep these descriptions; mask of shape (n,)."""
        mine = kept[self.of]
        names = np.cumsum(kept) - 1
        return Descriptions(
            names[self.of[mine]],
            self.columns[mine],
            self.signs[mine],
            self.values[mine],
            int(kept.sum()),
        )


def singling_out(
    views: Views, holdout: View, rng: np.random.Generator
) -> tuple[DisclosureResult, ...]:
    """Single out by one column, and by several.

    Descriptions that fit exactly one of n synthetic patients are tried on n training and on
    n held-out ones. One succeeds where it fits exactly one of them. Descriptions of the same
    form with values from anywhere in the columns' ranges are the naive guess.
    """
    n = min(views.real.n_patients, holdout.n_patients, views.synthetic.n_patients, MOST_SINGLED)
    real, held_out, synthetic = (
        whole(view, n, rng) for view in (views.real, holdout, views.synthetic)
    )
    results = []
    forms = {"singling out by one column": _single, "singling out": _several}
    for attack, form in forms.items():
        tried = form(synthetic, views.categorical, rng)
        kept = np.flatnonzero(_fits_one(tried, synthetic))
        chosen = np.zeros(tried.n, dtype=bool)
        chosen[rng.permutation(kept)[:MOST_GUESSES]] = True
        guesses = tried.some(chosen)
        if guesses.n == 0:
            continue
        naive = _anywhere(guesses, synthetic, views.categorical, rng)
        hits = [
            wilson(float(_fits_one(some, view).sum()), guesses.n)
            for some, view in ((guesses, real), (guesses, held_out), (naive, real))
        ]
        results.append(disclosure(attack, guesses.n, *hits))
    return tuple(results)


def _fits_one(descriptions: Descriptions, view: View) -> NDArray[np.bool_]:
    """Say which descriptions fit a record of exactly one patient; records sorted by patient."""
    starts = np.flatnonzero(np.diff(view.patients, prepend=-1))
    fits_one = np.zeros(descriptions.n, dtype=bool)
    for first in range(0, descriptions.n, _CHUNK):
        last = min(first + _CHUNK, descriptions.n)
        low, high = np.searchsorted(descriptions.of, [first, last])
        fits = np.ones((last - first, view.rows), dtype=bool)
        for j in np.unique(descriptions.columns[low:high]):
            mine = low + np.flatnonzero(descriptions.columns[low:high] == j)
            fits[descriptions.of[mine] - first] &= _holds(
                view.values[:, j], descriptions.signs[mine], descriptions.values[mine]
            )
        held = fits if len(starts) == view.rows else np.logical_or.reduceat(fits, starts, axis=1)
        fits_one[first:last] = held.sum(axis=1) == 1
    return fits_one


def _holds(
    values: NDArray[np.float64], signs: NDArray[np.int64], limits: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Compare records with conditions on one column, each condition once; (conditions, N)."""
    holds = np.empty((len(signs), len(values)), dtype=bool)
    operators = {EQUAL: np.equal, AT_MOST: np.less_equal, AT_LEAST: np.greater_equal}
    for sign, compare in operators.items():
        holds[signs == sign] = compare(values, limits[signs == sign, None])
    holds[np.isnan(limits)] = np.isnan(values)
    return holds


def _single(
    synthetic: View, categorical: NDArray[np.bool_], rng: np.random.Generator
) -> Descriptions:
    """Describe by a value that one record holds, and by lying at or beyond an extreme."""
    found: list[tuple[int, int, float]] = []
    for j, is_category in enumerate(categorical):
        values = synthetic.values[:, j]
        values = values[~np.isnan(values)]
        distinct, counts = np.unique(values, return_counts=True)
        once = rng.permutation(distinct[counts == 1])[:MOST_GUESSES]
        found += [(j, EQUAL, float(value)) for value in once]
        if not is_category and len(distinct):
            found += [(j, AT_MOST, float(distinct[0])), (j, AT_LEAST, float(distinct[-1]))]
    columns, signs, values = (np.array(part) for part in zip(*found, strict=True)) if found else (
        np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    )  # fmt: skip
    return Descriptions(np.arange(len(columns)), columns, signs, values, len(columns))


def _several(
    synthetic: View, categorical: NDArray[np.bool_], rng: np.random.Generator
) -> Descriptions:
    """Describe a random record by random columns: equal levels, numbers at least as extreme."""
    width, n = len(categorical), _TRIED * MOST_GUESSES
    sizes = rng.integers(min(3, width), min(MOST_PARTS, width) + 1, n)
    order = rng.random((n, width)).argsort(axis=1)[:, : int(sizes.max())]
    used = np.arange(order.shape[1]) < sizes[:, None]
    of, place = np.nonzero(used)
    columns = order[of, place]
    values = synthetic.values[rng.integers(0, synthetic.rows, n)[of], columns]
    middles = np.array([
        np.median(known) if len(known := column[~np.isnan(column)]) else 0.0
        for column in synthetic.values.T
    ])  # fmt: skip
    beyond = np.where(values >= middles[columns], AT_LEAST, AT_MOST)
    signs = np.where(categorical[columns] | np.isnan(values), EQUAL, beyond)
    return Descriptions(of, columns, signs, values, n)


def _anywhere(
    guesses: Descriptions,
    synthetic: View,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Descriptions:
    """Replace the values by any of the column: a level, or a number from its range."""
    values = guesses.values.copy()
    for j in np.unique(guesses.columns):
        mine = np.flatnonzero((guesses.columns == j) & ~np.isnan(values))
        distinct = np.unique(synthetic.values[:, j])
        distinct = distinct[~np.isnan(distinct)]
        if not len(mine):
            continue
        if categorical[j]:
            values[mine] = rng.choice(distinct, len(mine))
        else:
            drawn = rng.uniform(distinct[0], distinct[-1], len(mine))
            whole_numbers = bool((distinct == np.round(distinct)).all())
            values[mine] = np.round(drawn) if whole_numbers else drawn
    return guesses._replace(values=values)
