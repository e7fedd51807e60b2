"""How far drawn records are from held-out ones: what chooses an adversarial model's weights."""

from __future__ import annotations

import numpy as np
from torch import Tensor

DRAWN = 4096
"""Records drawn for a comparison; as many held-out ones are taken, where there are."""

FOLDS = 2


def detectability(held_out: Tensor, drawn: Tensor) -> float:
    """How well boosted trees tell drawn records from held-out ones: a two-sample test.

    Parameters
    ----------
    held_out, drawn : Tensor of shape (N, 2, D) and (M, 2, D)
        Codes.

    Returns
    -------
    float
        Area under the curve over two folds; 0.5 best, 1 worst (Lopez-Paz and Oquab 2017,
        arXiv:1610.06545, with this statistic).
    """
    # heavy to import, and needed in training alone
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    n = min(DRAWN, len(held_out), len(drawn))
    if n < 2 * FOLDS:
        return 0.5
    both = [codes[:n].flatten(1).cpu().numpy().astype(np.float32) for codes in (held_out, drawn)]
    cells, is_drawn = np.concatenate(both), np.repeat([0, 1], n)
    score = np.zeros(2 * n)
    fold = np.arange(2 * n) % FOLDS
    for left_out in range(FOLDS):
        here = fold == left_out
        trees = HistGradientBoostingClassifier(
            max_iter=50, min_samples_leaf=min(20, 1 + n // 20), random_state=0
        )
        trees.fit(cells[~here], is_drawn[~here])
        score[here] = trees.predict_proba(cells[here])[:, 1]
    return 0.5 + abs(float(roc_auc_score(is_drawn, score)) - 0.5)
