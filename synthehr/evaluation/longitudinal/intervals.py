"""Effects with their intervals, and how far those of two tables agree.

Intervals that are one and the same overlap by 1, intervals apart by 0 (Karr et al. 2006,
doi:10.1198/000313006X124640). Those of two samples of one population and size overlap by .71 on
average, so real visits beside real ones do not come to 1 either.
"""

from __future__ import annotations

import numpy as np

from synthehr.evaluation.longitudinal.resampled import Draws

HALF = 1.96
"""Standard errors from a coefficient to the end of its interval."""

Fit = tuple[Draws, Draws]
"""Coefficients, and the half widths of their intervals."""


def overlap(a: Fit, b: Fit) -> Draws:
    """Share of two intervals that they have in common, mean of both; shape of the fits."""
    low = np.maximum(a[0] - a[1], b[0] - b[1])
    high = np.minimum(a[0] + a[1], b[0] + b[1])
    common = np.maximum(high - low, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = (common / (2 * a[1]) + common / (2 * b[1])) / 2
    exact = (a[1] == 0) & (b[1] == 0)
    return np.where(exact, (a[0] == b[0]).astype(np.float64), np.nan_to_num(shares))
