"""Whom the attacks are run on: training patients, and as many held-out ones as control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.embedding import Scale, by_patient, closest, embed, scale_of
from synthehr.evaluation.views import View, Views

FEWEST = 60
"""Held-out patients, and training ones, without which no attack is measured."""

MOST = 5_000
"""Training patients, and held-out ones, that are attacked; as many are the reference."""

SYNTHETIC = 10_000
"""Synthetic patients that the attacker looks at."""

ISOLATED_SHARE = 0.05


@dataclass(frozen=True)
class Drawn:
    """Some patients of a table, as records and as points.

    Attributes
    ----------
    rows : ndarray of shape (N,), int64
        Which records of the table they are.
    view : View
        Those records.
    points : ndarray of shape (patients, width), float32
        One point a patient.
    """

    rows: NDArray[np.int64]
    view: View
    points: NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """What a membership attack works on.

    Attributes
    ----------
    members, controls : Drawn
        As many patients of the training as of the held-out table: who was trained on?
    reference : Drawn
        Other held-out patients, a third of them: what the attacker knows of the population.
    synthetic : Drawn
        The synthetic patients.
    """

    members: Drawn
    controls: Drawn
    reference: Drawn
    synthetic: Drawn

    @property
    def points(self) -> NDArray[np.float32]:
        """The candidates' points, members first; (2n, width)."""
        return np.concatenate([self.members.points, self.controls.points])

    @property
    def is_member(self) -> NDArray[np.bool_]:
        """Which candidates are members; (2n,)."""
        return np.repeat([True, False], [len(self.members.points), len(self.controls.points)])


def enough(views: Views) -> bool:
    """Say whether there are patients enough to attack."""
    held_out = 0 if views.holdout is None else views.holdout.n_patients
    return min(views.real.n_patients, held_out, views.synthetic.n_patients) >= FEWEST


def draw_candidates(views: Views, holdout: View, rng: np.random.Generator) -> Candidates:
    """Draw the candidates, and the reference among the held-out patients that are none."""
    aside = holdout.n_patients // 3
    n = min(views.real.n_patients, holdout.n_patients - aside, MOST)
    order = rng.permutation(holdout.n_patients)
    scale = scale_of(views.real.sample(MOST, rng), views.categorical)
    any_real = rng.permutation(views.real.n_patients)[:n]
    any_synthetic = rng.permutation(views.synthetic.n_patients)[:SYNTHETIC]
    return Candidates(
        members=_drawn(views.real, any_real, scale, views),
        controls=_drawn(holdout, order[aside : aside + n], scale, views),
        reference=_drawn(holdout, order[: min(aside, MOST)], scale, views),
        synthetic=_drawn(views.synthetic, any_synthetic, scale, views),
    )


def _drawn(view: View, patients: NDArray[np.int64], scale: Scale, views: Views) -> Drawn:
    chosen = np.zeros(view.n_patients, dtype=bool)
    chosen[patients] = True
    rows = np.flatnonzero(chosen[view.patients])
    some = view.take(rows)
    points = embed(some, scale, views.categorical)
    return Drawn(rows, some, by_patient(points, some.patients) if views.grouped else points)


def isolated(candidates: Candidates) -> NDArray[np.bool_]:
    """Mark the candidates that are furthest from any other real patient; (2n,).

    Members and controls are compared with the same real patients, so that neither is the
    more isolated by construction.
    """
    points = candidates.points
    real = np.concatenate([points, candidates.reference.points])
    alone = closest(points, real, 1, skip_self=True).distances[:, 0]
    kept = np.zeros(len(points), dtype=bool)
    kept[np.argsort(-alone, kind="stable")[: round(ISOLATED_SHARE * len(points))]] = True
    return kept
