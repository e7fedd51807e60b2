"""What a reader in a hurry should know: sentences made from the results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import ColumnResult, Pairs, Results
from synthehr.evaluation.svg import visible
from synthehr.evaluation.verdicts import LINE_WORDS, verdicts
from synthehr.evaluation.words import (
    NO_VERDICT,
    SCALES,
    count,
    distance,
    number,
    percent,
    reading,
    scale_of,
    title,
)

_NAMED = 3
_SAID_BY_OTHERS = frozenset({"null_share_error_mean", "target_ratio"})
_TOLD_APART = 0.01
_PLAIN = {
    "detection_auroc": "Shown a synthetic and a real record, a detector picks out the synthetic "
    "one in {0} of cases; real from real in {1}; by chance in 50 %.",
    "null_share_error": "The share of nulls is off by {0} at most in any column; between real "
    "tables by {1}.",
    "rare_levels_held": "{0} of the rare levels occur; as many real records hold {1}.",
    "exact_copies": "{0} of the synthetic table equal a training record; of the held-out one {1}.",
    "near_copies": "{0} of the synthetic table lie nearer to training records than nearly all "
    "held-out ones do; of the held-out one {1}.",
    "nearer_to_training": "{0} of the synthetic table lie nearer to training than to held-out "
    "records; {1} if it favoured neither.",
}


@dataclass(frozen=True)
class Summary:
    """Sentences for a reader in a hurry.

    Attributes
    ----------
    compared : str
        What was compared with what.
    good : tuple of str
        Figures that are as for real records, or nearly so.
    gives_away : tuple of str
        Figures, columns and pairs in which the synthetic table differs, worst first.
    attacks : tuple of str
        What the attacks found.
    similarity : tuple of str
        Nearness to training records, which is stated and not judged.
    not_measurable : tuple of str
        What has no figure, and why.
    """

    compared: str
    good: tuple[str, ...]
    gives_away: tuple[str, ...]
    attacks: tuple[str, ...]
    similarity: tuple[str, ...]
    not_measurable: tuple[str, ...]


def summarise(results: Results) -> Summary:
    """Put the results into plain words."""
    near = [
        metric
        for metric in results.metrics
        if reading(metric) == "near"
        and metric.section != "diagnostic"
        and metric.name not in _SAID_BY_OTHERS
    ]
    rest = [metric for metric in results.metrics if reading(metric) in ("apart", "far")]
    rest.sort(key=lambda metric: -_severity(metric))
    unread = [metric for metric in results.metrics if metric.section == "similarity"]
    return Summary(
        compared=_compared(results),
        good=tuple(_sentence(metric) for metric in near),
        gives_away=(*(_sentence(metric) for metric in rest), *_culprits(results)),
        attacks=verdicts(results),
        similarity=tuple(_sentence(metric) for metric in unread),
        not_measurable=tuple(
            f"{part[:1].upper()}{part[1:]}: {reason.rstrip('.')}."
            for part, reason in results.not_measurable
        ),
    )


def lines(summary: Summary) -> tuple[str, ...]:
    """Lay a summary out for a terminal."""
    blocks: tuple[tuple[str, Sequence[str]], ...] = (
        ("close to real", summary.good),
        ("gives the fake away", summary.gives_away),
        (f"attacks ({LINE_WORDS})", summary.attacks),
        (f"privacy figures ({NO_VERDICT})", summary.similarity),
        ("not measurable", summary.not_measurable),
    )
    text = [summary.compared]
    for heading, sentences in blocks:
        if sentences:
            text += ["", heading, *(f"  - {sentence}" for sentence in sentences)]
    return tuple(text)


def _compared(results: Results) -> str:
    real, synthetic, held_out = results.rows
    text = f"{count(synthetic)} synthetic records beside {count(real)} real ones"
    text += f" and {count(held_out)} held out" if held_out else ", none held out"
    if results.patients != results.rows:
        text += f" ({count(results.patients[0])} real patients)"
    readings = [reading(metric) for metric in results.metrics]
    judged = len(readings) - readings.count("unread")
    if not judged:
        return f"{text}."
    return (
        f"{text}. Of {judged} figures {readings.count('near')} are close to what real records "
        f"score, {readings.count('apart')} at some distance, {readings.count('far')} far from it."
    )


def _severity(metric: Metric) -> float:
    return (distance(metric) or 0.0) / scale_of(metric).far


def _sentence(metric: Metric) -> str:
    plain = _PLAIN.get(metric.name) if metric.ceiling is not None else None
    write = percent if plain else number
    value = write(metric.value)
    if metric.low is not None and metric.high is not None:
        value += f" ({write(metric.low)} to {write(metric.high)})"
    if plain:
        return plain.format(value, write(metric.ceiling))
    text = f"{title(metric.name)}: {value}"
    return text + (
        f"; real records {number(metric.ceiling)}." if metric.ceiling is not None else "."
    )


def _culprits(results: Results) -> Iterator[str]:
    columns = results.columns
    told = [c for c in columns if c.importance is not None and c.importance > _TOLD_APART]
    told.sort(key=lambda column: -(column.importance or 0.0))
    if told:
        yield f"Columns that tell the records apart: {_names(told)}."
    shape_far = SCALES["fidelity"].far
    shapes = [(c, (c.shape_ceiling or 1.0) - c.shape) for c in columns if c.shape is not None]
    shapes = sorted((pair for pair in shapes if pair[1] > shape_far), key=lambda pair: -pair[1])
    if shapes:
        yield f"Distributions that differ most: {_names([column for column, _ in shapes])}."
    yield from _null_culprit(columns)
    yield from _pair_culprit(results.pairs)
    yield from _utility_culprit(columns)


def _null_culprit(columns: Sequence[ColumnResult]) -> Iterator[str]:
    worst = max(columns, key=lambda c: abs(c.null_real - c.null_synthetic), default=None)
    if worst and abs(worst.null_real - worst.null_synthetic) > SCALES["missingness"].near:
        shares = f"{percent(worst.null_real)} of real and {percent(worst.null_synthetic)}"
        yield f"{_name(worst.name)} is null in {shares} of synthetic records."


def _pair_culprit(pairs: Pairs | None) -> Iterator[str]:
    if pairs is None:
        return
    for first, second in worst_pairs(pairs, 1):
        score, ceiling = pairs.score[first, second], pairs.ceiling[first, second]
        if ceiling - score > SCALES["fidelity"].far:
            names = f"{_name(pairs.names[first])} and {_name(pairs.names[second])}"
            yield (
                f"The dependence between {names} differs most: agreement {number(score)}, "
                f"real records {number(ceiling)}."
            )


def _utility_culprit(columns: Sequence[ColumnResult]) -> Iterator[str]:
    lost = [
        (column.utility_real - column.utility_synthetic, column)
        for column in columns
        if column.utility_real is not None and column.utility_synthetic is not None
    ]
    lost = sorted((p for p in lost if p[0] > SCALES["utility"].far), key=lambda p: -p[0])
    if lost:
        yield (
            "Columns that the synthetic records teach worst to predict: "
            f"{_names([column for _, column in lost])}."
        )


def worst_pairs(pairs: Pairs, most: int) -> list[tuple[int, int]]:
    """Return the pairs of columns that lose most against their ceiling, worst first."""
    first, second = np.triu_indices(len(pairs.names), 1)
    loss = pairs.ceiling[first, second] - pairs.score[first, second]
    known = np.flatnonzero(np.isfinite(loss))
    order = known[np.argsort(-loss[known], kind="stable")[:most]]
    return list(zip(first[order].tolist(), second[order].tolist(), strict=True))


def _names(columns: Sequence[ColumnResult]) -> str:
    names = ", ".join(_name(column.name) for column in columns[:_NAMED])
    more = len(columns) - _NAMED
    return f"{names} and {more} more" if more > 0 else names


def _name(name: str) -> str:
    return visible(name, 60)
