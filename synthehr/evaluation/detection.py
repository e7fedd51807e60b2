"""Whether boosted trees can tell synthetic records from real ones, and by which columns.

The classifier two-sample test, 5-fold; AUROC .5 means that it cannot.

References
----------
Lopez-Paz and Oquab, 2017, arXiv:1610.06545
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.metric import Estimate, bootstrap
from synthehr.evaluation.scores import auroc, auroc_of, for_trees, trees
from synthehr.evaluation.views import View

ROWS = 10_000
PERMUTED_ROWS = 1_000
FOLDS = 5
SETTINGS: Mapping[str, Any] = {"max_iter": 100}
CELLS = 255
GROUPS = 20
LEAN = 10.0


class Detection(NamedTuple):
    """AUROC of telling two tables apart, and what each column adds, shape (D,)."""

    auroc: Estimate
    importance: NDArray[np.float64] | None
    folds: int


def folds_of(groups: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign whole groups to the folds in turn; shape (n,) in and out."""
    _, groups = np.unique(groups, return_inverse=True)
    return rng.permutation(int(groups.max()) + 1)[groups] % FOLDS


def detect(
    real: View,
    synthetic: View,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
    clock: Clock,
    *,
    importances: bool = True,
    until: float = 0.5,
    settings: Mapping[str, Any] = SETTINGS,
) -> Detection | None:
    """Test how well boosted trees tell two tables apart, equally many records of each.

    Records of a patient stay in one fold, so that a patient cannot be recognised.

    Parameters
    ----------
    real, synthetic : View
        The tables; at most `ROWS` records of each are used.
    categorical : ndarray of shape (D,), bool
        Which columns hold codes.
    rng : Generator
        Draws the records and the folds.
    clock : Clock
        The time box; folds beyond `until` of it are left out.
    importances : bool
        Whether to permute each column of the test folds in turn.
    until : float
        Share of the time box at which to stop.
    settings : mapping
        What the trees are made with.

    Returns
    -------
    Detection or None
        None when there are too few records or there is no time for a single fold.
    """
    n = min(real.rows, synthetic.rows, ROWS)
    a, b = real.sample(n, rng), synthetic.sample(n, rng)
    if min(a.n_patients, b.n_patients) < 2 * FOLDS:
        return None
    x = for_trees(np.concatenate([a.values, b.values]), categorical)
    y = np.repeat([False, True], [a.rows, b.rows])
    groups = np.concatenate([a.patients, b.patients + a.n_patients])
    fold = np.concatenate([folds_of(a.patients, rng), folds_of(b.patients, rng)])
    scores = np.full(len(y), np.nan)
    drops = []
    before, longest = clock.spent, 0.0
    for k in range(FOLDS):
        if not clock.allows(until, longest):
            break
        test = fold == k
        detector = trees("AUROC", categorical, settings)
        detector.fit(x[~test], y[~test])
        scores[test] = detector.predict_proba(x[test])[:, 1]
        if importances:
            drops.append(_permuted(detector, x[test], y[test], rng))
        longest, before = max(longest, clock.spent - before), clock.spent
        clock.pace = longest / np.count_nonzero(~test)
    done = np.isfinite(scores)
    if not done.any():
        return None
    # Folds have models of their own, whose scores are compared as they are: what the scorer does.
    estimate = bootstrap(auroc_of(y[done], scores[done]), groups[done], rng)
    importance = np.mean(drops, axis=0) if drops else None
    return Detection(estimate, importance, len(np.unique(fold[done])))


def _permuted(
    detector: Any,
    x: NDArray[np.float64],
    y: NDArray[np.bool_],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """AUROC lost when each column in turn is permuted; shape (D,)."""
    some = rng.permutation(len(x))[:PERMUTED_ROWS]
    x, y = x[some], y[some]
    whole = auroc(y, detector.predict_proba(x)[:, 1])
    lost = np.zeros(x.shape[1])
    order = rng.permutation(len(x))
    for j in range(x.shape[1]):
        column = x[:, j].copy()
        x[:, j] = column[order]
        lost[j] = whole - auroc(y, detector.predict_proba(x)[:, 1])
        x[:, j] = column
    return lost


def detect_by_column(
    real: View, synthetic: View, categorical: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """AUROC of telling two tables apart by each column alone; shape (D,).

    The likelihood ratio of at most `CELLS` levels or quantile bins, and null, is learned on
    four folds and scored on the fifth: what trees on a single column come to, at a hundredth
    of the time.
    """
    n = min(real.rows, synthetic.rows, ROWS)
    a, b = real.sample(n, rng), synthetic.sample(n, rng)
    values = np.concatenate([a.values, b.values])
    y = np.repeat([False, True], [a.rows, b.rows])
    fold = np.concatenate([folds_of(a.patients, rng), folds_of(b.patients, rng)])
    areas = np.full(len(categorical), np.nan)
    for j, is_category in enumerate(categorical):
        cells = _cells(values[:, j], is_category)
        size = int(cells.max()) + 1
        key = (fold * size + cells) * 2 + y
        counts = np.bincount(key, minlength=FOLDS * size * 2).reshape(FOLDS, size, 2)
        others = (counts.sum(axis=0) - counts).astype(np.float64)
        areas[j] = auroc(y, _ratio(others, is_category)[fold, cells])
    return areas


def _ratio(counts: NDArray[np.float64], is_category: bool) -> NDArray[np.float64]:
    """Share of synthetic records in each cell, (folds, cells), from counts (folds, cells, 2).

    A cell that holds few records leans on its neighbourhood, one of `GROUPS` parts of a number's
    distribution, or on the whole column of a category.
    """
    total = counts.sum(axis=(0, 2))
    group = np.zeros(len(total), dtype=np.int64)
    if not is_category:
        below = np.cumsum(total) - total
        group = (below * GROUPS / max(1.0, total.sum())).astype(np.int64)
    whole = np.stack(
        [np.stack([np.bincount(group, fold[:, k]) for k in (0, 1)], axis=1) for fold in counts]
    )
    prior = ((whole[..., 1] + 1) / (whole.sum(axis=2) + 2))[:, group]
    return (counts[..., 1] + LEAN * prior) / (counts.sum(axis=2) + LEAN)


def _cells(values: NDArray[np.float64], is_category: bool) -> NDArray[np.int64]:
    """Code values as levels or bins from 1, null as 0."""
    known = ~np.isnan(values)
    cells = np.zeros(len(values), dtype=np.int64)
    if is_category:
        cells[known] = np.minimum(values[known].astype(np.int64), CELLS) + 1
        return cells
    distinct = np.unique(values[known])
    if len(distinct) > CELLS:
        distinct = np.unique(np.quantile(values[known], np.linspace(0, 1, CELLS + 1)[1:-1]))
    cells[known] = np.searchsorted(distinct, values[known], side="right") + 1
    return cells
