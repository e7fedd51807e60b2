"""What an evaluation found, as plain values: the report draws it, JSON stores it.

Nothing here names a level or an extreme that fewer than `SMALLEST` patients hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.group_results import GroupResult, RebalancingResult, RuleResult
from synthehr.evaluation.metric import Estimate, Metric

SMALLEST = 10
"""A count of fewer patients than this is never shown."""

ColumnKind = Literal["number", "date", "category"]


@dataclass(frozen=True, kw_only=True)
class ColumnResult:
    """The figures of one column; None where a figure was not measured.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"number", "date", "category"}
        How the column was compared.
    shape, shape_ceiling : float or None
        1 - KS (numbers, dates) or 1 - TV (categories), and the same of real against real.
    null_real, null_synthetic : float
        Share of cells that are null.
    detection, detection_ceiling : float or None
        AUROC of telling synthetic from real records by this column alone; .5 is best.
    importance : float or None
        AUROC that the detector with all columns loses when this one is permuted.
    utility_measure : {"AUROC", "R2"} or None
        How the prediction of this column from all the others is scored.
    utility_real, utility_synthetic : float or None
        Score of predicting it after training on real, and on synthetic, records.
    levels, levels_covered : int or None
        Levels held by at least `SMALLEST` real patients, and those of them that the synthetic
        table holds. None for numbers and dates.
    inferred_training, inferred_held_out, inferred_naive : float or None
        Share of training patients, and of held-out ones, whose value the nearest synthetic
        record tells; and share that any synthetic record tells.
    """

    name: str
    kind: ColumnKind
    shape: float | None = None
    shape_ceiling: float | None = None
    null_real: float = 0.0
    null_synthetic: float = 0.0
    detection: float | None = None
    detection_ceiling: float | None = None
    importance: float | None = None
    utility_measure: Literal["AUROC", "R2"] | None = None
    utility_real: float | None = None
    utility_synthetic: float | None = None
    levels: int | None = None
    levels_covered: int | None = None
    inferred_training: float | None = None
    inferred_held_out: float | None = None
    inferred_naive: float | None = None


@dataclass(frozen=True)
class Pairs:
    """Dependence between every two columns: matrices of shape (D, D), nan where undefined.

    Attributes
    ----------
    names : tuple of str
        The D columns.
    measure : ndarray of shape (D, D), int8
        1 where both columns are numbers or dates and `real` and `synthetic` hold Pearson's
        correlation in [-1, 1]; 0 where they hold Cramér's V of the two in [0, 1].
    real, synthetic : ndarray of shape (D, D)
        Strength of the dependence in each table.
    score, ceiling : ndarray of shape (D, D)
        Agreement in [0, 1] of synthetic with real, and of real with real.
    """

    names: tuple[str, ...]
    measure: NDArray[np.int8]
    real: NDArray[np.float64]
    synthetic: NDArray[np.float64]
    score: NDArray[np.float64]
    ceiling: NDArray[np.float64]


@dataclass(frozen=True)
class Histogram:
    """Shares of one column's records over bins or levels; nan where a count is too small.

    Attributes
    ----------
    column : str
        Name of the column.
    kind : {"number", "date", "category"}
        For dates the edges are days since 1970-01-01.
    edges : tuple of float
        The B + 1 edges of the bins; the outer ones are the 10th patient from either end, and
        what lies beyond is counted in the outer bins. Empty for categories.
    labels : tuple of str
        The B levels, commonest first; the last may be "(other levels)". Empty otherwise.
    real, synthetic, holdout : tuple of float
        B shares of the non-null cells each; `holdout` is empty without held-out records, `real`
        where the synthetic table is shown by itself.
    """

    column: str
    kind: ColumnKind
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    holdout: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """Predicted against observed share of the target's level, in bins of the prediction.

    Attributes
    ----------
    trained_on : {"real", "synthetic"}
        The records the predictor was trained on; it is always tested on held-out real ones.
    predicted, observed : tuple of float
        Mean prediction and observed share in each bin.
    counts : tuple of int
        Test records in each bin; bins of fewer than `SMALLEST` are merged.
    """

    trained_on: Literal["real", "synthetic"]
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]


class RareLevels(NamedTuple):
    """How well the levels in one band of rarity are covered, over all categorical columns.

    Attributes
    ----------
    band : str
        The band, as shares of records: "0.1 % to 1 %".
    levels : int
        Levels in the band that at least `SMALLEST` real patients hold.
    covered : int
        How many of them the synthetic table holds.
    share_real, share_synthetic : float
        Summed share of cells that hold them.
    covered_ceiling : float or None
        Share of them that as many real records, not used to choose the levels, hold.
    """

    band: str
    levels: int
    covered: int
    share_real: float
    share_synthetic: float
    covered_ceiling: float | None


Target = Literal["random", "isolated"]


class MembershipResult(NamedTuple):
    """How well an attack tells training patients from held-out ones.

    Attributes
    ----------
    attack : str
        Its name; "ensemble" is the best of all, picked on other patients than it is judged on.
    target : {"random", "isolated"}
        Any patients, or the 5 % that lie furthest from any other.
    members, controls : int
        Training and held-out patients that were attacked.
    auc, auc_null : Estimate
        AUROC, and mean and range of it in null runs: held-out against held-out.
    tpr_1, tpr_1_null : Estimate or None
        Share of members found where 1 % of the controls are taken for members; None where
        there are too few controls.
    tpr_01, tpr_01_null : Estimate or None
        The same at 0.1 %.
    """

    attack: str
    target: Target
    members: int
    controls: int
    auc: Estimate
    auc_null: Estimate
    tpr_1: Estimate | None
    tpr_1_null: Estimate | None
    tpr_01: Estimate | None
    tpr_01_null: Estimate | None


class DisclosureResult(NamedTuple):
    """How often an attack succeeds on training patients, and on those nobody trained on.

    Attributes
    ----------
    attack : str
        Its name.
    tries : int
        Guesses, or patients that were attacked.
    training, held_out, naive : Estimate
        Share that succeeds on training patients, on held-out ones, and without the table.
    risk : Estimate
        (training - held-out) / (1 - held-out): what the table adds.
    """

    attack: str
    tries: int
    training: Estimate
    held_out: Estimate
    naive: Estimate
    risk: Estimate


class Cap(NamedTuple):
    """A part that used fewer records, columns or rounds than there are."""

    part: str
    used: int
    of: int
    unit: str


class NotMeasurable(NamedTuple):
    """A part that has no figures, and why."""

    part: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that `measure` found.

    Attributes
    ----------
    metrics : tuple of Metric
        The figures of the whole table, in the order of the report.
    columns : tuple of ColumnResult
        One a column, in the order of the real table.
    pairs : Pairs or None
        Dependence between columns. None for a single column.
    histograms : tuple of Histogram
        One a column that has anything to show.
    calibration : tuple of Calibration
        Empty without a target with two levels.
    rare_levels : tuple of RareLevels
        One a band of rarity.
    caps : tuple of Cap
        What was subsampled or cut short, to be printed.
    not_measurable : tuple of NotMeasurable
        Parts without figures, and why.
    rows : tuple of int
        Records of the real, the synthetic and the held-out table (0 without).
    patients : tuple of int
        Patients of the same three; equal to the rows without a patient column.
    ceiling_from : {"holdout", "halves"}
        Whether ceilings compare real with held-out records, or two halves of the real ones.
    target : str or None
        The column whose prediction was scored.
    seed : int
        Seed of every subsample.
    seconds : float
        Wall time of the evaluation.
    membership : tuple of MembershipResult
        One an attack and target; empty without held-out patients.
    disclosure : tuple of DisclosureResult
        Singling out, linkability and attribute inference; empty without held-out patients.
    groups : tuple of GroupResult
        Fidelity and utility within groups of patients.
    rules : tuple of RuleResult
        Violations of rules, where some are known.
    rebalancing : tuple of RebalancingResult
        What growing a rare class does, where the target has one.
    """

    metrics: tuple[Metric, ...]
    columns: tuple[ColumnResult, ...]
    pairs: Pairs | None
    histograms: tuple[Histogram, ...]
    calibration: tuple[Calibration, ...]
    rare_levels: tuple[RareLevels, ...]
    caps: tuple[Cap, ...]
    not_measurable: tuple[NotMeasurable, ...]
    rows: tuple[int, int, int]
    patients: tuple[int, int, int]
    ceiling_from: Literal["holdout", "halves"]
    target: str | None
    seed: int
    seconds: float
    membership: tuple[MembershipResult, ...] = ()
    disclosure: tuple[DisclosureResult, ...] = ()
    groups: tuple[GroupResult, ...] = ()
    rules: tuple[RuleResult, ...] = ()
    rebalancing: tuple[RebalancingResult, ...] = ()

    def __getitem__(self, name: str) -> Metric:
        """Return the figure of this name; KeyError where it was not measured."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)
