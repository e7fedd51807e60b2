"""Whether synthetic records resemble those they were made from more than unseen ones.

Similarity, not privacy: a table can pass all of this and still give patients away
(arXiv:2505.01524). Everything stands beside the same figure of held-out records. Where a
patient has several records, the point that is compared is the patient.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.evaluation.embedding import Scale, by_patient, embed, nearest, scale_of
from synthehr.evaluation.metric import Estimate, bootstrap, wilson
from synthehr.evaluation.views import View, Views

REFERENCE = 5_000
QUERIES = 3_000
NEAR_SHARE = 0.01
DIGITS = 6


class Similarity(NamedTuple):
    """Figures of the synthetic table, each beside that of held-out records.

    Attributes
    ----------
    exact, exact_ceiling : Estimate
        Share of patients (records, where a patient has one) with a record that equals a
        training record in every column.
    near, near_ceiling : Estimate
        Share that lies nearer to a training point than all but 1 % of the held-out ones.
    nearer : Estimate
        Share nearer to a training than to a held-out point, as many of each; ties count half.
    distance_ratio, distance_ratio_ceiling : Estimate
        Median distance to the nearest over the second nearest training point.
    used : int
        Points of the synthetic table.
    reference : int
        Training points, and as many held-out ones.
    """

    exact: Estimate
    exact_ceiling: Estimate
    near: Estimate
    near_ceiling: Estimate
    nearer: Estimate
    distance_ratio: Estimate
    distance_ratio_ceiling: Estimate
    used: int
    reference: int


def hashes(view: View) -> NDArray[np.uint64]:
    """Hash each record, rounded to 6 digits after the point; shape (N,)."""
    state = np.full(view.rows, 0x9E3779B97F4A7C15, dtype=np.uint64)
    for j in range(view.values.shape[1]):
        rounded = np.round(view.values[:, j], DIGITS) + 0.0
        rounded[np.isnan(rounded)] = np.nan
        state = (state ^ rounded.view(np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(29)
    return state


def check_overlap(views: Views) -> None:
    """Refuse a held-out table that was trained on, and a table that is compared with itself.

    Raises
    ------
    InputError
        If two tables are the same one, or held-out records are real ones beyond chance.
    """
    real, synthetic = hashes(views.real), hashes(views.synthetic)
    hint = "check the order of the files: real, then synthetic; and held-out ones apart"
    if _same(real, synthetic):
        raise InputError("the real and the synthetic table hold the same records", hint=hint)
    if views.holdout is None:
        return
    holdout = hashes(views.holdout)
    if _same(holdout, synthetic):
        raise InputError("the held-out and the synthetic table hold the same records", hint=hint)
    shared = _beyond_chance(holdout, real)
    if shared > 0.05 or _same(real, holdout):
        raise InputError(
            f"{np.isin(holdout, real).sum()} of {len(holdout)} held-out records are in the real "
            "table too, more than chance explains",
            hint="hold records out before fitting, whole patients, and give the rest as real",
        )


def _same(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> bool:
    return len(a) == len(b) and bool((np.sort(a) == np.sort(b)).all())


def _beyond_chance(some: NDArray[np.uint64], among: NDArray[np.uint64]) -> float:
    """Lower bound of the share of records that are copies, given how often records repeat."""
    matched = float(np.isin(some, among).mean())
    _, index, counts = np.unique(among, return_inverse=True, return_counts=True)
    repeated = float((counts[index] > 1).mean())
    if repeated > 0.95:
        return 0.0
    error = 4 * np.sqrt(repeated * (1 - repeated) * (1 / len(some) + 1 / len(among)))
    return (matched - repeated - error) / (1 - repeated)


def _exact(view: View, training: NDArray[np.uint64]) -> Estimate:
    """Share of patients with a record that is a training record."""
    copied = np.isin(hashes(view), training)
    hit = np.bincount(view.patients, copied, minlength=view.n_patients) > 0
    return wilson(float(hit.sum()), view.n_patients)


def _points(
    view: View, n: int, scale: Scale, views: Views, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Embed n patients drawn at random, as points."""
    chosen = np.zeros(view.n_patients, dtype=bool)
    chosen[rng.permutation(view.n_patients)[:n]] = True
    some = view.take(np.flatnonzero(chosen[view.patients]))
    points = embed(some, scale, views.categorical)
    return by_patient(points, some.patients) if views.grouped else points


def similarity(views: Views, rng: np.random.Generator) -> Similarity | None:
    """Compare synthetic with training and held-out records; None without enough of the latter.

    Parameters
    ----------
    views : Views
        With a held-out table.
    rng : Generator
        Draws at most `REFERENCE` points of either real table and `QUERIES` synthetic ones.
    """
    holdout = views.holdout
    if holdout is None:
        return None
    n = min(views.real.n_patients, holdout.n_patients, REFERENCE)
    if n < 20 or views.synthetic.n_patients < 20:
        return None
    scale = scale_of(views.real.sample(max(REFERENCE, n), rng), views.categorical)
    training = _points(views.real, n, scale, views, rng)
    unseen = _points(holdout, n, scale, views, rng)
    synthetic = _points(views.synthetic, QUERIES, scale, views, rng)
    to_training, to_unseen = nearest(synthetic, training), nearest(synthetic, unseen)
    base = nearest(unseen, training)
    nearer = _wins(to_training.first, to_unseen.first)
    threshold = np.quantile(base.first, NEAR_SHARE)
    near = to_training.first <= threshold
    base_near = base.first <= threshold
    known = hashes(views.real)
    return Similarity(
        exact=_exact(views.synthetic, known),
        exact_ceiling=_exact(holdout, known),
        near=wilson(float(near.sum()), len(near)),
        near_ceiling=wilson(float(base_near.sum()), len(base_near)),
        nearer=wilson(float(nearer.sum()), len(nearer)),
        distance_ratio=_median_ratio(to_training.first, to_training.second, rng),
        distance_ratio_ceiling=_median_ratio(base.first, base.second, rng),
        used=len(synthetic),
        reference=n,
    )


def _wins(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where a is smaller, one half where both are equal up to rounding."""
    tie = np.isclose(a, b, rtol=1e-5, atol=1e-6)
    return np.where(tie, 0.5, a < b)


def _median_ratio(
    first: NDArray[np.float64], second: NDArray[np.float64], rng: np.random.Generator
) -> Estimate:
    ratios = np.where(second > 0, first / np.where(second > 0, second, 1.0), 1.0)
    ordered = np.sort(ratios)

    def median(weights: NDArray[np.float64] | None) -> float:
        if weights is None:
            return float(np.median(ordered))
        return float(ordered[np.searchsorted(np.cumsum(weights), weights.sum() / 2)])

    return bootstrap(median, np.arange(len(ordered)), rng)
