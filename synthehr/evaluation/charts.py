"""The charts of the report, each a function from results to an inline SVG.

Real records are grey areas and bars, synthetic ones solid lines and dots, held-out ones
dashed lines and ticks: the charts read without colour too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from synthehr.evaluation.metric import Estimate
from synthehr.evaluation.results import Calibration, Histogram, Pairs
from synthehr.evaluation.svg import COLOURS, SHADES, figure, publish, visible
from synthehr.evaluation.words import number, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADE = 0.05
"""Difference in dependence that one step of colour stands for."""

_MOST_LEVELS = 7
_WIDE, _HIGH = 236, 142
_ROWS_WIDE = 520
_LARGEST = 1e100
_DAYS = (-719_162, 2_932_896)  # the years 1 to 9999, since 1970-01-01
_DASHED = (0, (2.4, 1.6))
_CELL = 0.47 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])


class Bar(NamedTuple):
    """One row of a chart: a label, a value, and the value that real records have."""

    label: str
    value: float
    real: float | None = None


class Spread(NamedTuple):
    """One row of a chart: a label, an estimate, and that of a null run."""

    label: str
    found: Estimate
    null: Estimate | None = None


def overlay(histogram: Histogram) -> Markup:
    """Draw one column's real, synthetic and held-out shares over each other, or synthetic alone."""
    name = visible(histogram.column, 80)
    said = "synthetic over real" if histogram.real else "synthetic"
    if histogram.labels:
        drawing, axes = figure(_WIDE, _HIGH, (100, 20, 14, 4))
        _levels(axes, histogram)
        return publish(drawing, f"Shares of the levels of {name}, {said}.")
    drawing, axes = figure(_WIDE, _HIGH, (12, 20, 12, 4))
    _bins(axes, histogram)
    return publish(drawing, f"Distribution of {name}, {said}.")


def _bins(axes: Axes, histogram: Histogram) -> None:
    edges, densities = _densities(histogram)
    first = COLOURS["real" if histogram.real else "synthetic"]
    axes.stairs(np.nan_to_num(densities[0]), edges, fill=True, color=first, linewidth=0)
    if len(densities) > 2:
        # A bin of too few patients is a gap in the line, not a zero.
        axes.stairs(densities[2], edges, color=COLOURS["holdout"], linewidth=1.2, linestyle=_DASHED)
    if histogram.real:
        synthetic = np.nan_to_num(densities[1])
        axes.stairs(synthetic, edges, color=COLOURS["synthetic"], linewidth=1.8)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.05 * np.nan_to_num(densities).max(initial=0) or 1)
    axes.yaxis.set_visible(False)
    if edges[0] == histogram.edges[0]:
        _value_axis(axes, is_date=histogram.kind == "date", wide=float(edges[-1] - edges[0]))
    else:
        axes.set_xticks([])


