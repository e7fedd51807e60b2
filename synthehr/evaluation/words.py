"""The report's plain words: how a figure is written, and what may be said of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import ColumnResult

WATERMARK = "Internal report: contains statistics of real patients."
NO_VERDICT = "similarity, not a verdict"

Reading = Literal["near", "apart", "far", "unread"]
READINGS: dict[Reading, str] = {
    "near": "close to real",
    "apart": "some distance",
    "far": "far from real",
    "unread": "no verdict",
}


_LONGEST_LIST = 12


class ReadingScale(NamedTuple):
    """How a section's figures are read.

    Attributes
    ----------
    worst, best : float
        The ends of the axis on which the figures are drawn.
    near, far : float
        Up to this distance from the ceiling a figure is read as close to real; beyond this
        one as far from it.
    """

    worst: float
    best: float
    near: float
    far: float


SCALES = {
    "fidelity": ReadingScale(0.5, 1.0, 0.01, 0.05),
    "detection": ReadingScale(1.0, 0.5, 0.05, 0.20),
    "utility": ReadingScale(0.5, 1.0, 0.02, 0.10),
    "missingness": ReadingScale(0.25, 0.0, 0.01, 0.05),
    "coverage": ReadingScale(0.0, 1.0, 0.05, 0.20),
    "privacy": ReadingScale(0.0, 1.0, math.nan, math.nan),
    "similarity": ReadingScale(0.0, 1.0, math.nan, math.nan),
    "diagnostic": ReadingScale(0.5, 1.0, 0.01, 0.05),
}
_ERRORS = ReadingScale(0.5, 0.0, 0.02, 0.10)
"""Of figures of visits: distances and errors, of which 0 is best."""
_OWN_SCALES = {
    "next_ratio": ReadingScale(2.0, 1.0, 0.02, 0.10),
    "next_value": _ERRORS,
    "code_order": ReadingScale(0.0, 1.0, 0.02, 0.10),
    "trend_overlap": ReadingScale(0.0, 1.0, 0.05, 0.20),
    "effect_overlap": ReadingScale(0.0, 1.0, 0.05, 0.20),
    "next_level": _ERRORS,
    "calibration_error": ReadingScale(0.25, 0.0, 0.01, 0.05),
    "every_column": ReadingScale(0.0, 1.0, 0.02, 0.10),
    "null_patterns": ReadingScale(0.5, 1.0, 0.01, 0.05),
    "target_r2": ReadingScale(0.0, 1.0, 0.02, 0.10),
    "frechet": _ERRORS,
    "kid": ReadingScale(2.0, 0.0, 0.10, 0.50),
    "sliced_wasserstein": ReadingScale(1.0, 0.0, 0.02, 0.10),
    "precision": ReadingScale(0.0, 1.0, 0.05, 0.20),
    "density": ReadingScale(0.0, 1.0, 0.10, 0.30),
    "ms_ssim": ReadingScale(1.0, 0.0, 0.02, 0.10),
    "mask_dice": ReadingScale(0.0, 1.0, 0.02, 0.10),
    "mask_area": _ERRORS,
}
_TITLES = {
    "shape": "Distribution of single columns",
    "trend": "Dependence between pairs of columns",
    "detection_auroc": "Telling synthetic from real records",
    "target_auroc": "Predicting the target, AUROC",
    "target_r2": "Predicting the target, R²",
    "target_ratio": "Predicting the target, synthetic over real",
    "calibration_error": "Error of predicted shares",
    "every_column": "Predicting every column in turn",
    "null_share_error": "Largest error of a column’s share of nulls",
    "null_share_error_mean": "Mean error of the shares of nulls",
    "null_patterns": "Nulls that occur together",
    "rare_levels_held": "Rare levels that are held",
    "alpha_precision": "Records that are plausible (α-precision)",
    "outliers": "Records that the model finds unlikely",
    "beta_recall": "Real records that are covered (β-recall)",
    "membership_auc": "Telling members from others",
    "membership_by_model": "Telling members from others by the model file",
    "membership_tpr_1": "Members found at 1 % false alarms",
    "membership_tpr_01": "Members found at 0.1 % false alarms",
    "isolated_auc": "Telling isolated members from others",
    "isolated_tpr_1": "Isolated members found at 1 % false alarms",
    "isolated_tpr_01": "Isolated members found at 0.1 % false alarms",
    "singling_out": "Singling out by several columns",
    "singling_out_univariate": "Singling out by one column",
    "linkability": "Linking two halves of a record",
    "attribute_inference": "Inferring a column from the others, mean",
    "attribute_inference_worst": "Inferring a column from the others, worst column",
    "exact_copies": "Exact copies of training records",
    "near_copies": "Near copies of training records",
    "nearer_to_training": "Nearer to training than to held-out records",
    "distance_ratio": "Nearest over second nearest distance",
    "length": "Visits per patient",
    "length_mean": "Mean number of visits",
    "span": "Follow-up of a patient",
    "gap": "Time between visits",
    "gap_log": "Time between visits, on a log scale",
    "gap_after_gap": "Time between visits given the last",
    "negative": "Visits before the one before them",
    "zero": "Visits at the same time",
    "static_changes": "Patients in whom a constant changes",
    "missing": "Shares of nulls",
    "missing_worst": "Share of nulls of the worst column",
    "missing_visit": "Shares of nulls by visit",
    "never_measured": "Patients without any value",
    "mask_pairs": "Columns measured together",
    "mask_persistence": "Measured, given the visit before",
    "measured_again": "Values that are soon measured again",
    "value": "Distribution of numbers",
    "value_visit": "Distribution of numbers, by stage",
    "level": "Distribution of levels",
    "level_visit": "Distribution of levels, by stage",
    "lag1": "Correlation with the visit before",
    "lag2": "Correlation two visits apart",
    "lag3": "Correlation three visits apart",
    "variogram": "Change by the time it takes",
    "delta": "Changes of numbers from visit to visit",
    "moves": "Moves between levels",
    "cross": "Correlation between columns",
    "cross_lag1": "Correlation with other columns before",
    "slope": "Constants and slopes over time",
    "prevalence": "Patients who ever have a level",
    "co_occurrence": "Patients who ever have two levels",
    "code_order": "Which level comes first",
    "detection_values": "Telling patients apart by values",
    "detection_times": "Telling patients apart by times and nulls",
    "detection_all": "Telling patients apart by everything",
    "next_value": "Predicting numbers at the next visit",
    "next_level": "Predicting levels at the next visit",
    "next_ratio": "Predicting the next visit, synthetic over real",
    "trend_overlap": "Slopes over time, overlap of intervals",
    "effect_overlap": "Effects on the target, overlap of intervals",
    "copied_runs": "Copied runs of three visits",
    "frechet": "Fréchet distance of features",
    "kid": "Kernel distance of features (KID)",
    "sliced_wasserstein": "Sliced Wasserstein distance of features",
    "precision": "Synthetic images near real ones (precision)",
    "density": "Real images around a synthetic one (density)",
    "recall": "Real images near synthetic ones (recall)",
    "coverage": "Real images that are covered (coverage)",
    "mask_area": "Sizes of masks",
    "ms_ssim": "Likeness of images of a class (MS-SSIM)",
    "tstr_auroc": "Classes learned from synthetic images, AUROC",
    "tstr_accuracy": "Classes learned from synthetic images, accuracy",
    "conditional_correctness": "Synthetic images that show their label",
    "mask_dice": "Masks learned from synthetic images, Dice",
    "memorised": "Synthetic images that are nearly training images",
    "patients_memorised": "Training patients with such an image",
    "exact_repeats": "Synthetic images that repeat",
    "near_repeats": "Synthetic images that nearly repeat",
    "sdmetrics_shapes": "SDMetrics column shapes",
    "sdmetrics_trends": "SDMetrics column pair trends",
    "sdmetrics_validity": "SDMetrics data validity",
    "sdmetrics_structure": "SDMetrics data structure",
}
ATTACKS = {
    "ensemble": "The best of the attacks below, picked on other patients.",
    "near match": "Trained on are those with a synthetic record very near.",
    "difference of distances": "… with a synthetic record nearer than any reference patient.",
    "density ratio": "… where synthetic records lie denser than reference patients.",
    "local neighbourhood": "… with more synthetic records than reference patients around.",
    "classifier": "… that a classifier of synthetic against reference records takes for synthetic.",
    "loss": "… that the model file finds likely.",
    "calibrated density": "… to which synthetic records lie nearer than shadow models’, trained "
    "without them, would have them.",
    "calibrated loss": "… that the model file finds likelier than shadow models do that were "
    "trained without them.",
    "singling out by one column": "A value that one synthetic record holds, or an extreme, fits "
    "exactly one patient.",
    "singling out": "Some columns of a synthetic record, taken together, fit exactly one patient.",
    "linkability": "Two halves of a patient’s columns lead to the same synthetic record.",
    "attribute inference": "The synthetic record nearest in all other columns tells the value; "
    "mean over columns.",
    "attribute inference, worst column": "The same for the column that gives away most, picked on "
    "other patients.",
}
"""What each attack does, in a sentence."""


def attack_name(name: str) -> str:
    """Write the name of an attack for a table."""
    return name[:1].upper() + name[1:]


def scale_of(metric: Metric) -> ReadingScale:
    """Return how a figure is read."""
    return _OWN_SCALES.get(metric.name) or SCALES.get(metric.section, _ERRORS)


def number(value: float | None) -> str:
    """Write a figure with three decimals (four below 0.001) and a true minus; or a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    value = round(value, 4) + 0.0
    decimals = 4 if 0 < abs(value) < 0.001 else 3
    return f"{value:.{decimals}f}".replace("-", "−")


