"""What the charts show: real patients as bands and shares only, a few synthetic ones by themselves.

No real patient is drawn: what fewer than `SMALLEST` of them hold is left blank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.histograms import histograms
from synthehr.evaluation.longitudinal.results import Band, NullMap
from synthehr.evaluation.longitudinal.timeline import Timeline, Timelines
from synthehr.evaluation.results import SMALLEST, Histogram
from synthehr.evaluation.views import Compared, View, Views

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
MOST_BANDS = 6
"""Columns of numbers, those with fewest nulls, that are drawn over time."""
BINS = 12
DRAWN = 3
"""Synthetic patients that are drawn."""
FEWEST_VISITS = 3
FURTHEST = 0.95
"""Share of the real visits that the time axis holds."""
MOST_VISITS = 12
MOST_MAPPED = 24


def shares_of_times(lines: Timelines) -> tuple[Histogram, ...]:
    """Histograms of the visits per patient, and of the time between visits."""
    tables = [lines.real, lines.synthetic, *([lines.held_out] if lines.held_out else [])]
    lengths = [
        View(line.lengths[:, None].astype(np.float64), np.arange(line.n_patients))
        for line in tables
    ]
    gaps = [View(line.gaps[:, None], line.patients[line.later]) for line in tables]
    found: tuple[Histogram, ...] = ()
    for name, views in (("visits per patient", lengths), ("time between visits", gaps)):
        if min(view.rows for view in views):
            column = (Compared(name, "number", ()),)
            held_out = views[2] if len(views) > 2 else None
            found += histograms(Views(column, views[0], views[1], held_out, grouped=True))
    return found


def bands(lines: Timelines, rng: np.random.Generator) -> tuple[Band, ...]:
    """Draw columns over time: quantiles of real patients, and a few synthetic ones."""
    nulls = np.isnan(lines.real.values).mean(axis=0)
    changing = [
        j
        for j in np.flatnonzero(~lines.static)
        if lines.columns[j].kind == "number" and nulls[j] < 1
    ]
    since = _since(lines.real)
    if not len(lines.real.gaps):
        return ()
    edges = np.unique(np.quantile(since, np.linspace(0, FURTHEST, BINS + 1)))
    if len(edges) < 2:
        return ()
    long = np.flatnonzero(lines.synthetic.lengths >= FEWEST_VISITS)
    chosen = rng.permutation(long)[:DRAWN]
    found = []
    for j in sorted(sorted(changing, key=lambda j: nulls[j])[:MOST_BANDS]):
        quantiles = _quantiles(lines.real, since, edges, int(j))
        if np.isfinite(quantiles).any():
            drawn = tuple(_course(lines.synthetic, p, int(j), edges[-1]) for p in chosen)
            found.append(
                Band(
                    lines.columns[j].name,
                    tuple(edges.tolist()),
                    tuple(tuple(row) for row in quantiles.tolist()),
                    drawn,
                )
            )
    return tuple(found)


def _since(line: Timeline) -> NDArray[np.float64]:
    return line.times - line.times[line.offsets[line.patients]]


def _quantiles(
    line: Timeline, since: NDArray[np.float64], edges: NDArray[np.float64], j: int
) -> NDArray[np.float64]:
    """Quantiles by bin of time, shape (quantiles, bins)."""
    values = line.values[:, j]
    place = np.searchsorted(edges[1:-1], since, side="right")
    shown = ~np.isnan(values) & (since <= edges[-1])
    found = np.full((len(QUANTILES), len(edges) - 1), np.nan)
    for b in range(len(edges) - 1):
        rows = shown & (place == b)
        patients = len(np.unique(line.patients[rows]))
        for k, q in enumerate(QUANTILES):
            # A quantile with fewer patients beyond it would be the value of some few.
            if min(q, 1 - q) * patients >= SMALLEST:
                found[k, b] = np.quantile(values[rows], q)
    return found


def _course(
    line: Timeline, patient: int, j: int, furthest: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    own = slice(line.offsets[patient], line.offsets[patient + 1])
    times, values = line.times[own] - line.times[own][0], line.values[own, j]
    shown = ~np.isnan(values) & (times <= furthest)
    return tuple(times[shown].tolist()), tuple(values[shown].tolist())


def null_map(lines: Timelines) -> NullMap | None:
    """Tell the share of nulls by column and visit."""
    rates = [_by_visit(line) for line in (lines.real, lines.synthetic)]
    holding = np.flatnonzero(
        [
            np.isnan(lines.real.values[:, j]).any() or np.isnan(lines.synthetic.values[:, j]).any()
            for j in range(len(lines.columns))
        ]
    )
    if not len(holding):
        return None
    apart = np.nansum(np.abs(rates[0] - rates[1]), axis=1)[holding]
    kept = np.sort(holding[np.argsort(-apart, kind="stable")[:MOST_MAPPED]])
    real, synthetic = (tuple(tuple(row) for row in rate[kept].tolist()) for rate in rates)
    return NullMap(tuple(lines.columns[j].name for j in kept), real, synthetic)


def _by_visit(line: Timeline) -> NDArray[np.float64]:
    """Share of nulls by column and visit, shape (D, visits); nan for few patients."""
    early = line.visit < MOST_VISITS
    when = line.visit[early]
    n = np.bincount(when, minlength=MOST_VISITS)
    nulls = np.isnan(line.values[early])
    counts = np.stack([np.bincount(when, null, MOST_VISITS) for null in nulls.T])
    return np.where(n >= SMALLEST, counts / np.maximum(n, 1), np.nan)
