"""The report: the results of an evaluation, as a page, as JSON, and as a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

from synthehr.evaluation import summary as plain
from synthehr.evaluation.figures import (
    failures_of,
    figure_json,
    figure_of,
    html_text,
    json_text,
    named_estimates,
)
from synthehr.evaluation.json_values import json_values, significant
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import (
    ColumnResult,
    Histogram,
    MembershipResult,
    Pairs,
    Results,
)
from synthehr.evaluation.words import WATERMARK, rounded

if TYPE_CHECKING:
    from synthehr.schema.table import Schema

FORMAT = "synthehr-report"
VERSION = 1
MOST_PAIRS = 2000
"""Pairs of columns, the most different ones, that the JSON report lists."""


@dataclass(frozen=True)
class Report:
    """How faithful and how near to the patients a synthetic table is.

    Attributes
    ----------
    results : Results
        All figures.
    record : mapping or None
        How the synthetic table came about: versions, seeds, settings; any nesting of
        mappings, lists, numbers and text. It must not hold cell values.
    schema : Schema or None
        What was believed about each column.
    """

    results: Results
    record: Mapping[str, Any] | None = None
    schema: Schema | None = None

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures of the whole table."""
        return self.results.metrics

    @property
    def held_out(self) -> int:
        """Number of held-out records."""
        return self.results.rows[2]

    @property
    def membership(self) -> tuple[MembershipResult, ...]:
        """Attacks on who was among the training patients; empty without held-out ones."""
        return self.results.membership

    @property
    def columns(self) -> tuple[ColumnResult, ...]:
        """The figures of each column."""
        return self.results.columns

    def __getitem__(self, name: str) -> Metric:
        """Return the figure of this name.

        Raises
        ------
        ConfigError
            If no figure of this name was measured.
        """
        return figure_of(self.metrics, name)

    def summary(self) -> tuple[str, ...]:
        """Say in plain words, line by line, what is good and what gives the fake away."""
        return plain.lines(plain.summarise(self.results))

    def failures(self, limits: Mapping[str, float]) -> tuple[str, ...]:
        """Return one sentence for each figure that is on the wrong side of its limit.

        Parameters
        ----------
        limits : mapping from metric name to float
            The least value allowed of a figure of which more is better, the greatest of one
            of which less is better. For a figure that should equal its ceiling, a limit above
            the ceiling is the greatest value allowed, one below it the least. Figures of the
            sections "privacy" and "similarity" are judged by the worse end of their interval.

        Raises
        ------
        ConfigError
            If a figure was not measured, or a limit is not a number.
        """
        return failures_of(self.__getitem__, limits)

    def to_json(self, path: str | PathLike[str] | None = None, force: bool = False) -> str:
        """Return the report as JSON text, and write it where a path is given.

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
        """Return the report as one self-contained page, and write it where a path is given.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        from synthehr.evaluation.page import render

        page = partial(render, self.results, self.record or {}, self.schema)
        return html_text(page, path, force=force)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        results = self.results
        words = plain.summarise(results)
        return {
            "format": FORMAT,
            "version": VERSION,
            "watermark": WATERMARK,
            "rows": dict(zip(("real", "synthetic", "holdout"), results.rows, strict=True)),
            "patients": dict(zip(("real", "synthetic", "holdout"), results.patients, strict=True)),
            "target": results.target,
            "ceiling_from": results.ceiling_from,
            "summary": asdict(words),
            "metrics": {metric.name: figure_json(metric) for metric in results.metrics},
            "columns": [json_values(asdict(column)) for column in results.columns],
            "pairs": _pairs(results.pairs),
            "histograms": [_histogram(histogram) for histogram in results.histograms],
            "calibration": [json_values(asdict(curve)) for curve in results.calibration],
            "rare_levels": [json_values(band._asdict()) for band in results.rare_levels],
            "membership": [json_values(named_estimates(each)) for each in results.membership],
            "disclosure": [json_values(named_estimates(each)) for each in results.disclosure],
            "groups": [json_values(named_estimates(each)) for each in results.groups],
            "rules": [json_values(each._asdict()) for each in results.rules],
            "rebalancing": [json_values(named_estimates(each)) for each in results.rebalancing],
            "caps": [cap._asdict() for cap in results.caps],
            "not_measurable": [part._asdict() for part in results.not_measurable],
            "schema": _schema(self.schema),
            "record": json_values(self.record or {}, significant),
            "seed": results.seed,
            "seconds": rounded(results.seconds),
        }


def _histogram(histogram: Histogram) -> dict[str, Any]:
    return {**json_values(asdict(histogram)), "edges": json_values(histogram.edges, significant)}


def _pairs(pairs: Pairs | None) -> list[dict[str, Any]]:
    if pairs is None:
        return []
    return [
        {
            "columns": [pairs.names[first], pairs.names[second]],
            "measure": "correlation" if pairs.measure[first, second] else "cramers_v",
            "real": rounded(float(pairs.real[first, second])),
            "synthetic": rounded(float(pairs.synthetic[first, second])),
            "score": rounded(float(pairs.score[first, second])),
            "ceiling": rounded(float(pairs.ceiling[first, second])),
        }
        for first, second in plain.worst_pairs(pairs, MOST_PAIRS)
    ]


def _schema(schema: Schema | None) -> list[dict[str, Any]] | None:
    """Tell what each column is; levels and bounds stay in the schema's own file."""
    if schema is None:
        return None
    kept = ("name", "kind", "role", "unit", "reason")
    return [{name: getattr(column, name) for name in kept} for column in schema.columns]
