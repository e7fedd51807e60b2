"""Logistic regressions of a truth on predicted log-odds: one for each set of record weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-6
"""Weight of the slope's square, so that classes apart from one another have a finite one."""
STEPS = 60
SETTLED = 1e-9


def calibration_lines(
    odds: NDArray[np.float64], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit intercept and slope for every set of weights at once.

    Newton's steps from what calibrated log-odds have, intercept 0 and slope 1. None is longer
    than the value it changes, or than 1: where classes are apart, whole steps would not end.

    Parameters
    ----------
    odds : ndarray of shape (n,), float64
        Predicted log-odds.
    truth : ndarray of shape (n,), bool
        Whether each record is in the class.
    weights : ndarray of shape (S, n), float64
        Sets of weights, both classes in each.

    Returns
    -------
    ndarray of shape (S, 2), float64

    References
    ----------
    Cox, 1958, doi:10.1093/biomet/45.3-4.562
    """
    lines = np.tile([0.0, 1.0], (len(weights), 1))
    powers = np.stack([np.ones_like(odds), odds, odds**2], axis=1)
    for _ in range(STEPS):
        chance = 0.5 * (1 + np.tanh(0.5 * (lines[:, :1] + lines[:, 1:] * odds)))
        gradient = (weights * (chance - truth)) @ powers[:, :2]
        gradient[:, 1] += RIDGE * lines[:, 1]
        a, b, c = ((weights * chance * (1 - chance)) @ powers).T
        curvature = np.stack([a + RIDGE, b, b, c + RIDGE], axis=1).reshape(-1, 2, 2)
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        excess = np.abs(step) / np.maximum(1.0, np.abs(lines))
        lines -= step / np.maximum(1.0, excess.max(axis=1, keepdims=True))
        if np.abs(step).max(initial=0.0) < SETTLED:
            break
    return lines
