"""The Medical Event Data Standard, written: an event for each cell that holds something."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.errors import ArtifactError
from synthehr.io.atomic import write_text
from synthehr.io.visits.keys import is_moment, order_of, ranks
from synthehr.io.visits.meds import PATIENT, SCHEMA, STATIC, TIME
from synthehr.io.visits.visits import VisitTable
from synthehr.io.write import write_table
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown

_SUBJECTS_A_SHARD = 10_000
_VERSION = "0.4.1"


def write_meds(visits: VisitTable, folder: Path) -> None:
    """Write a MEDS data set: shards, the codes, and what the data set is.

    Subjects are numbered from 1. A boolean cell is an event where it is true, any other
    cell where it is not null; a static moment such as a birth is an event at that time.

    Raises
    ------
    ArtifactError
        If the times are no moments, or a column has a type that MEDS cannot hold.
    """
    if not is_moment(visits.table.schema.field(visits.time).type):
        raise ArtifactError(
            f"the times in column {shown(visits.time)} are no dates or timestamps",
            hint="MEDS dates every event; write another layout.",
        )
    events = _events(visits)
    (folder / "data").mkdir()
    (folder / "metadata").mkdir()
    subjects = np.asarray(events.column(PATIENT).combine_chunks())
    bounds = np.arange(0, int(subjects[-1]) + _SUBJECTS_A_SHARD, _SUBJECTS_A_SHARD) + 1
    for shard, (start, end) in enumerate(pairwise(np.searchsorted(subjects, bounds))):
        if start < end:
            part = events.slice(int(start), int(end - start))
            write_table([part], folder / "data" / f"{shard}.parquet")
    known = sorted(set(pc.unique(events.column("code")).to_pylist()))
    vocabulary = pa.table(
        {
            "code": pa.array(known, pa.string()),
            "description": pa.nulls(len(known), pa.string()),
            "parent_codes": pa.nulls(len(known), pa.list_(pa.string())),
        }
    )
    write_table([vocabulary], folder / "metadata" / "codes.parquet")
    about = {"dataset_name": "synthetic", "etl_name": "synthehr", "meds_version": _VERSION}
    write_text(folder / "metadata" / "dataset.json", json.dumps(about, indent=2) + "\n")


def _events(visits: VisitTable) -> pa.Table:
    owners = ranks(visits.table.column(visits.patient)) + 1
    times = visits.table.column(visits.time).cast(pa.timestamp("us"))
    persons = visits.patients()
    people = np.arange(1, persons.num_rows + 1)
    parts = []
    for name in visits.static:
        cells = persons.column(name)
        parts.append(_of_column(name.removesuffix(STATIC), cells, people, None))
    for name in visits.varying:
        parts.append(_of_column(name, visits.table.column(name), owners, times))
    events = pa.concat_tables(parts)
    if not events.num_rows:
        raise ArtifactError("no cell holds an event", hint="There is nothing to write.")
    # Events without time come first: no moment lies before the smallest integer.
    times = pc.fill_null(events.column(TIME).cast(pa.int64()), np.iinfo(np.int64).min)
    order = order_of(np.asarray(events.column(PATIENT)), np.asarray(times))
    return events if order is None else events.take(pa.array(order))


def _of_column(
    code: str,
    cells: pa.ChunkedArray,
    owners: NDArray[np.int64],
    times: pa.ChunkedArray | None,
) -> pa.Table:
    """Make the events of one column; without times they are static, or cells are their times."""
    dated = times is None and is_moment(cells.type)
    times = cells.cast(pa.timestamp("us")) if dated else times
    truth = pa.types.is_boolean(cells.type)
    there = pc.fill_null(cells, False) if truth else pc.is_valid(cells)
    at = pa.array(np.flatnonzero(np.asarray(there)))
    n = len(at)
    numbers, texts = pa.nulls(n, pa.float32()), pa.nulls(n, pa.large_string())
    if is_text(cells.type):
        texts = cells.take(at).cast(pa.string()).cast(pa.large_string())
    elif pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type):
        numbers = cells.take(at).cast(pa.float32(), safe=False)
    elif not (truth or dated):
        raise ArtifactError(
            f"column {shown(code)} has the type {cells.type}, which MEDS cannot hold",
            hint="Convert it to a number or to text before the fit.",
        )
    when = pa.nulls(n, pa.timestamp("us")) if times is None else times.take(at)
    name = pa.array(np.full(n, code, dtype=object), pa.string())
    return pa.Table.from_arrays(
        [pa.array(owners[np.asarray(at)]), when, name, numbers, texts], schema=SCHEMA
    )
