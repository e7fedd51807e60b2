"""SDMetrics' own reports, where the optional package is installed; nothing else imports it."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from synthehr.errors import InputError
from synthehr.evaluation.views import Compared, View

TABLE = "table"


class Scores(NamedTuple):
    """Scores in [0, 1] of SDMetrics' two reports, 1 at best; nan where it gives none."""

    shapes: float
    trends: float
    validity: float
    structure: float


def is_installed() -> bool:
    """Whether the optional package can be imported."""
    return find_spec("sdmetrics") is not None


def sdmetrics_scores(columns: tuple[Compared, ...], real: View, synthetic: View) -> Scores:
    """Run QualityReport, with every pair counted, and DiagnosticReport.

    Parameters
    ----------
    columns : tuple of Compared
        The D columns.
    real, synthetic : View
        The tables; all records are used.

    Raises
    ------
    InputError
        If sdmetrics is not installed, is too old, or fails.
    """
    try:
        from sdmetrics.reports import DiagnosticReport, QualityReport
    except ImportError:
        raise InputError(
            "sdmetrics is not installed, or too old to have sdmetrics.reports.QualityReport",
            hint="pip install 'synthehr[sdmetrics]'",
        ) from None
    kinds = [
        (column.name, "categorical" if column.kind == "category" else "numerical")
        for column in columns
    ]
    sdtypes = {name: {"sdtype": sdtype} for name, sdtype in kinds}
    metadata = {"tables": {TABLE: {"columns": sdtypes}}}
    a, b = ({TABLE: _frame(columns, view)} for view in (real, synthetic))
    quality, diagnostic = QualityReport(), DiagnosticReport()
    quality.real_correlation_threshold = quality.real_association_threshold = 0
    quality.num_rows_subsample = max(real.rows, synthetic.rows)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quality.generate(a, b, metadata, verbose=False)
            diagnostic.generate(a, b, metadata, verbose=False)
            found = _properties(quality) | _properties(diagnostic)
    except (ValueError, TypeError, KeyError, ArithmeticError, AttributeError):
        # The library quotes values in its messages.
        raise InputError(
            f"sdmetrics fails on this table of {len(columns)} columns",
            hint="its scores are left out; shape and trend are computed without it",
        ) from None
    names = ("Column Shapes", "Column Pair Trends", "Data Validity", "Data Structure")
    return Scores(*(found.get(name, float("nan")) for name in names))


def _properties(report: Any) -> dict[str, float]:
    rows = report.get_properties()
    return {str(name): float(score) for name, score in zip(rows.Property, rows.Score, strict=True)}


def _frame(columns: tuple[Compared, ...], view: View) -> Any:
    import pandas as pd

    cells = {}
    for j, column in enumerate(columns):
        values = view.values[:, j]
        if column.kind == "category":
            levels = np.array([*column.levels, None], dtype=object)
            values = levels[np.where(np.isnan(values), -1, values).astype(np.int64)]
        cells[column.name] = values
    return pd.DataFrame(cells)
