"""How many visits patients have, over how long, and how far apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Draws,
    Figures,
    Resampled,
    Sample,
    ks,
    shares,
    wasserstein,
)
from synthehr.evaluation.longitudinal.timeline import changes

GAP_BINS = 5


def structure(pair: Compare) -> Figures:
    """Compare visits per patient, follow-up, gaps, and what should never change."""
    everyone = [np.arange(side.line.n_patients) for side in pair.both]
    visits = [side.line.lengths @ side.weights / side.weights.sum(0) for side in pair.both]
    zeros = [_share(side, side.line.gaps == 0) for side in pair.both]
    logs = [np.log1p(np.maximum(side.line.gaps, 0)) for side in pair.both]
    found: Figures = {
        **gaps_and_lengths(pair),
        ("length_mean", None): np.abs(visits[1] / visits[0] - 1),
        ("span", None): ks(*_samples(pair, everyone, [side.line.spans for side in pair.both])),
        ("gap_log", None): wasserstein(*_samples(pair, _owners(pair), logs)),
        ("gap_after_gap", None): _gap_after_gap(pair),
        ("negative", None): _share(pair.other, pair.other.line.written_gaps < 0),
        ("zero", None): np.abs(zeros[0] - zeros[1]),
    }
    return found | _static_changes(pair)


def gaps_and_lengths(pair: Compare) -> Figures:
    """Compare the numbers of visits, and the times between."""
    everyone = [np.arange(side.line.n_patients) for side in pair.both]
    lengths = [side.line.lengths.astype(np.float64) for side in pair.both]
    gaps = [side.line.gaps for side in pair.both]
    return {
        ("length", None): ks(*_samples(pair, everyone, lengths)),
        ("gap", None): ks(*_samples(pair, _owners(pair), gaps)),
    }


def _samples(
    pair: Compare, patients: list[NDArray[np.int64]], values: list[NDArray[np.float64]]
) -> tuple[Sample, Sample]:
    a, b = (Sample(*each) for each in zip(pair.both, patients, values, strict=True))
    return a, b


def _owners(pair: Compare) -> list[NDArray[np.int64]]:
    return [side.line.patients[side.line.later] for side in pair.both]


def _share(side: Resampled, hits: NDArray[np.bool_]) -> Draws:
    """Share of the gaps that are of a kind; nan without gaps."""
    line = side.line
    owners = line.patients[line.later]
    found = side.totals(owners, np.stack([hits, np.ones(len(hits))], axis=1).astype(np.float64))
    with np.errstate(invalid="ignore"):
        return found[0] / found[1]


def _gap_after_gap(pair: Compare) -> Draws:
    """Total variation of a gap given the one before, in bins of the real gaps."""
    line = pair.real.line
    if not len(line.gaps):
        return np.full(pair.real.weights.shape[1], np.nan)
    cuts = np.unique(np.quantile(line.gaps, np.linspace(0, 1, GAP_BINS + 1)[1:-1]))
    size = len(cuts) + 1
    given = []
    for side in pair.both:
        line = side.line
        bins = np.full(line.rows, -1)
        bins[line.later] = np.searchsorted(cuts, line.gaps)
        rows = line.after(2)
        cells = bins[rows - 1] * size + bins[rows]
        given.append(side.counts(line.patients[rows], cells, size * size))
    if not all(table[:, 0].any() for table in given):
        return np.full(pair.real.weights.shape[1], np.nan)
    tables = [table.reshape(size, size, -1) for table in given]
    weights = shares(tables[0].sum(axis=1))
    rows_of = [table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300) for table in tables]
    return (weights * np.abs(rows_of[0] - rows_of[1]).sum(axis=1) / 2).sum(axis=0)


def _static_changes(pair: Compare) -> Figures:
    """Share of patients in whom a column changes that never does in a real patient."""
    static = np.flatnonzero(pair.static)
    if not len(static):
        return {}
    line = pair.other.line
    changed = changes(line)[:, static].any(axis=1)
    patients = np.bincount(line.patients[line.later], changed, minlength=line.n_patients) > 0
    weights = pair.other.weights
    return {("static_changes", None): patients @ weights / weights.sum(axis=0)}
