"""The evaluation of visits as one self-contained HTML page: no script, no remote address."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from synthehr.evaluation import charts, words
from synthehr.evaluation.html import environment, policy, style
from synthehr.evaluation.longitudinal.charts import courses, null_differences, patients
from synthehr.evaluation.longitudinal.pictures import MOST_MAPPED
from synthehr.evaluation.longitudinal.results import VisitColumn, VisitResults
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import SMALLEST
from synthehr.evaluation.svg import SHADES, visible

MOST_BARS = 24
MOST_ROWS = 200
"""Columns that a table lists."""

_FIGURES = (
    ("structure", "Visits and times"),
    ("measurement", "What is measured"),
    ("values", "Values"),
    ("dynamics", "From visit to visit"),
    ("together", "Columns together"),
    ("detection", "Telling patients apart"),
    ("utility", "Learning from synthetic visits"),
    ("privacy", "Attacks"),
    ("similarity", "Similarity to training patients"),
)
_BY_COLUMN = (("value", "level"), ("missing",), ("lag1",), ("delta", "moves"))


def render(results: VisitResults) -> str:
    """Write the whole page; equal input gives equal text."""
    css = style("report.css", "internal.css")
    whole = [metric for metric in results.rows if metric.column is None]
    return (
        environment()
        .get_template("visits.html.j2")
        .render(
            bands=[(band.column, courses(band)) for band in results.bands],
            by_section={
                section: [metric for metric in whole if metric.section == section]
                for section, _ in _FIGURES
            },
            calibration=charts.calibration(results.calibration) if results.calibration else None,
            columns=_columns(results),
            contents=_FIGURES,
            css=Markup(css),
            facts=_facts(results),
            lags=_lags(results),
            nulls=None if results.null_map is None else null_differences(results.null_map),
            most_mapped=MOST_MAPPED,
            no_verdict=words.NO_VERDICT,
            overlays=[(each.column, charts.overlay(each)) for each in results.histograms],
            patients=None if results.patient_map is None else patients(results.patient_map),
            policy=policy(css),
            read={
                verdict: [metric for metric in whole if words.reading(metric) == verdict]
                for verdict in words.READINGS
            },
            readings=words.READINGS,
            record=_record(results),
            results=results,
            shade=charts.SHADE,
            shades=range(2 * SHADES + 1),
            smallest=SMALLEST,
            watermark=words.WATERMARK,
        )
    )


def _facts(results: VisitResults) -> list[tuple[str, str]]:
    visits, patients = results.visits, results.patients
    facts = [
        ("Real patients", words.count(patients[0])),
        ("Synthetic patients", words.count(patients[1])),
        ("Held-out patients", words.count(patients[2]) if patients[2] else "none"),
        ("Real visits", words.count(visits[0])),
        ("Synthetic visits", words.count(visits[1])),
        ("Columns", words.count(len(results.columns))),
    ]
    if results.target is not None:
        facts.append(("Target", visible(results.target, 40)))
    return facts


def _columns(results: VisitResults) -> list[dict[str, Any]]:
    """One row a column, with its figures beside their ceilings."""
    found = {(metric.name, metric.column): metric for metric in results.rows}

    def of(column: VisitColumn, names: tuple[str, ...]) -> Metric | None:
        for name in names:
            if (name, column.name) in found:
                return found[(name, column.name)]
        return None

    return [
        {
            "name": column.name,
            "kind": column.kind,
            "static": column.static,
            "null_real": column.null_real,
            "null_synthetic": column.null_synthetic,
            "figures": [of(column, names) for names in _BY_COLUMN],
        }
        for column in results.columns[:MOST_ROWS]
    ]


def _lags(results: VisitResults) -> dict[str, Any] | None:
    """Draw the correlation with the visit before, columns that differ most first."""
    moving = [column for column in results.columns if column.lags_real and not column.static]
    if not moving:
        return None
    apart = sorted(moving, key=lambda column: -abs(column.lags_real[0] - column.lags_synthetic[0]))
    rows = [charts.Bar(c.name, c.lags_synthetic[0], c.lags_real[0]) for c in apart[:MOST_BARS]]
    chart = charts.dumbbells(rows, "Correlation with the visit before")
    return {"chart": chart, "shown": len(rows), "of": len(moving)}


def _record(results: VisitResults) -> list[tuple[str, str]]:
    return [
        ("time column", results.time),
        ("unit of time", "days" if results.dated else "as in the table"),
        ("seed of the evaluation", str(results.seed)),
        ("seconds of the evaluation", f"{results.seconds:.1f}"),
    ]
