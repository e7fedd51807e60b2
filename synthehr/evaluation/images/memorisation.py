"""Whether synthetic images are training images: nearest neighbours, mirror images included.

A synthetic image counts as memorised if it lies nearer to a training image than 99 % of training
images lie to the nearest of another patient. Other real images of unseen patients do so by
chance; their share stands beside it. A clean result proves nothing: distances miss crops,
changes of contrast, and parts of images (arXiv:2402.01054, arXiv:2512.14421).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.embedding import CHUNK_CELLS
from synthehr.evaluation.images.features import Features, shrunk
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.metric import Estimate, bootstrap, wilson

NEAR_SHARE = 0.01
QUERIES = 2_000
MOST_PIXELS = 1024
ROUNDS = 4
"""Subsets of patients over which the nearer of two sets is averaged."""
MIRRORS = ((3,), (2,), (2, 3))

Points = NDArray[np.float32]


class Memorised(NamedTuple):
    """What synthetic images have in common with training images, in one kind of features.

    Attributes
    ----------
    images, images_base : Estimate
        Share of synthetic images that are memorised; the same of unseen real images.
    patients, patients_base : float
        Share of training patients of whom an image is memorised; and of those who would be found
        by as many unseen real images.
    nearer : Estimate
        Share of synthetic images nearer to a training image than to an unseen one, of as many
        patients; ties count half. 0.5 where nothing is memorised.
    repeated, repeated_base : Estimate
        Share of synthetic images as near to another synthetic one; of training images as near to
        one of another patient.
    nearest : ndarray of shape (q,), int64
        The nearest training image of each synthetic one that was looked at.
    distances : ndarray of shape (q,)
        How far it is, over the distance from which on an image counts as memorised.
    """

    images: Estimate
    images_base: Estimate
    patients: float
    patients_base: float
    nearer: Estimate
    repeated: Estimate
    repeated_base: Estimate
    nearest: NDArray[np.int64]
    distances: NDArray[np.float64]


class _Found(NamedTuple):
    """Distance to the nearest point over all mirror images, and which it is; shapes (q,)."""

    distance: NDArray[np.float64]
    index: NDArray[np.int64]


def pixel_points(images: ImageRecords) -> Points:
    """Lay images out as points of at most 1024 numbers, by means over areas."""
    return shrunk(images, MOST_PIXELS)


def _mirrored(images: ImageRecords, lay: Callable[[ImageRecords], Points]) -> list[Points]:
    """Lay the three mirror images of each image out as points, (n, D) each."""
    return [lay(images.flipped(axes)) for axes in MIRRORS]


def memorisation(
    trained: ImageRecords,
    unseen: ImageRecords,
    synthetic: ImageRecords,
    features: Features | None,
    rng: np.random.Generator,
) -> Memorised:
    """Look for training images among synthetic ones.

    Parameters
    ----------
    trained, unseen, synthetic : ImageRecords
        All are looked at: give no more than `QUERIES` unseen and synthetic ones.
    features : Features or None
        What distances are measured in; None: pixels.
    rng : Generator
        Source of the resampling and of subsets of patients.
    """
    lay = pixel_points if features is None else features
    among, who = lay(trained), trained.who
    some = np.sort(rng.permutation(len(trained))[:QUERIES])
    known = [among[some], *_mirrored(trained.take(some), lay)]
    others = [lay(unseen), *_mirrored(unseen, lay)]
    made = [lay(synthetic), *_mirrored(synthetic, lay)]
    limit = float(np.quantile(_nearest(known, among, who[some], who).distance, NEAR_SHARE))
    to_training, base = _nearest(made, among), _nearest(others, among)
    hits, base_hits = to_training.distance <= limit, base.distance <= limit
    as_many = rng.integers(0, len(unseen), len(synthetic))
    exposed = [
        len(np.unique(who[index])) / trained.n_patients
        for index in (to_training.index[hits], base.index[as_many][base_hits[as_many]])
    ]
    fewer = slice(min(len(some), len(synthetic)))
    repeats, base_repeats = (
        _nearest([view[fewer] for view in views], views[0][fewer], of[fewer], of[fewer])
        for views, of in ((made, synthetic.who), (known, who[some]))
    )
    return Memorised(
        images=_share(hits, synthetic.who, rng),
        images_base=_share(base_hits, unseen.who, rng),
        patients=exposed[0],
        patients_base=exposed[1],
        nearer=_nearer(made, (among, others[0]), (who, unseen.who), synthetic.who, rng),
        repeated=_share(repeats.distance <= limit, synthetic.who[fewer], rng),
        repeated_base=_share(base_repeats.distance <= limit, who[some][fewer], rng),
        nearest=to_training.index,
        distances=to_training.distance / (limit or 1.0),
    )


def _share(hits: NDArray[np.bool_], who: NDArray[np.int64], rng: np.random.Generator) -> Estimate:
    """Estimate a share over patients; with Wilson's interval where each has one image."""
    if len(np.unique(who)) == len(who):
        return wilson(float(hits.sum()), len(hits))
    found = hits.astype(np.float64)
    return bootstrap(lambda weights: float(np.average(found, weights=weights)), who, rng)


def _nearest(
    views: list[Points],
    among: Points,
    who: NDArray[np.int64] | None = None,
    owners: NDArray[np.int64] | None = None,
) -> _Found:
    """Find the nearest point over mirror images; with `who`, the nearest of another owner."""
    reference = among.astype(np.float32)
    lengths = (reference * reference).sum(axis=1)
    step = max(1, CHUNK_CELLS // len(reference))
    best = np.full(len(views[0]), np.inf)
    index = np.zeros(len(views[0]), dtype=np.int64)
    for view in views:
        for start in range(0, len(view), step):
            rows = slice(start, start + step)
            squares = lengths - 2 * (view[rows] @ reference.T)
            if who is not None and owners is not None:
                squares[who[rows, None] == owners] = np.inf
            found = squares.argmin(axis=1)
            # The product rounds; what is compared is computed from the differences themselves.
            far = np.linalg.norm((view[rows] - reference[found]).astype(np.float64), axis=1)
            far[np.isinf(squares[np.arange(len(found)), found])] = np.inf
            better = far < best[rows]
            best[rows] = np.where(better, far, best[rows])
            index[rows] = np.where(better, found, index[rows])
    return _Found(best, index)


def _nearer(
    made: list[Points],
    real: tuple[Points, Points],
    owners: tuple[NDArray[np.int64], NDArray[np.int64]],
    who: NDArray[np.int64],
    rng: np.random.Generator,
) -> Estimate:
    """Estimate how often a training image is nearer than an unseen one, of as many patients."""
    most = [int(of.max()) + 1 for of in owners]
    wins = np.zeros(len(who))
    for _ in range(ROUNDS):
        far = []
        for points, of, count in zip(real, owners, most, strict=True):
            chosen = np.zeros(count, dtype=bool)
            chosen[rng.permutation(count)[: min(most)]] = True
            far.append(_nearest(made, points[chosen[of]]).distance)
        tie = np.isclose(far[0], far[1], rtol=1e-5, atol=1e-6)
        wins += np.where(tie, 0.5, far[0] < far[1]) / ROUNDS
    return bootstrap(lambda weights: float(np.average(wins, weights=weights)), who, rng)
