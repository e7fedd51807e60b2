"""What every evaluation does with its figures: find one, judge, say, and write them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from synthehr.errors import ConfigError
from synthehr.evaluation.json_values import json_values
from synthehr.evaluation.metric import Estimate, Metric
from synthehr.evaluation.results import NotMeasurable
from synthehr.evaluation.words import READINGS, number, reading, title
from synthehr.io.atomic import check_target, write_text


def figure_of(rows: Sequence[Metric], key: str | tuple[str, str]) -> Metric:
    """Find the figure of this name, or of this name and column.

    Raises
    ------
    ConfigError
        If it was not measured.
    """
    name, column = (key, None) if isinstance(key, str) else key
    for metric in rows:
        if (metric.name, metric.column) == (name, column):
            return metric
    names = [metric.name for metric in rows if metric.column is None]
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"figures of this report: {', '.join(names)}"
    raise ConfigError(f"this report has no figure named {name!r}", hint=hint)


def readings_in_words(
    metrics: Sequence[Metric], not_measurable: Sequence[NotMeasurable], real: str
) -> list[str]:
    """Say line by line how each figure reads beside that of real ones, which `real` names."""
    lines = []
    for verdict, words in READINGS.items():
        found = [metric for metric in metrics if reading(metric) == verdict]
        if found:
            lines += ["", words, *(f"  - {_sentence(metric, real)}" for metric in found)]
    if not_measurable:
        lines += ["", "not measurable", *(f"  - {part}: {why}" for part, why in not_measurable)]
    return lines


def _sentence(metric: Metric, real: str) -> str:
    beside = "" if metric.ceiling is None else f"; {real} {number(metric.ceiling)}"
    return f"{title(metric.name)} ({metric.name}): {number(metric.value)}{beside}"


def json_text(content: Mapping[str, Any], path: str | PathLike[str] | None, *, force: bool) -> str:
    """Write values that JSON can hold as text, and to a file where one is given."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if path is not None:
        write_text(path, text, force=force)
    return text


def html_text(render: Callable[[], str], path: str | PathLike[str] | None, *, force: bool) -> str:
    """Render a page, and write it to a file where one is given."""
    if path is not None:
        check_target(Path(path), force)
    text = render()
    if path is not None:
        write_text(path, text, force=force)
    return text


def failures_of(figure: Callable[[str], Metric], limits: Mapping[str, float]) -> tuple[str, ...]:
    """Say which figures, given by name, are on the wrong side of their limits."""
    sentences = []
    for name, limit in limits.items():
        metric = figure(name)
        if not math.isfinite(limit):
            raise ConfigError(
                f"the limit of {name} is not a finite number",
                hint=f"write it as {name}=0.9",
            )
        sentences += _failure(metric, limit)
    return tuple(sentences)


def _failure(metric: Metric, limit: float) -> list[str]:
    at_most = metric.better == "lower"
    if metric.better == "ceiling":
        at_most = metric.ceiling is None or limit >= metric.ceiling
    value, end = metric.value, ""
    if metric.section in ("privacy", "similarity"):
        worse = metric.high if at_most else metric.low
        if worse is not None and math.isfinite(worse):
            value, end = worse, "the worse end of its interval, "
    if math.isfinite(value) and (value <= limit if at_most else value >= limit):
        return []
    side, better = ("above", "at most") if at_most else ("below", "at least")
    shown = f"{end}{number(value)}, is {side}" if end else f"{number(value)} is {side}"
    sentence = f"{metric.name}: {shown} the limit ({better} {limit:g}"
    if not math.isfinite(value):
        sentence = f"{metric.name}: it has no finite value ({better} {limit:g}"
    if metric.ceiling is not None and math.isfinite(metric.ceiling):
        sentence += f"; real records score {number(metric.ceiling)}"
    return [sentence + ")"]


def figure_json(metric: Metric) -> dict[str, Any]:
    """Lay a figure out but for its name, and say how it reads."""
    values = metric._asdict()
    del values["name"], values["column"]
    return {"reading": reading(metric), **json_values(values)}


def named_estimates(result: NamedTuple) -> dict[str, Any]:
    """Lay an attack's result out by name, estimates too."""
    return {
        name: value._asdict() if isinstance(value, Estimate) else value
        for name, value in result._asdict().items()
    }
