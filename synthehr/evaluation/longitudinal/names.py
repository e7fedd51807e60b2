"""What each figure of visits is called, where it stands, and what was measured."""

from __future__ import annotations

from typing import NamedTuple

from synthehr.evaluation.metric import Better, Section


class Said(NamedTuple):
    """The section of a figure, one sentence on it, and which direction is better."""

    section: Section
    detail: str
    better: Better = "lower"


_OVER = "mean over columns"

MEASURED: dict[str, Said] = {
    "length": Said("structure", "KS of the number of visits of a patient."),
    "length_mean": Said("structure", "Relative error of the mean number of visits."),
    "span": Said("structure", "KS of the time from first to last visit."),
    "gap": Said("structure", "KS of the time from one visit to the next."),
    "gap_log": Said("structure", "Wasserstein distance of log(1 + time to the next visit)."),
    "gap_after_gap": Said(
        "structure", "Total variation of a gap given the gap before, in fifths of the real gaps."
    ),
    "negative": Said("structure", "Share of gaps below 0 in the order in which visits stand."),
    "zero": Said("structure", "Error of the share of visits at the time of the one before."),
    "static_changes": Said(
        "structure", "Share of patients in whom a column changes that never does in a real one."
    ),
    "missing": Said("measurement", f"Error of the share of nulls, {_OVER}."),
    "missing_worst": Said("measurement", "Largest error of a column’s share of nulls."),
    "missing_visit": Said(
        "measurement", f"Error of the share of nulls at each of the first 10 visits, {_OVER}."
    ),
    "never_measured": Said(
        "measurement", f"Error of the share of patients without any value, {_OVER}."
    ),
    "mask_pairs": Said(
        "measurement", "Error of φ of whether two columns are null, mean over pairs of columns."
    ),
    "mask_persistence": Said(
        "measurement",
        f"Error of the chance of a value given whether the visit before has one, {_OVER}.",
    ),
    "measured_again": Said(
        "measurement",
        f"Error of how far values measured again within 2 visits lie from others, {_OVER}.",
    ),
    "value": Said("values", f"KS of the values, {_OVER} of numbers."),
    "value_visit": Said("values", f"The same by visits so far (0, 1–2, 3–6, …), {_OVER}."),
    "level": Said("values", f"Total variation of the levels, {_OVER} of levels."),
    "level_visit": Said("values", f"The same by visits so far (0, 1–2, 3–6, …), {_OVER}."),
    "lag1": Said("dynamics", f"Error of the correlation with the visit before, {_OVER}."),
    "lag2": Said("dynamics", f"Error of the correlation two visits apart, {_OVER}."),
    "lag3": Said("dynamics", f"Error of the correlation three visits apart, {_OVER}."),
    "variogram": Said(
        "dynamics", f"Error of the variogram of ranks in fifths of the time between, {_OVER}."
    ),
    "delta": Said("dynamics", f"KS of the changes from visit to visit, {_OVER} of numbers."),
    "moves": Said("dynamics", f"Total variation of a level and the one before, {_OVER} of levels."),
    "cross": Said("together", "Error of rank correlations, mean over pairs of columns."),
    "cross_lag1": Said(
        "together", "Error of rank correlations with another column at the visit before, mean."
    ),
    "slope": Said(
        "together", "Error of the correlation of static columns with patients’ slopes over time."
    ),
    "prevalence": Said(
        "together", "Error of the share of patients who ever have a level, mean over levels."
    ),
    "co_occurrence": Said(
        "together", "Error of the share who ever have both of two levels, mean over pairs."
    ),
    "code_order": Said(
        "together",
        "Rank correlation of how often one level comes before another, over pairs of levels.",
        "higher",
    ),
    "detection_values": Said(
        "detection",
        "AUROC of boosted trees on values alone: patients in pairs, what both have measured.",
    ),
    "detection_times": Said(
        "detection", "AUROC of boosted trees on numbers of visits, times and nulls alone."
    ),
    "detection_all": Said("detection", "AUROC of boosted trees on all that is told of a patient."),
    "next_value": Said(
        "utility",
        "Error of numbers predicted at the next visit, in quantiles, trained on synthetic ones.",
    ),
    "next_level": Said(
        "utility", "Share of levels at the next visit predicted wrongly, trained on synthetic ones."
    ),
    "next_ratio": Said("utility", "Error of numbers, trained on synthetic over trained on real."),
    "trend_overlap": Said(
        "utility",
        f"Overlap of the 95 % intervals of slopes over time within patients, {_OVER} of numbers.",
        "higher",
    ),
    "effect_overlap": Said(
        "utility",
        "Overlap of the 95 % intervals of log odds ratios of the target, mean over features.",
        "higher",
    ),
    "copied_runs": Said(
        "similarity",
        "Share of patients with three visits in a row that a training patient has, too.",
    ),
}
