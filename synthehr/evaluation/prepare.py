"""From what the caller has, paths or tables, to aligned tables of a bearable size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.evaluation.results import Cap, Results
from synthehr.evaluation.similarity import check_overlap
from synthehr.evaluation.task import Informed, generator_of
from synthehr.evaluation.views import Views, align
from synthehr.io import read
from synthehr.schema.column import nearest, shown
from synthehr.schema.infer import infer
from synthehr.schema.table import Schema
from synthehr.split import patients_of

MOST_ROWS = 200_000
NOT_COMPARED = ("id", "text")
CATEGORIES = ("categorical", "ordinal", "boolean")


@dataclass(frozen=True)
class Prepared:
    """Aligned tables, what was believed about them, and what was left out.

    Attributes
    ----------
    views : Views
        The tables.
    schema : Schema
        As given, or as inferred from the real table.
    caps : tuple of Cap
        Which tables were subsampled.
    rows : mapping of str to ndarray of shape (N,), int64
        Which records of each table the views hold.
    tables : mapping of str to Table
        These records with all of their columns.
    """

    views: Views
    schema: Schema
    caps: tuple[Cap, ...]
    rows: Mapping[str, NDArray[np.int64]]
    tables: Mapping[str, pa.Table]

    def of_whole_tables(self, informed: Informed) -> Informed:
        """Let an attack that knows row numbers of the whole tables be asked by those of views."""
        names = {"real": "real", "holdout": "held-out", "synthetic": "synthetic"}
        return lambda which, rows: informed(which, self.rows[names[which]][rows])

    def with_caps(self, results: Results) -> Results:
        """Add what was left out before anything was measured."""
        return replace(results, caps=self.caps + results.caps)


def prepare(
    real: Any,
    synthetic: Any,
    holdout: Any = None,
    *,
    schema: Schema | None = None,
    target: str | None = None,
    patient: str | None = None,
    seed: int = 0,
) -> Prepared:
    """Read, align and check the tables; parameters are those of `synthehr.evaluation.evaluate`."""
    named = {"real": real, "synthetic": synthetic, "held-out": holdout}
    tables = {name: read(source).table for name, source in named.items() if source is not None}
    if schema is None:
        schema = infer(
            tables["real"], patient=patient, on_text="drop", pii="keep", open_questions="keep"
        )
        if patient is None and schema.patient in tables["synthetic"].column_names:
            patient = schema.patient
    elif patient is None:
        patient = schema.patient
    skipped = left_out(schema, tables["synthetic"], patient)
    if patient is not None and patient not in tables["synthetic"].column_names:
        raise InputError(
            f"the synthetic table lacks {shown(patient)}, which says whose record it is",
            hint="give a synthetic table with the patient column",
        )
    caps, rows = [], {}
    for k, (name, table) in enumerate(tables.items()):
        rows[name] = at_most(table, patient, generator_of(seed, "rows", k))
        if len(rows[name]) < table.num_rows:
            tables[name] = table.take(pa.array(rows[name]))
            caps.append(Cap(f"the {name} table", tables[name].num_rows, table.num_rows, "records"))
    views = align(
        tables["real"],
        tables["synthetic"],
        tables.get("held-out"),
        patient=patient,
        categories=[c.name for c in schema if c.kind in CATEGORIES],
        leave_out=skipped,
    )
    names = tuple(column.name for column in views.columns)
    if target is not None and target not in names:
        raise InputError(
            f"the target {shown(target)} is not among the columns that are compared",
            hint=nearest(target, names),
        )
    check_overlap(views)
    return Prepared(views, schema, tuple(caps), rows, tables)


def left_out(schema: Schema, synthetic: pa.Table, patient: str | None) -> list[str]:
    """Name what synthetic tables make up or lack: ids, free text, dropped columns."""
    lacking = set(schema.names) - set(synthetic.column_names)
    return [
        column.name
        for column in schema
        if column.name != patient
        and (
            column.role in ("drop", "patient")
            or column.kind in NOT_COMPARED
            or (column.identifier is not None and column.name in lacking)
        )
    ]


def at_most(table: pa.Table, patient: str | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose whole patients drawn at random, up to `MOST_ROWS` records."""
    if table.num_rows <= MOST_ROWS:
        return np.arange(table.num_rows)
    patients = patients_of(table, patient)
    if patients is None:
        return np.sort(rng.permutation(table.num_rows)[:MOST_ROWS])
    sizes = np.bincount(patients)
    order = rng.permutation(len(sizes))
    kept = np.zeros(len(sizes), dtype=bool)
    kept[order[np.cumsum(sizes[order]) <= MOST_ROWS]] = True
    return np.flatnonzero(kept[patients])
