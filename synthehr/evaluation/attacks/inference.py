"""Attribute inference: the synthetic record nearest in all other columns tells the rest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.attacks.success import disclosure
from synthehr.evaluation.attacks.targets import Targets
from synthehr.evaluation.embedding import CHUNK_CELLS, spans_of
from synthehr.evaluation.metric import Estimate, wilson
from synthehr.evaluation.results import DisclosureResult
from synthehr.evaluation.views import View

MOST_SECRETS = 20
"""Columns, drawn at random, that are inferred in turn."""

NEAR_ENOUGH = 0.05
"""A guessed number counts if it is off by no more than this share of the column's width."""


class Inferred(NamedTuple):
    """Attribute inference over columns.

    Attributes
    ----------
    mean : DisclosureResult
        Success averaged over the columns; the tries are the patients.
    worst : DisclosureResult or None
        Of the column that gives away most, picked on half of the patients and judged on the
        other, both ways; None for a single column.
    columns : tuple of int
        Which columns were inferred.
    each : tuple of DisclosureResult
        One a column.
    """

    mean: DisclosureResult
    worst: DisclosureResult | None
    columns: tuple[int, ...]
    each: tuple[DisclosureResult, ...]


def inference(targets: Targets, rng: np.random.Generator) -> Inferred | None:
    """Guess each column in turn from all others; None for a single column."""
    width = len(targets.categorical)
    if width < 2:
        return None
    secrets = np.sort(rng.permutation(width)[:MOST_SECRETS])
    main, control = (
        _guessed(targets, view, secrets) for view in (targets.training, targets.held_out)
    )
    # A guess without knowledge: the cell of any synthetic record.
    blind = targets.synthetic.values[rng.integers(0, targets.synthetic.rows, len(main))]
    naive = _right(blind[:, secrets], targets.training.values[:, secrets], targets, secrets)
    known = control.mean(axis=0) < 1
    if not known.any():
        return None
    secrets = secrets[known]
    main, control, naive = main[:, known], control[:, known], naive[:, known]
    tables = (main, control, naive)
    return Inferred(
        mean=disclosure("attribute inference", len(main), *(_mean(hits) for hits in tables)),
        worst=_worst(tables, rng) if len(secrets) > 1 else None,
        columns=tuple(int(j) for j in secrets),
        each=tuple(
            disclosure(
                "attribute inference",
                len(main),
                *(wilson(float(hits[:, j].sum()), len(hits)) for hits in tables),
            )
            for j in range(len(secrets))
        ),
    )


def _mean(hits: NDArray[np.bool_]) -> Estimate:
    """Mean over columns, with a normal interval over patients; (n, secrets)."""
    each = hits.mean(axis=1)
    half = 1.959964 * float(each.std()) / np.sqrt(len(each))
    value = float(each.mean())
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def _worst(tables: tuple[NDArray[np.bool_], ...], rng: np.random.Generator) -> DisclosureResult:
    """Judge the worst column; the pick is the surest difference, not the luckiest."""
    main, control, _ = tables
    hits = np.zeros(len(tables))
    halves = [rng.permutation(len(table)) % 2 for table in tables]
    for here in (0, 1):
        a, b = main[halves[0] != here], control[halves[1] != here]
        p, q = (a.sum(axis=0) + 1) / (len(a) + 2), (b.sum(axis=0) + 1) / (len(b) + 2)
        error = np.sqrt(p * (1 - p) / len(a) + q * (1 - q) / len(b))
        worst = int(np.argmax((p - q) / error))
        for which, table in enumerate(tables):
            hits[which] += table[halves[which] == here, worst].sum()
    return disclosure(
        "attribute inference, worst column",
        len(main),
        *(wilson(float(hit), len(table)) for hit, table in zip(hits, tables, strict=True)),
    )


def _guessed(targets: Targets, view: View, secrets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which cells (n, secrets) the nearest synthetic record tells."""
    points, among = targets.points(view), targets.points(targets.synthetic)
    centre = among.mean(axis=0)
    a, b = points - centre, among - centre
    spans = [spans_of(targets.scale, targets.categorical)[j] for j in secrets]
    lengths = (b * b).sum(axis=1)
    step = max(1, CHUNK_CELLS // len(b))
    found = np.empty((len(a), len(secrets)))
    for start in range(0, len(a), step):
        part = a[start : start + step]
        squares = part @ b.T
        squares *= -2
        squares += lengths
        for place, (j, span) in enumerate(zip(secrets, spans, strict=True)):
            own = b[:, span]
            others = part[:, span] @ own.T
            others *= 2
            others -= (own * own).sum(axis=1)
            others += squares
            nearest = others.argmin(axis=1)
            found[start : start + step, place] = targets.synthetic.values[nearest, j]
    return _right(found, view.values[:, secrets], targets, secrets)


def _right(
    guesses: NDArray[np.float64],
    truth: NDArray[np.float64],
    targets: Targets,
    secrets: NDArray[np.int64],
) -> NDArray[np.bool_]:
    widths = np.where(targets.categorical, 0.0, NEAR_ENOUGH * targets.scale.widths)[secrets]
    both_null = np.isnan(guesses) & np.isnan(truth)
    return both_null | (np.abs(guesses - truth) <= widths)