def count(value: int) -> str:
    """Write a count with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def short(value: float) -> str:
    """Write a number for an axis: 15k, 20M, 0.25."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 1e4):
            return f"{value / size:.4g}{letter}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def title(name: str) -> str:
    """Say what a figure is about; a name that is not known is written as words."""
    words = name.replace("_", " ").strip()
    return _TITLES.get(name, words[:1].upper() + words[1:])


def distance(metric: Metric) -> float | None:
    """Return how far the figure is on the wrong side of its ceiling; None where unknown."""
    if metric.ceiling is None or not math.isfinite(metric.value):
        return None
    gap = metric.ceiling - metric.value
    return {"higher": gap, "lower": -gap, "ceiling": abs(gap)}[metric.better]


def reading(metric: Metric) -> Reading:
    """Read a figure: near its ceiling, apart, or far; privacy and similarity are never read."""
    scale, gap = scale_of(metric), distance(metric)
    if metric.section in ("similarity", "privacy") or gap is None:
        return "unread"
    ceiling = metric.ceiling if metric.ceiling is not None else math.nan
    inside = (
        metric.low is not None and metric.high is not None and metric.low <= ceiling <= metric.high
    )
    if inside or gap <= scale.near:
        return "near"
    return "far" if gap > scale.far else "apart"


