"""What may be said of the attacks, in sentences: no grade, and no promise."""

from __future__ import annotations

from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import MembershipResult, Results
from synthehr.evaluation.words import number, percent, title

LINE = 0.09
"""Risk of re-identification up to which EMA Policy 0070 and Health Canada publish patients' data.

European Medicines Agency, external guidance on Policy 0070 (2018), and Health Canada, Public
Release of Clinical Information (2019).
"""

LINE_WORDS = "the line of EMA Policy 0070 and Health Canada is at a risk of 9\u00a0%"

ON_THE_LINE = (
    "singling_out",
    "singling_out_univariate",
    "linkability",
    "attribute_inference",
    "attribute_inference_worst",
)
"""Figures that are compared with the line, by their whole interval."""


def verdicts(results: Results) -> tuple[str, ...]:
    """Say one sentence of each attack: of membership first, then of what lies on the line."""
    said = [_membership(each) for each in results.membership if each.attack == "ensemble"]
    said += [_rates(each) for each in results.membership if _has_rates(each)]
    said += [_on_the_line(metric) for metric in results.metrics if metric.name in ON_THE_LINE]
    return tuple(said)


def told_apart(result: MembershipResult) -> bool:
    """Say whether members are surely told from others: better than any null run would."""
    return result.auc.low > max(0.5, result.auc_null.high)


def over_the_line(metric: Metric) -> bool:
    """Say whether a risk is surely above the line."""
    return metric.name in ON_THE_LINE and metric.low is not None and metric.low > LINE


def _membership(result: MembershipResult) -> str:
    who = "patients" if result.target == "random" else "isolated patients"
    ends = f"{number(result.auc.low)} to {number(result.auc.high)}"
    null = f"{number(result.auc_null.low)} to {number(result.auc_null.high)}"
    can = "can be told" if told_apart(result) else "were not told"
    return (
        f"Training {who} {can} from held-out ones: AUROC {number(result.auc.value)} ({ends}); "
        f"held-out from held-out {null}, by chance 0.5."
    )


def _has_rates(result: MembershipResult) -> bool:
    return result.attack == "ensemble" and result.target == "random" and result.tpr_1 is not None


def _rates(result: MembershipResult) -> str:
    found = [
        f"{percent(rate.value)} ({percent(rate.low)} to {percent(rate.high)}) of training patients "
        f"at {alarms} false alarms"
        for rate, alarms in ((result.tpr_1, "1\u00a0%"), (result.tpr_01, "0.1\u00a0%"))
        if rate is not None
    ]
    return f"The same attacks find {' and '.join(found)}."


def _on_the_line(metric: Metric) -> str:
    low, high = metric.low, metric.high
    text = f"{title(metric.name)}: {percent(metric.value)}"
    if low is None or high is None:
        return f"{text}."
    text += f" ({percent(low)} to {percent(high)}) beyond success on held-out patients; "
    line = f"{LINE:.0%}".replace("%", "\u00a0%")
    if low > LINE:
        return f"{text}surely above the line of {line}."
    if high > LINE:
        return f"{text}the upper end is above the line of {line}."
    return f"{text}the upper end is below the line of {line}."
