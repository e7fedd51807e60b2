"""What every page of ours is made with: a style sheet, a policy, and templates that escape."""

from __future__ import annotations

import base64
import hashlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.evaluation import words
from synthehr.evaluation.attacks.parts import NAMES
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.svg import visible

if TYPE_CHECKING:
    from jinja2 import Environment

MEASURES = {"R2": "R²"}
_FOLDER = Path(__file__).parent / "templates"
_STRIP = (4.0, 164.0)


def style(*names: str) -> str:
    """Put style sheets together."""
    return "".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


def policy(css: str) -> str:
    """Allow this style sheet and embedded images, and forbid the rest."""
    return (
        f"default-src 'none'; style-src {_digest(css)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def interactive_policy(css: str, script: str) -> str:
    """Allow this script, too; it can reach no address either."""
    return f"{policy(css)}; script-src {_digest(script)}"


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def environment() -> Environment:
    """Give the templates, with all text escaped and the filters they write figures by."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "attack_metric": lambda name: NAMES[name],
        "attack_name": words.attack_name,
        "attack_words": lambda name: words.ATTACKS.get(name, ""),
        "count": words.count,
        "digits": lambda value: "" if value is None else f"{value:.4g}",
        "exact": words.exact,
        "known": lambda value: value is not None and math.isfinite(value),
        "measure": lambda name: MEASURES.get(name, name),
        "number": words.number,
        "percent": words.percent,
        "reading": words.reading,
        "reading_words": lambda metric: words.READINGS[words.reading(metric)],
        "strip": _strip,
        "title_of": lambda name: visible(words.title(name)),
        "visible": lambda text: visible(str(text)),
    }
    return made


def _strip(metric: Metric) -> dict[str, Any] | None:
    """Place a figure, its interval and its ceiling on an axis from worst to best."""
    scale = words.scale_of(metric)
    if not math.isfinite(metric.value) or (
        metric.section == "similarity" and metric.better != "ceiling"
    ):
        return None

    def place(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        share = min(1.0, max(0.0, (value - scale.worst) / (scale.best - scale.worst)))
        return round(_STRIP[0] + share * (_STRIP[1] - _STRIP[0]), 1)

    low, high = place(metric.low), place(metric.high)
    if low is None or high is None:
        low = high = None
    label = f"{words.title(metric.name)} {words.number(metric.value)}"
    if metric.ceiling is not None:
        label += f", ceiling {words.number(metric.ceiling)}"
    ceiling = place(metric.ceiling)
    return {
        "value": place(metric.value),
        "low": low,
        "high": high,
        "ceiling": ceiling,
        "label": visible(label),
    }
