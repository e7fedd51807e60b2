"""Charts of visits over time, each a function from results to an inline SVG.

Real patients are grey bands, synthetic ones solid lines, one dash pattern each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from synthehr.evaluation.charts import SHADE
from synthehr.evaluation.longitudinal.results import Band, NullMap, PatientMap
from synthehr.evaluation.svg import COLOURS, SHADES, figure, publish, visible
from synthehr.evaluation.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE, _HIGH = 320, 190
_DASHES = ("-", (0, (4.0, 1.6)), (0, (1.4, 1.4)))
_CELL = (34.0, 20.0)
_DENSITIES = (0.2, 0.4, 0.65, 0.9)
"""Opacities of cells with ever more real patients, a fourth of the cells each."""


def courses(band: Band) -> Markup:
    """Draw a few synthetic patients over the quantiles of the real ones."""
    drawing, axes = figure(_WIDE, _HIGH, (46, 24, 12, 6))
    edges = np.asarray(band.edges)
    outer, inner, middle = (np.asarray(band.quantiles)[rows] for rows in ([0, 4], [1, 3], [2]))
    for (low, high), opacity in ((outer, 0.45), (inner, 0.75)):
        shown = np.isfinite(low) & np.isfinite(high)
        axes.fill_between(
            edges,
            np.append(low, low[-1]),
            np.append(high, high[-1]),
            where=np.append(shown, shown[-1]),
            step="post",
            color=COLOURS["real"],
            alpha=opacity,
            linewidth=0,
        )
    axes.stairs(middle[0], edges, color=COLOURS["muted"], linewidth=1.4, baseline=None)
    for k, (times, values) in enumerate(band.drawn):
        axes.plot(
            times,
            values,
            color=COLOURS["synthetic"],
            linewidth=1.6,
            linestyle=_DASHES[k % len(_DASHES)],
            marker="o",
            markersize=3.4,
            mew=0,
        )
    axes.set_xlim(edges[0], edges[-1])
    _numbered(axes)
    name = visible(band.column, 80)
    return publish(drawing, f"{name} over time: synthetic patients over quantiles of real ones.")


def _numbered(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for axis, ticks in ((axes.xaxis, 5), (axes.yaxis, 4)):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="y", color=COLOURS["grid"], linewidth=0.6)


def null_differences(found: NullMap) -> Markup:
    """Map where synthetic visits are null more or less often, by column and visit."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    steps = np.rint((np.asarray(found.synthetic) - np.asarray(found.real)) / SHADE)
    steps = np.nan_to_num(np.clip(steps, -SHADES, SHADES), nan=99.0)
    rows, visits = steps.shape
    names = [visible(name, 20) for name in found.columns]
    room = 14 + 6.2 * max(map(len, names))
    wide, high = visits * _CELL[0], rows * _CELL[1]
    drawing, axes = figure(wide + room + 8, high + 30, (room, 24, 8, 6))
    corners = 0.47 * np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    for step in range(-SHADES, SHADES + 1):
        places = np.argwhere(steps == step)[:, ::-1]
        squares = [Path(corners + place, closed=True) for place in places]
        if squares:
            path = Path.make_compound_path(*squares)
            axes.add_patch(PathPatch(path, facecolor=COLOURS[f"d{step + SHADES}"], linewidth=0))
    axes.set_xlim(-0.5, visits - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xticks(range(visits), [str(k + 1) for k in range(visits)])
    axes.set_yticks(range(rows), names, parse_math=False)
    axes.tick_params(length=0, labelcolor=COLOURS["ink"])
    axes.spines["bottom"].set_visible(False)
    return publish(drawing, "Share of nulls by column and visit, synthetic minus real.")


def patients(found: PatientMap) -> Markup:
    """Draw synthetic patients over the cells in which real ones are."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    drawing, axes = figure(1.4 * _WIDE, 1.6 * _HIGH, (46, 38, 12, 6))
    x, y = (np.asarray(each) for each in found.edges)
    shares = np.nan_to_num(np.asarray(found.real))
    cuts = np.quantile(shares[shares > 0], np.linspace(0, 1, len(_DENSITIES) + 1)[1:-1])
    steps = np.where(shares > 0, np.searchsorted(cuts, shares), -1)
    for step, opacity in enumerate(_DENSITIES):
        squares = [
            Path([(x[k], y[i]), (x[k + 1], y[i]), (x[k + 1], y[i + 1]), (x[k], y[i + 1]),
                  (x[k], y[i])], closed=True)
            for i, k in np.argwhere(steps == step)
        ]  # fmt: skip
        if squares:
            path = Path.make_compound_path(*squares)
            patch = PathPatch(path, facecolor=COLOURS["real"], alpha=opacity, linewidth=0)
            axes.add_patch(patch)
    places = np.asarray(found.synthetic).reshape(-1, 2)
    axes.plot(
        places[:, 0],
        places[:, 1],
        color=COLOURS["synthetic"],
        linestyle="none",
        marker="o",
        markersize=2.6,
        mew=0,
    )
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    first, second = (f"{100 * share:.0f} % of the differences" for share in found.explained)
    axes.set_xlabel(first)
    axes.set_ylabel(second)
    axes.set_xticks([])
    axes.set_yticks([])
    return publish(drawing, "Synthetic patients over the cells in which real patients are.")
