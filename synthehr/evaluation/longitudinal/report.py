"""The evaluation of visits as JSON, as a page, and as a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from typing import Any

from synthehr.evaluation.figures import (
    failures_of,
    figure_json,
    figure_of,
    html_text,
    json_text,
    named_estimates,
    readings_in_words,
)
from synthehr.evaluation.json_values import json_values, significant
from synthehr.evaluation.longitudinal.results import VisitResults
from synthehr.evaluation.longitudinal.subgroups import VisitGroup
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import MembershipResult
from synthehr.evaluation.words import (
    WATERMARK,
    count,
    rounded,
)

FORMAT = "synthehr-visit-report"
VERSION = 1


@dataclass(frozen=True)
class VisitEvaluation:
    """How faithful and how near to the patients synthetic visits are.

    Attributes
    ----------
    results : VisitResults
        All that was found.
    """

    results: VisitResults

    @property
    def rows(self) -> tuple[Metric, ...]:
        """All figures, those of single columns too."""
        return self.results.rows

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures of the whole table."""
        return tuple(metric for metric in self.rows if metric.column is None)

    @property
    def held_out(self) -> int:
        """Number of held-out patients."""
        return self.results.patients[2]

    @property
    def membership(self) -> tuple[MembershipResult, ...]:
        """Attacks on who was among the training patients; empty without held-out ones."""
        return self.results.membership

    def __getitem__(self, key: str | tuple[str, str]) -> Metric:
        """Return the figure of this name, or of this name and column.

        Raises
        ------
        ConfigError
            If it was not measured.
        """
        return figure_of(self.rows, key)

    def summary(self) -> tuple[str, ...]:
        """Say line by line how far each figure is from what real visits score."""
        results = self.results
        lines = [
            f"{count(results.patients[1])} synthetic patients ({count(results.visits[1])} visits) "
            f"beside {count(results.patients[0])} real ones"
        ]
        told = readings_in_words(self.metrics, results.not_measurable, "real visits")
        return (*lines, *told)

    def failures(self, limits: Mapping[str, float]) -> tuple[str, ...]:
        """Return one sentence for each figure that is on the wrong side of its limit.

        Parameters
        ----------
        limits : mapping from metric name to float
            As for `synthehr.evaluation.report.Report.failures`.

        Raises
        ------
        ConfigError
            If a figure was not measured, or a limit is not a number.
        """
        return failures_of(self.__getitem__, limits)

    def to_json(self, path: str | PathLike[str] | None = None, force: bool = False) -> str:
        """Return the evaluation as JSON text, and write it where a path is given.

        Figures have four decimals; what is not a finite number is null.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        return json_text(self.to_dict(), path, force=force)

    def to_html(self, path: str | PathLike[str] | None = None, force: bool = False) -> str:
        """Return the evaluation as one self-contained page, and write it where a path is given.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        from synthehr.evaluation.longitudinal.page import render

        return html_text(partial(render, self.results), path, force=force)

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as values that JSON can hold."""
        results = self.results
        which = ("real", "synthetic", "holdout")
        return {
            "format": FORMAT,
            "version": VERSION,
            "watermark": WATERMARK,
            "visits": dict(zip(which, results.visits, strict=True)),
            "patients": dict(zip(which, results.patients, strict=True)),
            "time": results.time,
            "target": results.target,
            "ceiling_from": results.ceiling_from,
            "metrics": {metric.name: figure_json(metric) for metric in self.metrics},
            "columns": [json_values(column._asdict()) for column in results.columns],
            "by_column": [
                {"name": metric.name, "column": metric.column, **figure_json(metric)}
                for metric in self.rows
                if metric.column is not None
            ],
            "groups": [_group(group) for group in results.groups],
            "membership": [json_values(named_estimates(each)) for each in results.membership],
            "calibration": [json_values(asdict(curve)) for curve in results.calibration],
            "histograms": [
                {**json_values(asdict(each)), "edges": json_values(each.edges, significant)}
                for each in results.histograms
            ],
            "bands": [json_values(band._asdict(), significant) for band in results.bands],
            "null_map": None
            if results.null_map is None
            else json_values(results.null_map._asdict()),
            "patient_map": None
            if results.patient_map is None
            else json_values(results.patient_map._asdict(), significant),
            "rules": [json_values(named_estimates(each)) for each in results.rules],
            "caps": [cap._asdict() for cap in results.caps],
            "not_measurable": [part._asdict() for part in results.not_measurable],
            "seed": results.seed,
            "seconds": rounded(results.seconds),
        }


def write_visit_report(
    evaluation: VisitEvaluation, path: str | PathLike[str], force: bool = False
) -> None:
    """Write the evaluation of visits as one self-contained page, whole or not at all.

    Parameters
    ----------
    evaluation : VisitEvaluation
        What `evaluate_visits` found.
    path : path
        Where to write.
    force : bool
        Overwrite an existing file.
    """
    evaluation.to_html(path, force)


def _group(group: VisitGroup) -> dict[str, Any]:
    told = json_values({k: v for k, v in group._asdict().items() if k != "metrics"})
    return {**told, "metrics": {metric.name: figure_json(metric) for metric in group.metrics}}
