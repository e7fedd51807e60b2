"""Whether the synthetic table holds the rare levels, and covers the real records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.embedding import embed, nearest, scale_of
from synthehr.evaluation.metric import Estimate, between, bootstrap_weights
from synthehr.evaluation.results import SMALLEST, RareLevels
from synthehr.evaluation.views import View

ROWS = 5_000
BANDS = ((0.0, 0.001), (0.001, 0.01), (0.01, 0.05))


class Levels(NamedTuple):
    """Levels of a column that at least `SMALLEST` real patients hold.

    Attributes
    ----------
    real, synthetic : ndarray of shape (L,)
        Share of the records that hold each of them.
    """

    real: NDArray[np.float64]
    synthetic: NDArray[np.float64]


def patients_a_level(codes: NDArray[np.float64], patients: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the patients that hold each level, shape (levels,); nulls are left out."""
    known = ~np.isnan(codes)
    if not known.any():
        return np.zeros(0, dtype=np.int64)
    levels = codes[known].astype(np.int64)
    return patients_a_cell(levels, patients[known], int(levels.max()) + 1)


def patients_a_cell(
    cells: NDArray[np.int64], patients: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Count the patients with a record in each of `size` cells; shapes (n,) in, (size,) out."""
    n = int(patients.max(initial=0)) + 1
    if np.bincount(patients, minlength=n).max() > 1:
        pairs = np.unique(cells * n + patients)
        return np.bincount(pairs // n, minlength=size)
    return np.bincount(cells, minlength=size)


def levels_of(real: View, synthetic: View, j: int) -> Levels:
    """Shares of the levels of column j that enough real patients hold."""
    enough = np.flatnonzero(patients_a_level(real.values[:, j], real.patients) >= SMALLEST)
    shares = []
    for view in (real, synthetic):
        codes = view.values[:, j]
        codes = codes[~np.isnan(codes)].astype(np.int64)
        counts = np.bincount(codes, minlength=int(enough.max(initial=-1)) + 1)
        shares.append(counts[enough] / view.rows)
    return Levels(*shares)


def rare_levels(columns: list[Levels], n_synthetic: int) -> tuple[RareLevels, ...]:
    """Count the rare levels that the synthetic table holds, by bands of their real share.

    The ceiling is what n fresh real records would hold: a level of share p with probability
    ``1 - (1 - p) ** n``.
    """
    real = np.concatenate([c.real for c in columns] or [np.empty(0)])
    synthetic = np.concatenate([c.synthetic for c in columns] or [np.empty(0)])
    rows = []
    for low, high in BANDS:
        band = (real > low) & (real <= high)
        expected = 1 - (1 - real[band]) ** n_synthetic
        rows.append(
            RareLevels(
                f"{low * 100:g} % to {high * 100:g} %" if low else f"up to {high * 100:g} %",
                int(band.sum()),
                int((synthetic[band] > 0).sum()),
                float(real[band].sum()),
                float(synthetic[band].sum()),
                float(expected.mean()) if band.any() else None,
            )
        )
    return tuple(rows)


class Coverage(NamedTuple):
    """α-precision (are the records plausible?) and β-recall (are the real ones covered?)."""

    precision: Estimate
    recall: Estimate


def alpha_beta(
    real: View,
    synthetic: View,
    categorical: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    rows: int = ROWS,
) -> Coverage | None:
    """Integrated α-precision and β-recall, each 1 at best, from equally many records of both.

    NOTE[DIFF]: distances are taken between scaled records, without the paper's learned
    one-class embedding, and the sphere is centred on the mean real record, as in synthcity.

    References
    ----------
    Alaa et al., 2022, arXiv:2102.08921
    """
    n = min(real.rows, synthetic.rows, rows)
    if n < 2 * SMALLEST:
        return None
    real, synthetic = real.sample(n, rng), synthetic.sample(n, rng)
    scale = scale_of(real, categorical)
    a, b = embed(real, scale, categorical), embed(synthetic, scale, categorical)
    levels = np.linspace(0, 1, 31)[1:]
    centre = a.mean(axis=0)
    of_real = np.linalg.norm(a - centre, axis=1)
    of_synthetic = np.linalg.norm(b - centre, axis=1)
    inside = of_synthetic[:, None] <= np.quantile(of_real, levels)
    to_real = nearest(a, a, skip_self=True)
    to_synthetic = nearest(a, b)
    from_mean = np.linalg.norm(b - b.mean(axis=0), axis=1)
    covered = (to_synthetic.first <= to_real.first)[:, None] & (
        from_mean[to_synthetic.index][:, None] <= np.quantile(from_mean, levels)
    )
    return Coverage(
        _integrated(inside, synthetic.patients, levels, rng),
        _integrated(covered, real.patients, levels, rng),
    )


def _integrated(
    hits: NDArray[np.bool_],
    patients: NDArray[np.int64],
    levels: NDArray[np.float64],
    rng: np.random.Generator,
) -> Estimate:
    """1 minus the mean distance between the curve of hits and the diagonal."""
    weights = np.vstack([np.ones(len(hits)), bootstrap_weights(patients, rng)])
    curves = weights @ hits / weights.sum(axis=1, keepdims=True)
    scores = 1 - np.abs(curves - levels).sum(axis=1) / levels.sum()
    return between(float(scores[0]), scores[1:])
