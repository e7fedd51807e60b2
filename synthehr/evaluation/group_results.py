"""What was found of groups of patients, rules and rare classes, as plain values."""

from __future__ import annotations

from typing import Literal, NamedTuple

from synthehr.evaluation.metric import Estimate


class RuleResult(NamedTuple):
    """How many records break a rule.

    Attributes
    ----------
    rule : str
        What it is called.
    records_real, records_synthetic : int
        Records of the two tables.
    broken_real : int or None
        Real records that break it; None where they are some, and fewer than 10.
    broken_synthetic : int
        Synthetic records that break it.
    share_unruled : float or None
        Share of records that break it where the model draws without rules, if a model file
        says so.
    """

    rule: str
    records_real: int
    broken_real: int | None
    records_synthetic: int
    broken_synthetic: int
    share_unruled: float | None


class GroupResult(NamedTuple):
    """Fidelity and utility within one group of patients.

    Attributes
    ----------
    column, group : str
        The column, and its level or third.
    records : int
        Real records of the group.
    share_real, share_synthetic : float
        Its share of the records.
    shape, shape_ceiling : float
        Mean agreement of the other columns' distributions, and that of real with real.
    utility_measure : {"AUROC", "R2"} or None
        How the prediction of the target is scored.
    utility_synthetic, utility_real : Estimate or None
        Score within the group after training on the whole synthetic or real table.
    """

    column: str
    group: str
    records: int
    share_real: float
    share_synthetic: float
    shape: float
    shape_ceiling: float
    utility_measure: Literal["AUROC", "R2"] | None
    utility_synthetic: Estimate | None
    utility_real: Estimate | None


class RebalancingResult(NamedTuple):
    """How a classifier does when a rare class is dealt with in one way.

    Attributes
    ----------
    learner, way : str
        Which classifier, and what its training records were.
    level : str
        The rare class: a level of the target.
    patients : int
        Training patients of the class.
    added : int
        Records of the class that were added.
    auroc, auprc, balanced_accuracy : Estimate
        Of the chances as they come, the last at a threshold of a half.
    brier, slope, intercept : Estimate
        Of the chances once the class shares before growing are put back.
    """

    learner: str
    way: str
    level: str
    patients: int
    added: int
    auroc: Estimate
    auprc: Estimate
    balanced_accuracy: Estimate
    brier: Estimate
    slope: Estimate
    intercept: Estimate