def column_difference(column: ColumnResult) -> float:
    """Return the largest loss of a column against its ceilings: shape, detection or nulls."""
    losses = [abs(column.null_real - column.null_synthetic)]
    if column.shape is not None:
        losses.append((column.shape_ceiling or 1.0) - column.shape)
    if column.detection is not None:
        losses.append(column.detection - (column.detection_ceiling or 0.5))
    return max(loss for loss in losses if not math.isnan(loss))


def most_different(columns: tuple[ColumnResult, ...], most: int) -> list[ColumnResult]:
    """Return the most different columns, worst first; equal ones in table order."""
    return sorted(columns, key=lambda column: -column_difference(column))[:most]


def percent(share: float | None) -> str:
    """Write a share as a percentage with one decimal, two below a tenth."""
    if share is None or not math.isfinite(share):
        return "–"
    decimals = 2 if 0 < round(share, 4) < 0.001 else 1
    return f"{100 * share:.{decimals}f}\u00a0%".replace("-", "−")


def exact(value: float) -> str:
    """Write a figure as the JSON report does, for a machine."""
    return json.dumps(rounded(value))


def rounded(value: float | None) -> float | None:
    """Round a figure to four decimals; what is not a finite number becomes None."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 4) + 0.0


def flat(record: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Lay a nested record out as names in words and values as text."""
    rows: list[tuple[str, str]] = []
    for name, value in record.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += flat(value, f"{label}: ")
        elif isinstance(value, float):
            rows.append((label, f"{value:.6g}"))
        elif isinstance(value, (list, tuple)):
            told = ", ".join(str(item) for item in value)
            rows.append((label, told if len(value) <= _LONGEST_LIST else f"{len(value)} values"))
        else:
            rows.append((label, "–" if value is None else str(value)))
    return rows
