"""The speed suite: start-up, rows a second, a large table, a streamed sample, a report."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from child import Child, run_child
from quality import ChildFailed, Places, ensure_split
from records import Record

CLI = (sys.executable, "-m", "synthehr")
MODEL = "autoregressive"


def run_part(part: str, places: Places, limit: float) -> Record:
    """Run one part of the suite; a failure is a record too."""
    name, who = NAMES[part]
    record: Record = {"suite": "speed", "data": name, "who": who, "seed": 0, "options": ""}
    work = places.out / "work" / "speed"
    work.mkdir(parents=True, exist_ok=True)
    try:
        return record | PARTS[part](places, work, limit)
    except ChildFailed as failure:
        return record | {"failed": str(failure)}


def _run(*words: str | Path, limit: float) -> Child:
    child = run_child([*CLI, *words], limit=limit)
    if child.code:
        said = child.err.strip().splitlines()
        raise ChildFailed(f"exit code {child.code}: {said[-1] if said else ''}")
    return child


def cold_start(places: Places, work: Path, limit: float) -> Record:
    """Median of seven `synthehr --help`, the first (cold) one left out."""
    seconds = [_run("--help", limit=limit).seconds for _ in range(8)][1:]
    return {"seconds": round(median(seconds), 3), "slowest_s": round(max(seconds), 3)}


def sampling(places: Places, work: Path, limit: float) -> Record:
    """Adult rows a second with the default model, start-up taken out by two sample sizes."""
    model = _adult_model(places, work, limit)
    few, many = (
        _run("sample", model, "-o", work / "rows.parquet", "-n", str(n), "--force", limit=limit)
        for n in (1_000, 101_000)
    )
    return {
        "rows_per_second": round(100_000 / (many.seconds - few.seconds)),
        "start_s": round(few.seconds, 2),
        "whole_s": round(many.seconds, 2),
    }


def stream(places: Places, work: Path, limit: float) -> Record:
    """Peak memory of one and of ten million rows to Parquet: it must not grow with rows."""
    model = _adult_model(places, work, limit)
    target = work / "stream.parquet"
    one, ten = (
        _run("sample", model, "-o", target, "-n", str(n), "--force", limit=limit)
        for n in (1_000_000, 10_000_000)
    )
    written = pq.ParquetFile(target)
    rows, groups = written.metadata.num_rows, written.metadata.num_row_groups
    written.close()
    target.unlink()
    return {
        "rows": rows,
        "row_groups": groups,
        "seconds": round(ten.seconds, 1),
        "peak_mib_1m": round(one.peak_mib),
        "peak_mib_10m": round(ten.peak_mib),
        "peak_growth": round(ten.peak_mib / one.peak_mib, 3),
    }


def large(places: Places, work: Path, limit: float) -> Record:
    """Memory and seconds of a fit of a million rows and forty columns."""
    table, model = work / "large.parquet", work / "large.synthehr"
    if not table.exists():
        pq.write_table(large_table(1_000_000, 40, seed=0), table)
    fitted = _run(
        "fit", table, "-o", model, "--model", MODEL, "--seed", "0", "--force", limit=limit
    )
    return {
        "rows": 1_000_000,
        "columns": 40,
        "fit_process_s": round(fitted.seconds, 1),
        "fit_peak_mib": round(fitted.peak_mib),
    }


def report(places: Places, work: Path, limit: float) -> Record:
    """Seconds of a report on 100 000 records of fifty columns, with held-out ones and a target."""
    made = large_table(220_000, 50, seed=0)
    names = ("real", "synthetic", "held_out")
    paths = [work / f"report_{name}.parquet" for name in names]
    for path, first, rows in zip(
        paths, (0, 100_000, 200_000), (100_000, 100_000, 20_000), strict=True
    ):
        pq.write_table(made.slice(first, rows), path)
    real, synthetic, held_out = paths
    words = ("report", real, synthetic, "--holdout", held_out, "--target", "level_1")
    child = _run(*words, "-o", work / "report.html", "--force", limit=limit)
    return {
        "rows": 100_000,
        "columns": 50,
        "seconds": round(child.seconds, 1),
        "peak_mib": round(child.peak_mib),
    }


def large_table(rows: int, columns: int, seed: int) -> pa.Table:
    """Numbers and levels in equal parts, held together by four hidden factors."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((rows, 4), dtype=np.float32)
    made: dict[str, pa.Array] = {}
    for i in range(columns):
        mixed = factors @ rng.standard_normal(4, dtype=np.float32)
        mixed += rng.standard_normal(rows, dtype=np.float32)
        if i % 2:
            edges = np.quantile(mixed[:10_000], np.linspace(0, 1, 4 + i)[1:-1])
            codes = np.searchsorted(edges, mixed).astype(np.int32)
            names = pa.array([f"level {k}" for k in range(len(edges) + 1)])
            made[f"level_{i}"] = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
        else:
            gaps = rng.random(rows) < (0.1 if i % 4 else 0.0)
            made[f"number_{i}"] = pa.array(np.round(np.float64(mixed), 2), mask=gaps)
    return pa.table(made)


def _adult_model(places: Places, work: Path, limit: float) -> Path:
    model, train = work / "adult.synthehr", ensure_split("adult", places) / "train.parquet"
    _run("fit", train, "-o", model, "--model", MODEL, "--seed", "0", "--force", limit=limit)
    return model


PARTS: dict[str, Callable[[Places, Path, float], Record]] = {
    "start": cold_start,
    "sampling": sampling,
    "large": large,
    "stream": stream,
    "report": report,
}
NAMES = {
    "start": ("cold start", "help"),
    "sampling": ("sampling", MODEL),
    "large": ("large", MODEL),
    "stream": ("stream", MODEL),
    "report": ("report", "report"),
}
"""How a part is called in the records: data and who, as in `bars.BARS`."""
