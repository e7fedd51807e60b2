"""How well the best of several guesses does, without the luck of having picked it.

The guess, and its direction, are picked on most of the candidates and judged on the rest,
each in turn. So the figure of candidates that nobody could tell apart is that of chance,
however many guesses there are. The null run does the same where the truth is known: between
two halves of the held-out patients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate, between, wilson

NULL_RUNS = 60
DRAWS = 100

Figure = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]
"""A figure of merit of scores, given who is a member; both of shape (n,)."""


class Judged(NamedTuple):
    """A figure with its 95 % interval, and the mean and range of it in the null runs."""

    found: Estimate
    null: Estimate


def rate_at(share: float) -> Figure:
    """Prepare the true-positive rate at a false-positive rate, without bias under chance."""

    def figure(is_member: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
        members, controls = scores[is_member], np.sort(scores[~is_member])[::-1]
        n = len(controls)

        def found(rank: int) -> float:
            """Share of members above the control of this rank, that of equals in their turn."""
            if rank == 0:
                return 0.0
            edge = controls[min(rank, n) - 1]
            above = n - np.searchsorted(controls[::-1], edge, side="right")
            tied = int((controls == edge).sum())
            turn = (rank - above) / (tied + 1)
            return float((members > edge).mean() + turn * (members == edge).mean())

        # Of as many members as controls, the share above the control of rank r is r / (n + 1)
        # in expectation where nobody can tell them apart.
        place = share * (n + 1)
        below = int(place)
        return found(below) + (place - below) * (found(below + 1) - found(below))

    return figure


def judge(
    scores: NDArray[np.float64],
    is_member: NDArray[np.bool_],
    figure: Figure,
    rng: np.random.Generator,
    *,
    folds: int = 5,
) -> Judged:
    """Estimate a figure of the best of some guesses, with a bootstrap over patients.

    Parameters
    ----------
    scores : ndarray of shape (K, n)
        The guesses; either direction of each may be picked, unless it is the only one.
    is_member : ndarray of shape (n,), bool
        The truth.
    figure : callable
        What is estimated, and what the pick should be good at.
    rng : Generator
        Draws folds and resamples.
    folds : int
        How many parts of the candidates are judged by a pick of their own.
    """
    plan = _planned(scores, is_member, figure, rng, folds)
    value = float(np.mean([figure(is_member[own], pick[own]) for own, pick in plan]))
    draws = []
    for _ in range(DRAWS):
        each = []
        for own, pick in plan:
            groups = own[is_member[own]], own[~is_member[own]]
            drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
            each.append(figure(is_member[drawn], pick[drawn]))
        draws.append(np.mean(each))
    found = between(value, np.array(draws))
    found = Estimate(value, min(found.low, value), max(found.high, value))
    return Judged(found, _null_runs(scores[:, ~is_member], figure, rng, folds))


def judge_rate(
    scores: NDArray[np.float64],
    is_member: NDArray[np.bool_],
    share: float,
    rng: np.random.Generator,
) -> Judged:
    """Estimate the true-positive rate at a false-positive rate; parameters as in `judge`.

    The interval is the wider, at either end, of Wilson's given the threshold and of the
    bootstrap, which moves the threshold too but has no width where no member is caught.
    """
    judged = judge(scores, is_member, rate_at(share), rng, folds=2)
    value, low, high = judged.found
    n = int(is_member.sum())
    given = wilson(value * n, n)
    return judged._replace(found=Estimate(value, min(given.low, low), max(given.high, high)))


def _planned(
    scores: NDArray[np.float64],
    is_member: NDArray[np.bool_],
    figure: Figure,
    rng: np.random.Generator,
    folds: int,
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Pick scores for each part of the candidates, by all other parts."""
    everyone = np.arange(len(is_member))
    if len(scores) == 1:
        return [(everyone, scores[0])]
    part = np.empty(len(is_member), dtype=np.int64)
    for which in (True, False):
        own = rng.permutation(np.flatnonzero(is_member == which))
        part[own] = np.arange(len(own)) % folds
    both = np.concatenate([scores, -scores])
    plan = []
    for k in range(folds):
        merits = [figure(is_member[part != k], each[part != k]) for each in both]
        plan.append((everyone[part == k], both[int(np.argmax(merits))]))
    return plan


def _null_runs(
    scores: NDArray[np.float64], figure: Figure, rng: np.random.Generator, folds: int
) -> Estimate:
    """Do the same with two random halves of the controls, scores (K, n), many times over."""
    n, values = scores.shape[1], []
    for _ in range(NULL_RUNS):
        pretended = np.zeros(n, dtype=bool)
        pretended[rng.permutation(n)[: n // 2]] = True
        plan = _planned(scores, pretended, figure, rng, folds)
        values.append(np.mean([figure(pretended[own], pick[own]) for own, pick in plan]))
    return between(float(np.mean(values)), np.array(values))
