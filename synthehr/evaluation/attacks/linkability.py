"""Linkability: two halves of a patient's columns lead to the same synthetic record."""

from __future__ import annotations

import numpy as np

from synthehr.evaluation.attacks.success import disclosure
from synthehr.evaluation.attacks.targets import Targets
from synthehr.evaluation.embedding import closest, spans_of
from synthehr.evaluation.metric import wilson
from synthehr.evaluation.results import DisclosureResult

SPLITS = 3
LINKS = 5
"""Nearest synthetic records of either half that the attacker keeps."""


def linkability(targets: Targets, rng: np.random.Generator) -> DisclosureResult | None:
    """Link halves of columns, `SPLITS` random splits on a share of the targets each.

    An attacker holds both halves without knowing that they are one patient's. He succeeds
    where the `LINKS` synthetic records nearest to either have one in common.
    """
    spans = spans_of(targets.scale, targets.categorical)
    synthetic = targets.points(targets.synthetic)
    if len(spans) < 2 or len(synthetic) <= LINKS:
        return None
    hits = [0, 0]
    points = [targets.points(view) for view in (targets.training, targets.held_out)]
    for split in range(SPLITS):
        columns = rng.permutation(len(spans))
        halves = [
            np.concatenate([np.arange(spans[j].start, spans[j].stop) for j in some])
            for some in (columns[: len(columns) // 2], columns[len(columns) // 2 :])
        ]
        for which, whole in enumerate(points):
            some = whole[split::SPLITS]
            a, b = (closest(some[:, half], synthetic[:, half], LINKS).indices for half in halves)
            hits[which] += int((a[:, :, None] == b[:, None, :]).any(axis=(1, 2)).sum())
    # Two random sets of k among m: 1 - C(m-k, k) / C(m, k).
    m = len(synthetic)
    missed = float(np.prod([max(0, m - LINKS - i) / (m - i) for i in range(LINKS)]))
    n = targets.training.rows
    return disclosure(
        "linkability", n, wilson(hits[0], n), wilson(hits[1], n), wilson((1 - missed) * n, n)
    )
