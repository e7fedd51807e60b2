"""Whom singling out, linkability and attribute inference are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.embedding import Scale, embed, scale_of
from synthehr.evaluation.views import View, Views

MOST_TARGETS = 2_000
MOST_SYNTHETIC = 10_000
MOST_SINGLED = 5_000


@dataclass(frozen=True)
class Targets:
    """Records to attack, one a patient, and the synthetic ones to attack them with.

    Attributes
    ----------
    training, held_out, synthetic : View
        The records; as many training as held-out ones.
    scale : Scale
        What turns them into points.
    categorical : ndarray of shape (D,), bool
        Which columns hold codes.
    """

    training: View
    held_out: View
    synthetic: View
    scale: Scale
    categorical: NDArray[np.bool_]

    def points(self, view: View) -> NDArray[np.float32]:
        """Place records as points."""
        return embed(view, self.scale, self.categorical)


def draw_targets(views: Views, holdout: View, rng: np.random.Generator) -> Targets:
    """Draw one record of each of as many training as held-out patients."""
    n = min(views.real.n_patients, holdout.n_patients, MOST_TARGETS)
    return Targets(
        training=_one_each(views.real, n, rng),
        held_out=_one_each(holdout, n, rng),
        synthetic=views.synthetic.sample(MOST_SYNTHETIC, rng),
        scale=scale_of(views.real.sample(MOST_SYNTHETIC, rng), views.categorical),
        categorical=views.categorical,
    )


def _one_each(view: View, n: int, rng: np.random.Generator) -> View:
    order = rng.permutation(view.rows)
    _, first = np.unique(view.patients[order], return_index=True)
    return view.take(order[rng.permutation(first)[:n]])


def whole(view: View, n: int, rng: np.random.Generator) -> View:
    """Draw n patients with all their records, sorted by patient."""
    chosen = np.zeros(view.n_patients, dtype=bool)
    chosen[rng.permutation(view.n_patients)[:n]] = True
    rows = np.flatnonzero(chosen[view.patients])
    return view.take(rows[np.argsort(view.patients[rows], kind="stable")])
