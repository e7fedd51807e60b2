"""Quality against fit seconds, one panel a data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from quality import REAL
from records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, THEIRS = "#0b6e69", "#9a6b3f"


def plot(records: Sequence[Record], paths: Sequence[Path]) -> None:
    """Draw C2ST (0.5 best, downwards) over fit seconds, ours and rivals labelled where they lie."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "synthehr"
    names = list(dict.fromkeys(r["data"] for r in records if "fit_s" in r))
    columns = min(4, max(1, len(names)))
    rows = -(-len(names) // columns) or 1
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.4 * columns, 2.9 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        _panel(axis, [record for record in records if record["data"] == name])
        axis.set_title(name, loc="left", fontsize=10, fontweight="bold")
    figure.supxlabel("seconds to fit (log)", fontsize=9)
    figure.supylabel("C2ST: told apart from real rows (0.5 is best)", fontsize=9)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        # a date in the file would make equal figures differ
        plain = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, dpi=150, metadata=plain)
    plt.close(figure)


def _panel(axis: Axes, records: Sequence[Record]) -> None:
    for real in (r for r in records if r["who"] == REAL and "detect" in r):
        axis.axhline(real["detect"], color="#999", linewidth=0.8, linestyle=":", zorder=0)
    for who in dict.fromkeys(r["who"] for r in records if "fit_s" in r and "detect" in r):
        runs = [r for r in records if r["who"] == who and "detect" in r]
        x, y = mean(r["fit_s"] for r in runs), mean(r["detect"] for r in runs)
        color = THEIRS if runs[0].get("rival") else OURS
        axis.scatter([x], [y], color=color, s=28, marker="s" if runs[0].get("rival") else "o")
        axis.annotate(who, (x, y), (5, 3), textcoords="offset points", fontsize=8, color=color)
    axis.set_xscale("log")
    axis.set_ylim(0.48, 1.03)
    axis.margins(x=0.25)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
