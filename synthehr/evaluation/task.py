"""What the parts of an evaluation are given, and what they give back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.group_results import GroupResult, RebalancingResult
from synthehr.evaluation.metric import Better, Estimate, Metric, Section
from synthehr.evaluation.results import (
    Calibration,
    DisclosureResult,
    MembershipResult,
    Pairs,
    RareLevels,
)
from synthehr.evaluation.views import View, Views
from synthehr.seeds import generator

EVALUATION = 6
"""The stream of randomness of evaluations; those of `synthehr.seeds` come before it."""
PARTS = (
    "halves", "fidelity", "missingness", "coverage", "detection", "similarity", "target", "turn",
    "rows", "membership", "disclosure", "shadows", "outliers", "rebalancing",
    "visits", "next visit", "subgroups", "pictures", "effects", "patient map", "images",
)  # fmt: skip

Which = Literal["real", "holdout", "synthetic"]
Informed = Callable[[Which, NDArray[np.int64]], NDArray[np.float64]]
"""Scores records of a table, named by their row numbers (n,): greater for likelier members.

An attacker who knows more than the synthetic table, such as the model file.
"""


@dataclass(frozen=True)
class Task:
    """What every part is given.

    Attributes
    ----------
    views : Views
        The tables.
    trained, unseen : View
        Real against real: the training and the held-out table, or two halves of the real one.
    seed : int
        Each part has a generator of its own, so that leaving one out changes no other.
    clock : Clock
        The time box.
    informed : mapping of str to Informed
        Membership attacks that know more than the synthetic table.
    """

    views: Views
    trained: View
    unseen: View
    seed: int
    clock: Clock
    informed: Mapping[str, Informed] = field(default_factory=dict)

    @property
    def against(self) -> View:
        """Real records that tell most about synthetic ones: the held-out ones, if any."""
        return self.views.real if self.views.holdout is None else self.views.holdout

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of a part, always at its start."""
        return generator_of(self.seed, part)


@dataclass(frozen=True)
class Found:
    """What a part found: figures, values of columns by attribute, and what the report draws."""

    metrics: tuple[Metric, ...] = ()
    columns: dict[str, list[Any]] | None = None
    pairs: Pairs | None = None
    calibration: tuple[Calibration, ...] = ()
    rare_levels: tuple[RareLevels, ...] = ()
    membership: tuple[MembershipResult, ...] = ()
    disclosure: tuple[DisclosureResult, ...] = ()
    groups: tuple[GroupResult, ...] = ()
    rebalancing: tuple[RebalancingResult, ...] = ()


def generator_of(seed: int, part: str, *path: int) -> np.random.Generator:
    """Return the generator of a part, always at its start."""
    return generator(seed, EVALUATION, PARTS.index(part), *path)


def figure(
    section: Section,
    name: str,
    estimate: Estimate | float,
    ceiling: float | None,
    better: Better,
    detail: str,
) -> tuple[Metric, ...]:
    """Make a metric of an estimate, or of an exact value; nothing of nan."""
    exact = not isinstance(estimate, tuple)
    value, low, high = (estimate, None, None) if exact else estimate
    if not np.isfinite(value):
        return ()
    top = None if ceiling is None or not np.isfinite(ceiling) else float(ceiling)
    return (Metric(section, name, float(value), top, low, high, better, detail),)


def mean_of(values: NDArray[np.float64]) -> float:
    """Mean of what is finite; nan when nothing is."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
