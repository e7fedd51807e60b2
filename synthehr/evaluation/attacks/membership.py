"""Membership inference: whether a patient was among those the table was made from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.attacks.candidates import Candidates, isolated
from synthehr.evaluation.attacks.ensemble import judge, judge_rate
from synthehr.evaluation.metric import Estimate
from synthehr.evaluation.results import MembershipResult, Target
from synthehr.evaluation.scores import auroc

RATES = (0.01, 0.001)
FEWEST_ISOLATED = 20
"""Isolated members, and isolated controls, without whom they are not attacked apart."""


class _Rates(NamedTuple):
    found: Estimate | None
    null: Estimate | None


def membership(
    candidates: Candidates, scores: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> list[MembershipResult]:
    """Judge every guess, and the best of them, on random and on isolated patients.

    Parameters
    ----------
    candidates : Candidates
        Members and controls.
    scores : dict of str to ndarray of shape (2n,)
        The guesses.
    rng : Generator
        Draws halves and resamples.

    Returns
    -------
    list of MembershipResult
        For each target the ensemble first.
    """
    apart = isolated(candidates)
    everyone = np.ones(len(apart), dtype=bool)
    targets: dict[Target, NDArray[np.bool_]] = {"random": everyone, "isolated": apart}
    is_member = candidates.is_member
    results = []
    for target, mask in targets.items():
        truth = is_member[mask]
        if min(truth.sum(), (~truth).sum()) < FEWEST_ISOLATED:
            continue
        stacked = np.stack([score[mask] for score in scores.values()])
        results.append(_judged("ensemble", target, stacked, truth, rng))
        for name, score in zip(scores, stacked, strict=True):
            results.append(_judged(name, target, score[None], truth, rng))
    return results


def _judged(
    attack: str,
    target: Target,
    scores: NDArray[np.float64],
    truth: NDArray[np.bool_],
    rng: np.random.Generator,
) -> MembershipResult:
    area = judge(scores, truth, auroc, rng)
    controls = int((~truth).sum())
    rates = [_Rates(None, None), _Rates(None, None)]
    for place, share in enumerate(RATES):
        # With fewer controls than this the threshold lies beyond all of them.
        if share * controls >= 1:
            rates[place] = _Rates(*judge_rate(scores, truth, share, rng))
    return MembershipResult(
        attack=attack,
        target=target,
        members=int(truth.sum()),
        controls=controls,
        auc=area.found,
        auc_null=area.null,
        tpr_1=rates[0].found,
        tpr_1_null=rates[0].null,
        tpr_01=rates[1].found,
        tpr_01_null=rates[1].null,
    )
