"""Guesses at membership: each gives every candidate a score, greater for likelier members.

References
----------
Density ratio: van Breugel et al., 2023, arXiv:2302.12580. Ensemble: Ward et al., 2025,
arXiv:2509.18014. Classifier: Hayes et al., 2019, doi:10.2478/popets-2019-0008.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.attacks.candidates import Candidates, Drawn
from synthehr.evaluation.embedding import closest
from synthehr.evaluation.scores import for_trees, trees

NEIGHBOURS = 5
_SMALL = 1e-3
_ROUNDS = 60


def by_distance(candidates: Candidates) -> dict[str, NDArray[np.float64]]:
    """Guess by the synthetic and the reference patients nearby; each score (2n,).

    A candidate's neighbourhood is the ball that holds `NEIGHBOURS` reference patients; the
    more synthetic ones lie in it, the likelier was the candidate trained on.
    """
    points = candidates.points
    k = min(NEIGHBOURS, len(candidates.reference.points), len(candidates.synthetic.points))
    reference = closest(points, candidates.reference.points, k).distances
    found = closest(points, candidates.synthetic.points, k, radius=reference[:, -1])
    near, far = found.distances, reference
    return {
        "near match": -near[:, 0],
        "difference of distances": far[:, 0] - near[:, 0],
        "density ratio": np.log(far.mean(axis=1) + _SMALL) - np.log(near.mean(axis=1) + _SMALL),
        "local neighbourhood": found.within.astype(np.float64),
    }


def by_classifier(candidates: Candidates, categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Guess by boosted trees that tell synthetic from reference records; (2n,)."""
    synthetic, reference = candidates.synthetic.view, candidates.reference.view
    x = for_trees(np.concatenate([synthetic.values, reference.values]), categorical)
    y = np.repeat([True, False], [synthetic.rows, reference.rows])
    classifier = trees("AUROC", categorical, {"max_iter": _ROUNDS, "class_weight": "balanced"})
    classifier.fit(x, y)
    return np.concatenate([
        mean_by_patient(
            classifier.predict_proba(for_trees(drawn.view.values, categorical))[:, 1], drawn
        )
        for drawn in (candidates.members, candidates.controls)
    ])  # fmt: skip


def mean_by_patient(scores: NDArray[np.float64], drawn: Drawn) -> NDArray[np.float64]:
    """Average the scores of records over each patient; (patients,)."""
    sums = np.bincount(drawn.view.patients, scores, minlength=drawn.view.n_patients)
    return sums / np.bincount(drawn.view.patients, minlength=drawn.view.n_patients)
