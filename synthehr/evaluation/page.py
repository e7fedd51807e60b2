"""The report as one self-contained HTML page: no script, no remote address."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from synthehr.evaluation import charts, summary, words
from synthehr.evaluation.html import MEASURES, environment, policy, style
from synthehr.evaluation.results import SMALLEST, ColumnResult, Results
from synthehr.evaluation.svg import SHADES, visible
from synthehr.evaluation.verdicts import LINE

if TYPE_CHECKING:
    from synthehr.schema.table import Schema

MOST_CHARTS = 60
"""Columns, the most different ones, whose distributions are drawn."""

MOST_ROWS = 200
"""Columns, the most different ones, that a table of columns lists."""

_MOST_BARS = 24
_MOST_MAPPED = 40
_MOST_PAIRS = 12
_SECTIONS = (
    ("summary", "Summary"),
    ("schema", "Schema"),
    ("columns", "Columns"),
    ("pairs", "Pairs"),
    ("detection", "Detection"),
    ("utility", "Utility"),
    ("rebalancing", "Rare class"),
    ("groups", "Groups"),
    ("rules", "Rules"),
    ("missingness", "Missing cells"),
    ("coverage", "Coverage"),
    ("diagnostic", "Diagnostic"),
    ("privacy", "Attacks"),
    ("similarity", "Similarity"),
    ("record", "Run record"),
    ("reading", "How to read"),
)


def render(results: Results, record: Mapping[str, Any], schema: Schema | None) -> str:
    """Write the whole page; equal input gives equal text."""
    css = style("report.css", "internal.css")
    by_section = {
        section: [metric for metric in results.metrics if metric.section == section]
        for section in words.SCALES
    }
    absent = {"pairs"} if results.pairs is None else set()
    absent |= set() if by_section["diagnostic"] else {"diagnostic"}
    absent |= {name for name in ("groups", "rules", "rebalancing") if not getattr(results, name)}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            **_drawings(results),
            **_attacks(results),
            by_section=by_section,
            column_count=len((schema or results).columns),
            contents=[section for section in _SECTIONS if section[0] not in absent],
            css=Markup(css),
            facts=_facts(results),
            ledger=record.get("privacy"),
            no_verdict=words.NO_VERDICT,
            policy=policy(css),
            record=_record(results, record),
            results=results,
            schema=_schema_rows(results, schema),
            shade=charts.SHADE,
            shades=range(2 * SHADES + 1),
            smallest=SMALLEST,
            summary=summary.summarise(results),
            thresholds=_thresholds(),
            watermark=words.WATERMARK,
            with_roles=schema is not None,
        )
    )


def _drawings(results: Results) -> dict[str, Any]:
    detected = [c for c in results.columns if c.detection is not None or c.importance is not None]
    detected.sort(key=lambda c: -_known(c.importance if c.importance is not None else c.detection))
    important = [c for c in detected if _known(c.importance) > 0][:_MOST_BARS]
    taught = [c for c in results.columns if c.utility_real is not None]
    pairs = results.pairs
    map_columns = min(len(pairs.names), _MOST_MAPPED) if pairs is not None else 0
    curves = [curve for curve in results.calibration if curve.counts]
    return {
        "calibration": charts.calibration(curves) if curves else None,
        "dependence": charts.dependence(pairs, map_columns) if pairs and map_columns > 1 else None,
        "detected": detected[:MOST_ROWS],
        "detected_of": len(detected),
        "importances": charts.importances(
            [charts.Bar(c.name, _known(c.importance)) for c in important]
        )
        if important
        else None,
        "map_columns": map_columns,
        "nulls": _nulls(results.columns),
        "overlays": _overlays(results),
        "taught": [_taught(taught, measure) for measure in _measures(taught)],
        "taught_columns": sorted(taught, key=_loss)[:MOST_ROWS],
        "worst_pairs": _worst_pairs(results),
    }


def _attacks(results: Results) -> dict[str, Any]:
    groups = []
    for target, heading in (("random", "Any patients"), ("isolated", "Isolated patients")):
        rows = [result for result in results.membership if result.target == target]
        if rows:
            names = [words.attack_name(row.attack) for row in rows]
            found = [
                charts.Spread(name, row.auc, row.auc_null)
                for name, row in zip(names, rows, strict=True)
            ]
            chart = charts.ranges(found, 0.5, f"AUROC of membership attacks, {heading.lower()}.")
            metric = "membership_auc" if target == "random" else "isolated_auc"
            groups.append({"heading": heading, "rows": rows, "chart": chart, "metric": metric})
    risks = [charts.Spread(words.attack_name(row.attack), row.risk) for row in results.disclosure]
    told = [column for column in results.columns if column.inferred_training is not None]
    told.sort(key=lambda c: _known(c.inferred_held_out) - _known(c.inferred_training))
    return {
        "attacks": {
            "membership": groups,
            "disclosure": results.disclosure,
            "disclosure_chart": charts.ranges(risks, LINE, "Risk added by the table, by attack.")
            if risks
            else "",
        },
        "inferred": told[:MOST_ROWS],
        "inferred_of": len(told),
    }


def _known(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else -math.inf


def _overlays(results: Results) -> list[dict[str, Any]]:
    histograms = {histogram.column: histogram for histogram in results.histograms}
    drawn = tuple(column for column in results.columns if column.name in histograms)
    return [
        {"column": column, "chart": charts.overlay(histograms[column.name])}
        for column in words.most_different(drawn, MOST_CHARTS)
    ]


def _worst_pairs(results: Results) -> list[dict[str, Any]]:
    pairs = results.pairs
    if pairs is None:
        return []
    return [
        {
            "first": pairs.names[i],
            "second": pairs.names[j],
            "measure": "correlation" if pairs.measure[i, j] else "Cramér’s V",
            "real": float(pairs.real[i, j]),
            "synthetic": float(pairs.synthetic[i, j]),
            "score": float(pairs.score[i, j]),
            "ceiling": float(pairs.ceiling[i, j]),
        }
        for i, j in summary.worst_pairs(pairs, _MOST_PAIRS)
    ]


def _loss(column: ColumnResult) -> float:
    return _known(column.utility_synthetic) - _known(column.utility_real)


def _measures(taught: Sequence[ColumnResult]) -> list[str]:
    return sorted({column.utility_measure or "score" for column in taught})


def _taught(taught: Sequence[ColumnResult], measure: str) -> dict[str, Any]:
    group = [c for c in taught if (c.utility_measure or "score") == measure]
    group = [
        c for c in group if math.isfinite(_known(c.utility_real) + _known(c.utility_synthetic))
    ]
    shown = sorted(group, key=_loss)[:_MOST_BARS]
    name = MEASURES.get(measure, measure)
    rows = [charts.Bar(c.name, _known(c.utility_synthetic), c.utility_real) for c in shown]
    return {
        "chart": charts.dumbbells(rows, name) if rows else "",
        "measure": name,
        "of": len(group),
        "shown": len(shown),
    }


def _nulls(columns: Sequence[ColumnResult]) -> dict[str, Any] | None:
    holding = [c for c in columns if c.null_real > 0 or c.null_synthetic > 0]
    if not holding:
        return None
    by_gap = sorted(holding, key=lambda c: -abs(c.null_real - c.null_synthetic))[:_MOST_BARS]
    shown = sorted(by_gap, key=lambda c: -c.null_real)
    rows = [charts.Bar(column.name, column.null_synthetic, column.null_real) for column in shown]
    chart = charts.dumbbells(rows, "Share of null cells")
    return {"chart": chart, "shown": len(shown), "of": len(holding)}


def _facts(results: Results) -> list[tuple[str, str]]:
    facts = [
        ("Real records", words.count(results.rows[0])),
        ("Synthetic records", words.count(results.rows[1])),
        ("Held-out records", words.count(results.rows[2]) if results.rows[2] else "none"),
    ]
    if results.patients != results.rows:
        facts.append(("Real patients", words.count(results.patients[0])))
    facts.append(("Columns", words.count(len(results.columns))))
    if results.target is not None:
        facts.append(("Target", visible(results.target, 40)))
    return facts


def _record(results: Results, record: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("seed of the evaluation", str(results.seed)),
        ("seconds of the evaluation", f"{results.seconds:.1f}"),
    ]
    # The ledger has a table of its own.
    told = {name: value for name, value in record.items() if name != "privacy"}
    return [*words.flat(told), *rows]


def _schema_rows(results: Results, schema: Schema | None) -> list[dict[str, Any]]:
    """Describe the columns in table order, the most different ones of a wide table."""
    compared = {column.name: column for column in results.columns}
    names = [column.name for column in (schema or results).columns]
    if len(names) > MOST_ROWS:
        kept = {column.name for column in words.most_different(results.columns, MOST_ROWS)}
        names = [name for name in names if name in kept]
    rows = []
    for name in names:
        column = compared.get(name)
        row = {"name": name, "null_real": None, "null_synthetic": None, "levels": None}
        if column is not None:
            row |= {key: getattr(column, key) for key in ("kind", *list(row)[1:])}
        if schema is not None:
            row |= {key: getattr(schema[name], key) for key in ("kind", "role", "reason")}
        rows.append(row)
    return rows


def _thresholds() -> str:
    """Say up to which distance a figure counts as close, by section."""
    names = {"fidelity": "columns and pairs", "missingness": "missing cells"}
    return ", ".join(
        f"{scale.near:g} for {names.get(section, section)}"
        for section, scale in words.SCALES.items()
        if math.isfinite(scale.near)
    )
