"""The evaluation of images as JSON, as a page, and as a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any

from synthehr.evaluation.figures import (
    failures_of,
    figure_json,
    figure_of,
    html_text,
    json_text,
    readings_in_words,
)
from synthehr.evaluation.images.results import ImageResults, Sheet
from synthehr.evaluation.json_values import json_values
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import MembershipResult
from synthehr.evaluation.words import (
    WATERMARK,
    count,
    rounded,
)

FORMAT = "synthehr-image-report"
VERSION = 1


@dataclass(frozen=True)
class ImageEvaluation:
    """How faithful, how useful and how near to the patients synthetic images are.

    Attributes
    ----------
    results : ImageResults
        All that was found.
    """

    results: ImageResults

    @property
    def rows(self) -> tuple[Metric, ...]:
        """All figures, those in other features too."""
        return self.results.rows

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures that count most: each is measured in the first features."""
        return tuple(metric for metric in self.rows if metric.column is None)

    @property
    def held_out(self) -> int:
        """Number of held-out patients."""
        return self.results.patients[2]

    @property
    def membership(self) -> tuple[MembershipResult, ...]:
        """None: what the model file tells is a figure of its own."""
        return ()

    def joined(self, metrics: Sequence[Metric], sheets: Sequence[Sheet]) -> ImageEvaluation:
        """Add figures that were measured elsewhere, and images to look at."""
        rows, shown = (*self.results.rows, *metrics), (*self.results.sheets, *sheets)
        return ImageEvaluation(replace(self.results, rows=rows, sheets=shown))

    def __getitem__(self, key: str | tuple[str, str]) -> Metric:
        """Return the figure of this name, or of this name in these features.

        Raises
        ------
        ConfigError
            If it was not measured.
        """
        return figure_of(self.rows, key)

    def summary(self) -> tuple[str, ...]:
        """Say line by line how far each figure is from what real images score."""
        results = self.results
        first = results.features[0]
        lines = [
            f"{count(results.images[1])} synthetic images beside {count(results.images[0])} real "
            f"ones, in features {first.name}"
        ]
        if first.accuracy is not None and first.chance is not None:
            lines[0] += (
                f" ({first.accuracy:.1%} right on unseen images, {first.chance:.1%} by chance)"
            )
        told = readings_in_words(self.metrics, results.not_measurable, "real images")
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

        Figures have four decimals; what is not a finite number is null. No image is in it.

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

        Real images are in it: the page is an internal one.

        Parameters
        ----------
        path : path or None
            Where to write; None only returns the text.
        force : bool
            Overwrite an existing file.
        """
        from synthehr.evaluation.images.page import render

        return html_text(partial(render, self.results), path, force=force)

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as values that JSON can hold."""
        results = self.results
        first = results.features[0].name
        return {
            "format": FORMAT,
            "version": VERSION,
            "watermark": WATERMARK,
            **results.facts(),
            "features": [json_values(each._asdict()) for each in results.features],
            "metrics": {
                metric.name: {"features": first, **figure_json(metric)} for metric in self.metrics
            },
            "by_features": [
                {"name": metric.name, "features": metric.column, **figure_json(metric)}
                for metric in self.rows
                if metric.column is not None
            ],
            "caps": [cap._asdict() for cap in results.caps],
            "not_measurable": [part._asdict() for part in results.not_measurable],
            "seed": results.seed,
            "seconds": rounded(results.seconds),
        }
