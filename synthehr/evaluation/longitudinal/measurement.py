"""When values are measured: missing rates, masks that go together, masks that last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Draws,
    Figures,
    Resampled,
    averaged,
    correlation,
    known,
    ks,
    shares,
)

VISITS = 10
"""Visits by whose number missing rates are compared."""
FEWEST = 20
"""Visits of each table without which a visit number is left out."""
SOON = 2
"""A value is measured again soon if it is within so many visits."""
MOST_PAIRED = 30
"""Columns, those with most nulls, whose masks are compared in pairs."""


def measurement(pair: Compare) -> Figures:
    """Compare what is measured when."""
    names = [column.name for column in pair.columns]
    rates = _null_rates(pair.real)[:, 0]
    never = np.abs(np.subtract(*[_never(side) for side in pair.both]))
    found = null_shares(pair)
    worst = np.stack([draws for (_, column), draws in found.items() if column is not None])
    found[("missing_worst", None)] = worst.max(axis=0)
    found |= averaged("missing_visit", _by_visit(pair))
    found |= averaged("never_measured", dict(zip(names, never, strict=True)))
    sometimes = [j for j in range(len(names)) if 0 < rates[j] < 1]
    found |= averaged("mask_persistence", {names[j]: _persistence(pair, j) for j in sometimes})
    found |= averaged(
        "measured_again", {names[j]: _again(pair, j) for j in sometimes if j in pair.numbers}
    )
    return found | _mask_pairs(pair, sometimes, rates)


def null_shares(pair: Compare) -> Figures:
    """Compare the share of nulls of each column."""
    errors = np.abs(np.subtract(*[_null_rates(side) for side in pair.both]))
    names = [column.name for column in pair.columns]
    return averaged("missing", dict(zip(names, errors, strict=True)))


def _null_rates(side: Resampled) -> Draws:
    """Share of null cells by column, shape (D, 1 + B)."""
    line = side.line
    nulls = side.totals(line.patients, np.isnan(line.values).astype(np.float64))
    return nulls / (line.lengths @ side.weights)


def _never(side: Resampled) -> Draws:
    """Share of patients without a value by column, shape (D, 1 + B)."""
    there = ~np.isnan(side.line.values)
    ever = np.logical_or.reduceat(there, side.line.offsets[:-1], axis=0)
    return (~ever).T.astype(np.float64) @ side.weights / side.weights.sum(axis=0)


def _by_visit(pair: Compare) -> dict[str, Draws]:
    """Mean error of the missing rate over the first visits, by column."""
    rates = []
    for side in pair.both:
        line = side.line
        early = line.visit < VISITS
        who, when = line.patients[early], line.visit[early]
        present = side.counts(who, when, VISITS)
        nulls = np.isnan(line.values[early])
        of = [side.counts(who[null], when[null], VISITS) for null in nulls.T]
        with np.errstate(invalid="ignore"):
            rates.append((np.stack(of) / present, present[:, 0] > FEWEST))
    compared = rates[0][1] & rates[1][1]
    if not compared.any():
        return {}
    errors = np.abs(rates[0][0] - rates[1][0])[:, compared]
    return {
        column.name: error.mean(axis=0) for column, error in zip(pair.columns, errors, strict=True)
    }


def _persistence(pair: Compare, j: int) -> Draws:
    """Error of the chance that a value is there, given whether the one before was.

    The mean of the two, by how often each is the case in real visits.
    """
    counts = []
    for side in pair.both:
        line = side.line
        there = ~np.isnan(line.values[:, j])
        cells = 2 * there[line.later - 1] + there[line.later]
        counts.append(side.counts(line.patients[line.later], cells.astype(np.int64), 4))
    before = [each[::2] + each[1::2] for each in counts]
    if not before[0][:, 0].sum() or not before[1][:, 0].sum():
        return np.full(pair.real.weights.shape[1], np.nan)
    chances = [each[1::2] / np.maximum(n, 1) for each, n in zip(counts, before, strict=True)]
    return (shares(before[0]) * np.abs(chances[0] - chances[1])).sum(axis=0)


def _again(pair: Compare, j: int) -> Draws:
    """Error of how far values that are soon measured again differ from the rest, as KS."""
    far = []
    for side in pair.both:
        line = side.line
        rows = np.flatnonzero(~np.isnan(line.values[:, j]))
        following = np.append(rows[1:], line.rows + SOON)
        same = np.append(line.patients[rows[1:]] == line.patients[rows[:-1]], False)
        soon = same & (following - rows <= SOON)
        # Whoever leaves before could not have been measured again.
        stays = line.visit[rows] + SOON < line.lengths[line.patients[rows]]
        groups = [rows[soon], rows[~soon & stays]]
        if min(map(len, groups)) < FEWEST:
            return np.full(pair.real.weights.shape[1], np.nan)
        far.append(ks(*(known(side, group, line.values[group, j]) for group in groups)))
    return np.abs(far[0] - far[1])


def _mask_pairs(pair: Compare, sometimes: list[int], rates: NDArray[np.float64]) -> Figures:
    """Mean error of φ, the correlation of two masks, over pairs of columns."""
    used = sorted(sorted(sometimes, key=lambda j: abs(rates[j] - 0.5))[:MOST_PAIRED])
    if len(used) < 2:
        return {}
    above = np.triu_indices(len(used), 1)
    tables = []
    for side in pair.both:
        line = side.line
        nulls = np.isnan(line.values[:, used]).astype(np.float64)
        n = np.broadcast_to(line.lengths @ side.weights, (len(above[0]), side.weights.shape[1]))
        one = side.totals(line.patients, nulls)
        x, y = one[above[0]], one[above[1]]
        both = [side.totals(line.patients, nulls * nulls[:, [i]]) for i in range(len(used))]
        xy = np.stack(both)[above]
        tables.append(np.nan_to_num(correlation(np.stack([n, x, y, x, y, xy]))))
    return {("mask_pairs", None): np.abs(tables[0] - tables[1]).mean(axis=0)}
