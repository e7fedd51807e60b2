"""The synthetic table by itself: nothing here has seen a real record."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from synthehr.errors import InputError
from synthehr.evaluation.fidelity import trends
from synthehr.evaluation.histograms import histograms
from synthehr.evaluation.parts import PAIR_COLUMNS
from synthehr.evaluation.prepare import CATEGORIES, MOST_ROWS, NOT_COMPARED
from synthehr.evaluation.results import Histogram, Pairs
from synthehr.evaluation.task import generator_of
from synthehr.evaluation.views import View, align
from synthehr.schema.column import shown
from synthehr.schema.table import Schema


@dataclass(frozen=True)
class Alone:
    """What a synthetic table shows by itself.

    Attributes
    ----------
    rows, used : int
        Its records, and how many of them, drawn at random, the rest was computed from.
    nulls : dict of str to float
        Share of null cells, by column.
    histograms : tuple of Histogram
        Only `synthetic` is filled; columns of fewer than 20 values are left out.
    pairs : Pairs or None
        Dependence of every two columns as `synthetic`, and none as `real`. None for a single
        column.
    """

    rows: int
    used: int
    nulls: dict[str, float]
    histograms: tuple[Histogram, ...]
    pairs: Pairs | None


def alone(table: pa.Table, schema: Schema) -> Alone:
    """Describe a synthetic table.

    Parameters
    ----------
    table : Table
        Synthetic records.
    schema : Schema
        What its columns are: those that are not dropped.

    Raises
    ------
    InputError
        If the table has other columns than the schema.
    """
    names = {column.name for column in schema.kept}
    if names != set(table.column_names):
        name = min(names ^ set(table.column_names))
        lacks = "lacks" if name in names else "has"
        raise InputError(
            f"the synthetic table {lacks} column {shown(name)}, unlike its model",
            hint="give the table as it was drawn from the model file",
        )
    rows = np.sort(generator_of(0, "rows").permutation(table.num_rows)[:MOST_ROWS])
    some = table.take(pa.array(rows))
    drawn = {column.name for column in schema.features if column.kind not in NOT_COMPARED}
    views = align(
        some,
        some,
        categories=[column.name for column in schema if column.kind in CATEGORIES],
        leave_out=sorted(names - drawn),
    )
    return Alone(
        rows=table.num_rows,
        used=len(rows),
        nulls={name: some[name].null_count / len(rows) for name in table.column_names},
        histograms=tuple(replace(each, real=()) for each in histograms(views)),
        pairs=_pairs([column.name for column in views.columns], views.real, views.categorical),
    )


def _pairs(names: list[str], view: View, categorical: np.ndarray) -> Pairs | None:
    names, categorical = names[:PAIR_COLUMNS], categorical[:PAIR_COLUMNS]
    if len(names) < 2:
        return None
    view = View(view.values[:, : len(names)], view.patients)
    found = trends(view, view, categorical)
    unknown = np.full_like(found.score, np.nan)
    numeric = np.logical_not(categorical[:, None] | categorical).astype(np.int8)
    none = np.zeros_like(found.synthetic)
    return Pairs(tuple(names), numeric, none, found.synthetic, unknown, unknown)
