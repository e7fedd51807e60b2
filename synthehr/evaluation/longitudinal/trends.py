"""How much a column moves a unit of time, as a model with an effect of each patient has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.intervals import HALF, Fit, overlap
from synthehr.evaluation.longitudinal.resampled import Compare, Figures, Resampled, averaged

FEWEST = 20
"""Patients with two values at different times, without whom there is no trend."""


def trends(pair: Compare) -> Figures:
    """Compare the trends of changing numbers by how their intervals overlap."""
    found = {}
    for j in pair.numbers:
        if pair.static[j]:
            continue
        fits = [trend(side, j) for side in pair.both]
        if fits[0] is not None:
            nothing = np.zeros(pair.other.weights.shape[1])
            found[pair.columns[j].name] = nothing if fits[1] is None else overlap(fits[0], fits[1])
    return averaged("trend_overlap", found)


def trend(side: Resampled, j: int) -> Fit | None:
    """Slope over time within patients and half its interval, (1 + B,) each.

    Least squares with an intercept of each patient; errors may hang together within a patient
    (Liang and Zeger 1986, doi:10.1093/biomet/73.1.13). None where few patients say anything.
    """
    line = side.line
    held = ~np.isnan(line.values[:, j])
    who, x, y = line.patients[held], line.times[held], line.values[held, j]
    n = np.maximum(np.bincount(who, minlength=line.n_patients), 1)

    def centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values - (np.bincount(who, values, line.n_patients) / n)[who]

    x, y = centred(x), centred(y)
    squares = np.bincount(who, x * x, line.n_patients)
    products = np.bincount(who, x * y, line.n_patients)
    if (squares > 0).sum() < FEWEST:
        return None
    each = np.stack([products, squares, products * products, products * squares, squares * squares])
    xy, xx, xyxy, xyxx, xxxx = each @ side.weights
    slope = xy / xx
    # Of a patient's share of the estimating equation, ``products - slope * squares``.
    score = np.maximum(xyxy - 2 * slope * xyxx + slope**2 * xxxx, 0.0)
    return slope, HALF * np.sqrt(score) / xx
