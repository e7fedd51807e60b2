"""Figures of predictions as functions of record weights: a bootstrap needs no second model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Measure = Literal["AUROC", "R2"]
Weighted = Callable[[NDArray[np.float64] | None], float]
"""A figure of n records as a function of their weights, shape (n,); None: all 1."""

KNOWN = 20
"""Known cells that a column needs for the boosted trees."""
SHALLOW: Mapping[str, Any] = {
    "max_iter": 40, "learning_rate": 0.2, "max_leaf_nodes": 8, "max_bins": 31,
}  # fmt: skip
"""Trees for patients told by a hundred numbers, over which deep ones take ten times as long."""
POOLED_AFTER = 250
"""Levels beyond this many are one level to the boosted trees, which take 255 at most."""


def auroc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Area under the receiver operating curve; nan when a class is empty. Shapes (n,)."""
    return auroc_of(labels, scores)(None)


def auroc_of(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> Weighted:
    """Prepare the AUROC of labels and scores, both of shape (n,)."""
    _, ties = np.unique(scores, return_inverse=True)
    key = ties * 2 + labels

    def figure(weights: NDArray[np.float64] | None) -> float:
        counts = np.bincount(key, weights, minlength=2 * int(ties.max(initial=0)) + 2)
        negative, positive = counts[::2], counts[1::2]
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return float("nan")
        return float(positive @ (np.cumsum(negative) - negative / 2) / pairs)

    return figure


def average_precision_of(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> Weighted:
    """Prepare the average precision of labels and scores, both of shape (n,)."""
    _, ties = np.unique(-scores, return_inverse=True)
    key = ties * 2 + labels

    def figure(weights: NDArray[np.float64] | None) -> float:
        counts = np.bincount(key, weights, minlength=2 * int(ties.max(initial=0)) + 2)
        positive, shown = counts[1::2], np.cumsum(counts[::2] + counts[1::2])
        hits = np.cumsum(positive)
        if hits[-1] == 0:
            return float("nan")
        return float(positive @ (hits / np.maximum(shown, 1e-300)) / hits[-1])

    return figure


def mean_auroc_of(labels: NDArray[np.int64], shares: NDArray[np.float64]) -> Weighted:
    """Prepare the one-against-rest AUROC, averaged over the levels by their counts.

    Parameters
    ----------
    labels : ndarray of shape (n,), int64
        The true level of each record.
    shares : ndarray of shape (n, K), float64
        Predicted probability of each level.
    """
    present = np.unique(labels)
    if len(present) == 2:
        present = present[:1]
    masks = [labels == level for level in present]
    areas = [auroc_of(mask, shares[:, level]) for mask, level in zip(masks, present, strict=True)]

    def figure(weights: NDArray[np.float64] | None) -> float:
        values = np.array([area(weights) for area in areas])
        sizes = np.array([m.sum() if weights is None else weights[m].sum() for m in masks])
        known = np.isfinite(values)
        return float(np.average(values[known], weights=sizes[known])) if known.any() else np.nan

    return figure


def r2_of(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> Weighted:
    """Prepare the share of the variance explained; both of shape (n,)."""
    errors = (truth - predicted) ** 2

    def figure(weights: NDArray[np.float64] | None) -> float:
        w = np.ones(len(truth)) if weights is None else weights
        total = w @ (truth - np.average(truth, weights=w)) ** 2
        return float(1 - w @ errors / total) if total > 0 else float("nan")

    return figure


def for_trees(values: NDArray[np.float64], categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Pool the codes beyond the commonest `POOLED_AFTER` levels; (N, D) in and out.

    Columns with hardly a known cell become constant: they teach nothing, and a fold in which
    all is null is an error of scikit-learn's.
    """
    pooled = values.copy(order="F")
    pooled[:, (~np.isnan(pooled)).sum(0) < KNOWN] = 0.0
    codes = pooled[:, categorical]
    codes[codes >= POOLED_AFTER] = POOLED_AFTER
    pooled[:, categorical] = codes
    return pooled


def trees(measure: Measure, categorical: NDArray[np.bool_], settings: Mapping[str, Any]) -> Any:
    """Make scikit-learn's boosted trees, a classifier for AUROC and a regressor for R2."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if measure == "AUROC" else HistGradientBoostingRegressor
    every = {"categorical_features": categorical, "random_state": 0, **settings}
    return kind(**every)
