"""Results of an evaluation made by hand, for the tests of the report."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.group_results import GroupResult, RebalancingResult, RuleResult
from synthehr.evaluation.metric import Estimate, Metric
from synthehr.evaluation.results import (
    Calibration,
    Cap,
    ColumnKind,
    ColumnResult,
    DisclosureResult,
    Histogram,
    MembershipResult,
    NotMeasurable,
    Pairs,
    RareLevels,
    Results,
)

METRICS = (
    Metric("fidelity", "shape", 0.9791, 0.9862, 0.9751, 0.9833, "higher", "Twelve columns."),
    Metric("fidelity", "trend", 0.8613, 0.9641, 0.8552, 0.8684, "higher"),
    Metric("detection", "detection_auroc", 0.8151, 0.5042, 0.7931, 0.8373, "lower"),
    Metric("utility", "target_auroc", 0.7472, 0.7991, 0.7023, 0.8004, "higher"),
    Metric("missingness", "null_share_error", 0.0123, 0.0021, None, None, "lower"),
    Metric("coverage", "alpha_precision", float("nan"), None, None, None, "higher"),
    Metric("privacy", "membership_auc", 0.5212, 0.5021, 0.5093, 0.5334, "lower"),
    Metric("privacy", "linkability", 0.0211, 0.0, -0.0312, 0.0943, "lower"),
    Metric("privacy", "attribute_inference", 0.0132, 0.0, -0.0104, 0.0371, "lower"),
    Metric("similarity", "exact_copies", 0.0003, 0.0001, 0.0, 0.0012, "lower"),
    Metric("similarity", "nearer_to_training", 0.5061, 0.5, 0.4882, 0.5243, "ceiling"),
)
MEMBERSHIP = (
    MembershipResult(
        "ensemble", "random", 1022, 1022,
        Estimate(0.5212, 0.5093, 0.5334), Estimate(0.5021, 0.4762, 0.5241),
        Estimate(0.0123, 0.0072, 0.0214), Estimate(0.0101, 0.0032, 0.0187),
        Estimate(0.0013, 0.0002, 0.0057), Estimate(0.0011, 0.0, 0.0047),
    ),
    MembershipResult(
        "loss", "random", 1022, 1022,
        Estimate(0.5252, 0.5113, 0.5374), Estimate(0.5001, 0.4782, 0.5221),
        Estimate(0.0143, 0.0092, 0.0234), Estimate(0.0102, 0.0033, 0.0188), None, None,
    ),
)  # fmt: skip
DISCLOSURE = (
    DisclosureResult(
        "linkability", 1533,
        Estimate(0.0811, 0.0685, 0.0958), Estimate(0.0613, 0.0504, 0.0745),
        Estimate(0.0025, 0.0009, 0.0066), Estimate(0.0211, -0.0312, 0.0943),
    ),
    DisclosureResult(
        "attribute inference", 1533,
        Estimate(0.6231, 0.6132, 0.6333), Estimate(0.6184, 0.6082, 0.6284),
        Estimate(0.4412, 0.4309, 0.4513), Estimate(0.0132, -0.0104, 0.0371),
    ),
)  # fmt: skip
HALF = Estimate(0.5212, 0.5093, 0.5334)
GROUPS = (
    GroupResult("sex", "F", 1801, 0.5035, 0.4978, 0.9712, 0.9844, "AUROC", HALF, HALF),
    GroupResult("sex", "<b>M</b>", 1776, 0.4965, 0.5022, 0.9612, 0.9851, "AUROC", None, HALF),
)
RULES = (
    RuleResult("admitted <= discharged", 3577, None, 3577, 0, 0.0812),
    RuleResult("<i>sum</i>", 3577, 0, 3577, 12, None),
)
REBALANCING = (
    RebalancingResult("boosted trees", "as they are", "yes", 61, 0, *[HALF] * 6),
    RebalancingResult("boosted trees", "synthetic records", "yes", 61, 1404, *[HALF] * 6),
)
LEVELS = ("never", "former", "smokes", "unknown")


def results(names: tuple[str, ...], levels: tuple[str, ...] = LEVELS) -> Results:
    """Make results for these columns: every third one a category, one a date."""
    rng = np.random.default_rng(0)
    kinds: list[ColumnKind] = [
        "category" if i % 3 == 0 else "date" if i == 1 else "number" for i in range(len(names))
    ]
    pairs = list(zip(names, kinds, strict=True))
    return Results(
        metrics=METRICS,
        columns=tuple(_column(name, kind, rng) for name, kind in pairs),
        pairs=_pairs(names[:100], rng),
        histograms=tuple(_histogram(name, kind, levels, rng) for name, kind in pairs),
        calibration=(
            Calibration("real", (0.1, 0.2, 0.4), (0.12, 0.19, 0.41), (50, 40, 30)),
            Calibration("synthetic", (0.1, 0.25, 0.5), (0.2, 0.2, 0.4), (50, 40, 30)),
        ),
        rare_levels=(RareLevels("0.1 % to 1 %", 12, 9, 0.031, 0.027, 0.96),),
        caps=(Cap("detection", 10000, 30000, "records"),),
        not_measurable=(NotMeasurable("membership attack", "no reference table was given"),),
        rows=(3577, 3577, 1533),
        patients=(3577, 3577, 1533),
        ceiling_from="holdout",
        target=names[0],
        seed=7,
        seconds=12.3456,
        membership=MEMBERSHIP,
        disclosure=DISCLOSURE,
        groups=GROUPS,
        rules=RULES,
        rebalancing=REBALANCING,
    )


def _column(name: str, kind: ColumnKind, rng: np.random.Generator) -> ColumnResult:
    loss = rng.uniform(0, 0.1, 6).round(4).tolist()
    return ColumnResult(
        name=name,
        kind=kind,
        shape=1 - loss[0],
        shape_ceiling=0.99,
        null_real=loss[1],
        null_synthetic=loss[2],
        detection=0.5 + loss[3],
        detection_ceiling=0.5031,
        importance=loss[4],
        utility_measure="AUROC" if kind == "category" else "R2",
        utility_real=0.8,
        utility_synthetic=0.8 - 2 * loss[5],
        levels=4 if kind == "category" else None,
        levels_covered=4 if kind == "category" else None,
    )


def _histogram(
    name: str, kind: ColumnKind, levels: tuple[str, ...], rng: np.random.Generator
) -> Histogram:
    if kind == "category":
        shares = tuple(float(share) for share in rng.dirichlet(np.ones(len(levels))))
        return Histogram(name, kind, (), levels, shares, shares, shares)
    edges = np.linspace(0, 1000, 21) if kind == "number" else np.linspace(17000, 19500, 21)
    shares = tuple(float(share) for share in rng.dirichlet(np.full(20, 9.0)))
    return Histogram(name, kind, tuple(edges.tolist()), (), shares, shares[::-1])


def _pairs(names: tuple[str, ...], rng: np.random.Generator) -> Pairs:
    real, synthetic = _symmetric(len(names), rng), _symmetric(len(names), rng)
    measure = np.ones((len(names), len(names)), dtype=np.int8)
    ceiling = np.full(real.shape, 0.985)
    return Pairs(names, measure, real, synthetic, 1 - np.abs(real - synthetic) / 2, ceiling)


def _symmetric(n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    lower = np.tril(rng.uniform(-0.4, 0.4, (n, n)), -1)
    matrix = lower + lower.T
    np.fill_diagonal(matrix, np.nan)
    return matrix
