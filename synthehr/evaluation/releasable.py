"""The releasable report: what may stand beside a table made under differential privacy.

It is a function of the ledger, of the schema in the model file, and of the synthetic table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from markupsafe import Markup

from synthehr.evaluation import charts
from synthehr.evaluation.alone import Alone
from synthehr.evaluation.html import environment, policy, style
from synthehr.evaluation.json_values import json_values, significant
from synthehr.evaluation.svg import SHADES
from synthehr.evaluation.words import count
from synthehr.io.atomic import check_target, write_text
from synthehr.schema.column import Column
from synthehr.schema.table import Schema

FORMAT = "synthehr-releasable-report"
VERSION = 1
COMPUTED_FROM = (
    "Computed from the synthetic table, and from the privacy ledger and the schema in its model "
    "file. No record of a patient was read for it, so it gives away nothing that the table and the "
    "model file do not."
)
NOT_CHECKED = (
    "Whoever publishes it vouches for this: the table was drawn from that model, was not altered "
    "or chosen by looking at records, and what the ledger calls public was public."
)
AUDIT = (
    "No attack was tried for this report. It would be tried on records of patients, and what it "
    "found would be outside the guarantee. What the guarantee says of attacks holds for all of "
    "them, known or not.",
    "What is audited is the program, not this one fit: synthehr’s tests plant canaries "
    "(tests/test_privacy_audit.py) and fail if what is found of them contradicts what is claimed. "
    "They have to catch three broken builds: half of the noise, fixed batches, and levels taken "
    "from the records.",
)
"""What may be said of audits without a look at records: the same for every fit."""

MOST_CHARTS = 60
_MOST_MAPPED = 40
_MOST_LEVELS = 12
_SHADE = 0.2


@dataclass(frozen=True)
class ReleasableReport:
    """What may be published beside a synthetic table.

    Attributes
    ----------
    ledger : mapping
        As `Ledger.to_json` gives it, everything that follows from its entries derived anew.
    schema : Schema
        As in the model file.
    alone : Alone
        The synthetic table by itself.
    version : str
        The version of synthehr that fitted the model.
    """

    ledger: Mapping[str, Any]
    schema: Schema
    alone: Alone
    version: str

    def to_json(self, path: str | PathLike[str] | None = None, force: bool = False) -> str:
        """Return the report as JSON text, and write it where a path is given.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if path is not None:
            write_text(path, text, force=force)
        return text

    def to_html(self, path: str | PathLike[str] | None = None, force: bool = False) -> str:
        """Return the report as one self-contained page, and write it where a path is given.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        if path is not None:
            check_target(Path(path), force)
        text = _render(self)
        if path is not None:
            write_text(path, text, force=force)
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        found = self.alone
        return {
            "format": FORMAT,
            "version": VERSION,
            "computed_from": COMPUTED_FROM,
            "not_checked": NOT_CHECKED,
            "ledger": dict(self.ledger),
            "audit": list(AUDIT),
            "synthehr": self.version,
            "rows": found.rows,
            "used_rows": found.used,
            "columns": json_values(_columns(self)),
            "histograms": [
                {
                    "column": each.column,
                    "kind": each.kind,
                    "edges": json_values(each.edges, significant),
                    "labels": list(each.labels),
                    "synthetic": json_values(each.synthetic),
                }
                for each in found.histograms
            ],
            "pairs": json_values(_pairs(found)),
        }


def _render(report: ReleasableReport) -> str:
    """Write the whole page; equal input gives equal text."""
    css, found, ledger = style("report.css"), report.alone, report.ledger
    pairs = found.pairs
    mapped = 0 if pairs is None else min(len(pairs.names), _MOST_MAPPED)
    facts = [
        ("ε", f"{ledger['epsilon']:.3f}"),
        ("δ", f"{ledger['delta']:g}"),
        ("Unit", ledger["unit"]),
        ("Synthetic records", count(found.rows)),
        ("Columns", count(len(report.schema.kept))),
    ]
    return (
        environment()
        .get_template("releasable.html.j2")
        .render(
            audit=AUDIT,
            columns=_columns(report),
            computed_from=COMPUTED_FROM,
            css=Markup(css),
            dependence=charts.dependence(pairs, mapped, _SHADE, "in the synthetic table")
            if pairs is not None
            else None,
            drawn=[(each.column, charts.overlay(each)) for each in found.histograms[:MOST_CHARTS]],
            facts=facts,
            ledger=ledger,
            mapped=mapped,
            not_checked=NOT_CHECKED,
            policy=policy(css),
            report=report,
            shade=_SHADE,
            shades=range(2 * SHADES + 1),
        )
    )


def _columns(report: ReleasableReport) -> list[dict[str, Any]]:
    return [
        {
            "name": column.name,
            "kind": column.kind,
            "role": column.role,
            "unit": column.unit or "",
            "declared": _declared(column),
            "null_synthetic": report.alone.nulls[column.name],
        }
        for column in report.schema.kept
    ]


def _declared(column: Column) -> str:
    """Say what the schema in the model file allows: declared, or measured under the ledger."""
    if column.bounds is not None:
        low, high = (f"{end:g}" if isinstance(end, float) else str(end) for end in column.bounds)
        return f"{low} to {high}"
    if column.levels is None:
        return ""
    told = ", ".join(str(level) for level in column.levels[:_MOST_LEVELS])
    more = len(column.levels) - _MOST_LEVELS
    return f"{told} and {more} more" if more > 0 else told


def _pairs(found: Alone) -> list[dict[str, Any]]:
    pairs = found.pairs
    if pairs is None:
        return []
    return [
        {
            "columns": [pairs.names[i], pairs.names[j]],
            "measure": "correlation" if pairs.measure[i, j] else "cramers_v",
            "synthetic": float(pairs.synthetic[i, j]),
        }
        for i in range(len(pairs.names))
        for j in range(i + 1, len(pairs.names))
    ]