def _densities(histogram: Histogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the edges and, one row a table, the share in each bin over its relative width.

    Edges that Matplotlib cannot place are numbered instead.
    """
    edges, shares = np.asarray(histogram.edges, dtype=np.float64), _shares(histogram)
    first, last = _DAYS if histogram.kind == "date" else (-_LARGEST, _LARGEST)
    if not (np.diff(edges) > 0).all() or edges[0] < first or edges[-1] > last:
        return np.arange(shares.shape[1] + 1.0) + 0.5, shares
    widths = np.diff(edges)
    return edges, shares * (widths.mean() / widths)


def _shares(histogram: Histogram) -> NDArray[np.float64]:
    rows = [row for row in (histogram.real, histogram.synthetic, histogram.holdout) if row]
    return np.asarray(rows, dtype=np.float64)


def _value_axis(axes: Axes, *, is_date: bool, wide: float) -> None:
    from matplotlib.dates import AutoDateLocator, DateFormatter
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if is_date:
        axes.xaxis.set_major_locator(AutoDateLocator(minticks=2, maxticks=4))
        pattern = "%Y" if wide > 1500 else "%Y-%m" if wide > 80 else "%m-%d"
        axes.xaxis.set_major_formatter(DateFormatter(pattern))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))


def _levels(axes: Axes, histogram: Histogram) -> None:
    labels, shares = _fold(histogram)
    places = np.arange(len(labels))
    first = COLOURS["real" if histogram.real else "synthetic"]
    axes.barh(places, np.nan_to_num(shares[0]), height=0.62, color=first, linewidth=0)
    if len(shares) > 2:
        axes.plot(shares[2], places, "|", color=COLOURS["holdout"], markersize=10, mew=1.6)
    if histogram.real:
        axes.plot(shares[1], places, "o", color=COLOURS["synthetic"], markersize=6, mew=0)
    axes.set_xlim(0, 1.06 * np.nan_to_num(shares).max(initial=0) or 1)
    axes.set_ylim(max(len(labels), 3) - 0.45, -0.55)
    _name_rows(axes, labels, 15)
    _share_axis(axes, 3)


def _fold(histogram: Histogram) -> tuple[list[str], NDArray[np.float64]]:
    """Keep the commonest levels and sum the rest, so that a small chart stays readable."""
    shares, labels = _shares(histogram), list(histogram.labels)
    if len(labels) > _MOST_LEVELS:
        kept = _MOST_LEVELS - 1
        rest = np.nansum(shares[:, kept:], axis=1, keepdims=True)
        shares = np.hstack([shares[:, :kept], rest])
        labels = [*labels[:kept], f"({len(labels) - kept} more)"]
    return labels, shares


def _name_rows(axes: Axes, labels: Sequence[str], longest: int) -> None:
    axes.set_yticks(
        np.arange(len(labels)), [visible(label, longest) for label in labels], parse_math=False
    )
    axes.tick_params(axis="y", length=0, labelcolor=COLOURS["ink"])


def _share_axis(axes: Axes, ticks: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis in (axes.xaxis, axes.yaxis) if ticks > 3 else (axes.xaxis,):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def dependence(
    pairs: Pairs, most: int, shade: float = SHADE, said: str = "synthetic minus real"
) -> Markup:
    """Map where the synthetic dependence between two columns is too weak or too strong.

    Parameters
    ----------
    pairs : Pairs
        Dependence between every two columns.
    most : int
        Columns to show; those with the largest mean difference are kept, in table order.
    shade : float
        Difference that one step of colour stands for.
    said : str
        What the difference is.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    kept = most_different(pairs, most)
    steps = _steps(pairs, shade)[np.ix_(kept, kept)]
    n = len(kept)
    cell = float(np.clip(540 / n, 11, 30))
    names = [visible(pairs.names[index], 20) for index in kept]
    room = 14 + 6.2 * max(map(len, names))
    side = (n - 1) * cell
    drawing, axes = figure(side + room + 8, side + room + 6, (room, room, 8, 6))
    for step in range(-SHADES, SHADES + 1):
        places = np.argwhere(np.tril(steps == step, -1))[:, ::-1]
        squares = [Path(corners, closed=True) for corners in _CELL + places[:, None, :]]
        if squares:
            path = Path.make_compound_path(*squares)
            axes.add_patch(PathPatch(path, facecolor=COLOURS[f"d{step + SHADES}"], linewidth=0))
    axes.set_xlim(-0.5, n - 1.5)
    axes.set_ylim(n - 0.5, 0.5)
    axes.set_xticks(range(n - 1), names[:-1], rotation=90, parse_math=False)
    axes.set_yticks(range(1, n), names[1:], parse_math=False)
    size = min(10.5, 0.85 * cell)
    axes.tick_params(length=0, labelcolor=COLOURS["ink"], labelsize=size)
    axes.spines["bottom"].set_visible(False)
    return publish(drawing, f"Dependence between every two of {n} columns, {said}.")


def _steps(pairs: Pairs, shade: float) -> NDArray[np.float64]:
    steps = np.clip(np.rint((pairs.synthetic - pairs.real) / shade), -SHADES, SHADES)
    return np.nan_to_num(steps, nan=99.0)


def most_different(pairs: Pairs, most: int) -> NDArray[np.int64]:
    """Return the indices, ascending, of the columns whose pairs differ most on average."""
    difference = np.abs(pairs.synthetic - pairs.real)
    known = np.isfinite(difference)
    loss = np.where(known, difference, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.sort(np.argsort(-loss, kind="stable")[:most])


def importances(rows: Sequence[Bar]) -> Markup:
    """Draw how much each column helps to tell synthetic from real records."""
    drawing, axes = figure(_ROWS_WIDE, 30 + 22 * len(rows), (150, 24, 52, 2))
    values = np.asarray([row.value for row in rows])
    axes.barh(np.arange(len(rows)), values, height=0.58, color=COLOURS["synthetic"], linewidth=0)
    _frame_rows(axes, rows, 0.0, float(values.max()))
    axes.set_xlim(0)
    for place, value in enumerate(values.tolist()):
        _annotate(axes, max(value, 0.0), place, number(value))
    return publish(drawing, "What each column adds to telling synthetic from real records.")


def dumbbells(rows: Sequence[Bar], measure: str) -> Markup:
    """Draw a figure by column: a tick for real records, a dot for synthetic ones."""
    drawing, axes = figure(_ROWS_WIDE, 30 + 22 * len(rows), (150, 24, 18, 2))
    places = np.arange(len(rows))
    values = np.asarray([row.value for row in rows])
    real = np.asarray([row.value if row.real is None else row.real for row in rows])
    axes.hlines(places, real, values, color=COLOURS["real"], linewidth=3)
    axes.plot(real, places, "|", color=COLOURS["ink"], markersize=15, mew=2)
    axes.plot(values, places, "o", color=COLOURS["synthetic"], markersize=8, mew=0)
    both = np.concatenate([real, values])
    _frame_rows(axes, rows, float(both.min()), float(both.max()))
    return publish(drawing, f"{measure} by column, synthetic beside real.")


def ranges(rows: Sequence[Spread], line: float, description: str) -> Markup:
    """Draw estimates with their intervals over those of null runs, beside a line."""
    drawing, axes = figure(_ROWS_WIDE, 30 + 22 * len(rows), (190, 24, 18, 2))
    ends = [line]
    axes.axvline(line, color=COLOURS["ink"], linewidth=1.2)
    for place, (_, found, null) in enumerate(rows):
        if null is not None:
            axes.barh(
                place, null.high - null.low, left=null.low, height=0.62,
                color=COLOURS["real"], linewidth=0,
            )  # fmt: skip
            ends += [null.low, null.high]
        axes.hlines(place, found.low, found.high, color=COLOURS["synthetic"], linewidth=2)
        axes.plot(found.value, place, "o", color=COLOURS["synthetic"], markersize=7, mew=0)
        ends += [found.low, found.high]
    _frame_rows(axes, [Bar(row.label, row.found.value) for row in rows], min(ends), max(ends))
    _name_rows(axes, [row.label for row in rows], 34)
    return publish(drawing, description)


def _frame_rows(axes: Axes, rows: Sequence[Bar], low: float, high: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    room = (high - low) or 1.0
    axes.set_xlim(low - 0.03 * room, high + 0.03 * room)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _name_rows(axes, [row.label for row in rows], 24)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="x", color=COLOURS["grid"], linewidth=0.8)


def _annotate(axes: Axes, x: float, y: float, text: str) -> None:
    axes.annotate(
        text,
        (x, y),
        (6, 0),
        textcoords="offset points",
        va="center",
        size=10.5,
        color=COLOURS["muted"],
        annotation_clip=False,
    )


def calibration(curves: Sequence[Calibration]) -> Markup:
    """Draw predicted against observed share, trained on real and on synthetic records."""
    drawing, axes = figure(420, 360, (60, 44, 24, 8))
    top = 1.08 * max(max(curve.predicted + curve.observed, default=0.0) for curve in curves)
    top = min(1.0, max(top, 0.05))
    axes.grid(color=COLOURS["grid"], linewidth=0.6)
    axes.plot([0, top], [0, top], color=COLOURS["muted"], linewidth=1, linestyle=_DASHED)
    for curve in sorted(curves, key=lambda curve: curve.trained_on):
        is_real = curve.trained_on == "real"
        axes.plot(
            curve.predicted,
            curve.observed,
            color=COLOURS["ink" if is_real else "synthetic"],
            linewidth=1.3 if is_real else 2,
            marker="s" if is_real else "o",
            markersize=5 if is_real else 6.5,
            mew=0,
        )
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    _share_axis(axes, 4)
    axes.tick_params(pad=6)
    axes.set_xlabel("predicted share")
    axes.set_ylabel("observed share in held-out records")
    return publish(drawing, "Calibration of predictors trained on real and on synthetic records.")
