"""The parts of an evaluation that attack the synthetic table."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthehr.evaluation.attacks.candidates import (
    FEWEST,
    Candidates,
    Drawn,
    draw_candidates,
    enough,
)
from synthehr.evaluation.attacks.guesses import by_classifier, by_distance, mean_by_patient
from synthehr.evaluation.attacks.inference import MOST_SECRETS, inference
from synthehr.evaluation.attacks.linkability import linkability
from synthehr.evaluation.attacks.membership import membership
from synthehr.evaluation.attacks.singling_out import singling_out
from synthehr.evaluation.attacks.targets import draw_targets
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import DisclosureResult, MembershipResult
from synthehr.evaluation.task import Found, Task, figure

NAMES = {
    "singling out by one column": "singling_out_univariate",
    "singling out": "singling_out",
    "linkability": "linkability",
    "attribute inference": "attribute_inference",
    "attribute inference, worst column": "attribute_inference_worst",
}
"""Figures of the report by attack."""

_UNTIL = 0.8
_MEMBERSHIP = "membership inference"
_DISCLOSURE = "singling out, linkability and attribute inference"


def measure_membership(task: Task) -> Found:
    """Attack with every guess, on random and on isolated patients."""
    views, clock = task.views, task.clock
    if not _possible(task, _MEMBERSHIP) or views.holdout is None:
        return Found()
    rng = task.rng("membership")
    candidates = draw_candidates(views, views.holdout, rng)
    scores = by_distance(candidates)
    scores["classifier"] = by_classifier(candidates, views.categorical)
    for name, informed in task.informed.items():
        scores[name] = np.concatenate([
            mean_by_patient(informed("real", candidates.members.rows), candidates.members),
            mean_by_patient(informed("holdout", candidates.controls.rows), candidates.controls),
        ])  # fmt: skip
    results = membership(candidates, scores, rng)
    _cap(task, candidates)
    if all(result.target == "random" for result in results):
        clock.give_up("membership of isolated patients", "there are too few of them")
    metrics: tuple[Metric, ...] = ()
    for result in results:
        if result.attack == "ensemble":
            metrics += membership_figures(result, len(scores))
    return Found(metrics, membership=tuple(results))


def measure_disclosure(task: Task) -> Found:
    """Try to single out, to link, and to infer."""
    views, clock = task.views, task.clock
    if not _possible(task, _DISCLOSURE) or views.holdout is None:
        return Found()
    rng = task.rng("disclosure")
    results = list(singling_out(views, views.holdout, rng))
    targets = draw_targets(views, views.holdout, rng)
    linked, inferred = linkability(targets, rng), inference(targets, rng)
    results += [] if linked is None else [linked]
    columns: dict[str, list[Any]] = {}
    if inferred is not None:
        results += [each for each in (inferred.mean, inferred.worst) if each is not None]
        width = len(views.columns)
        clock.cap("attribute inference", min(width, MOST_SECRETS), width, "columns")
        by_column = dict(zip(inferred.columns, inferred.each, strict=True))
        found = [by_column.get(j) for j in range(width)]
        columns = {
            "inferred_training": [None if each is None else each.training.value for each in found],
            "inferred_held_out": [None if each is None else each.held_out.value for each in found],
            "inferred_naive": [None if each is None else each.naive.value for each in found],
        }
    most = min(views.real.n_patients, views.holdout.n_patients)
    clock.cap(_DISCLOSURE, targets.training.rows, most, "training patients, and held-out ones")
    metrics = [metric for result in results for metric in _disclosure_figure(result)]
    return Found(tuple(metrics), columns, disclosure=tuple(results))


def _possible(task: Task, part: str) -> bool:
    if task.views.holdout is None:
        task.clock.give_up(part, "no held-out records were given")
    elif not enough(task.views):
        task.clock.give_up(part, f"a table has fewer than {FEWEST} patients")
    elif not task.clock.allows(_UNTIL):
        task.clock.too_late(part)
    else:
        return True
    return False


def _cap(task: Task, candidates: Candidates) -> None:
    views, unit = task.views, "patients" if task.views.grouped else "records"
    holdout = 0 if views.holdout is None else views.holdout.n_patients
    used: dict[str, tuple[Drawn, int]] = {
        f"training {unit}": (candidates.members, views.real.n_patients),
        f"held-out {unit} as controls": (candidates.controls, holdout - holdout // 3),
        f"held-out {unit} as reference": (candidates.reference, holdout // 3),
        f"synthetic {unit}": (candidates.synthetic, views.synthetic.n_patients),
    }
    for what, (drawn, of) in used.items():
        task.clock.cap(_MEMBERSHIP, drawn.view.n_patients, of, what)


def membership_figures(result: MembershipResult, guesses: int) -> tuple[Metric, ...]:
    """Give what the ensemble reaches as figures of the report."""
    random = result.target == "random"
    prefix = "membership" if random else "isolated"
    who = "" if random else " that lie furthest from any other"
    said = (
        f"Best of {guesses} attacks, picked on one half of {result.members} training and "
        f"{result.controls} held-out patients{who} and judged on the other; beside it the mean "
        "of held-out against held-out."
    )
    metrics = figure("privacy", f"{prefix}_auc", result.auc, result.auc_null.value, "lower", said)
    for name, found, null, share in (
        ("tpr_1", result.tpr_1, result.tpr_1_null, "1 %"),
        ("tpr_01", result.tpr_01, result.tpr_01_null, "0.1 %"),
    ):
        if found is not None and null is not None:
            metrics += figure(
                "privacy", f"{prefix}_{name}", found, null.value, "lower",
                f"Share of members found where {share} of others are taken for one. {said}",
            )  # fmt: skip
    return metrics


def _disclosure_figure(result: DisclosureResult) -> tuple[Metric, ...]:
    rates = ", ".join(
        f"{100 * rate.value:.1f} % {on}"
        for rate, on in (
            (result.training, "on training patients"),
            (result.held_out, "on held-out ones"),
            (result.naive, "by naive guesses"),
        )
    )
    said = f"Success beyond that on held-out patients, {result.tries} tries: {rates}."
    return figure("privacy", NAMES[result.attack], result.risk, 0.0, "lower", said)
