"""The bars of the project, and whether measured runs clear them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import NamedTuple

from records import Record

DEFAULT = "autoregressive"


class Bar(NamedTuple):
    """A figure of one of our models on one data set that has to lie in [low, high].

    With a rival, the figure is divided by the rival's in the same run first. With an epsilon,
    it is that of a run under differential privacy.
    """

    data: str
    who: str
    figure: str
    low: float | None = None
    high: float | None = None
    rival: str | None = None
    epsilon: float | None = None


class Verdict(NamedTuple):
    """A bar, what was measured (None: not run), and the rival's figure beside it."""

    bar: Bar
    value: float | None
    rival_value: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the bar is cleared; None where it was not measured."""
        if self.value is None:
            return None
        low, high = self.bar.low, self.bar.high
        return (low is None or self.value >= low) and (high is None or self.value <= high)


BARS = (
    Bar("adult", DEFAULT, "detect", high=0.535),
    Bar("adult", DEFAULT, "shapes", low=0.990),
    Bar("adult", DEFAULT, "trends", low=0.975),
    Bar("adult", DEFAULT, "tstr", low=0.917),
    Bar("adult", DEFAULT, "closer", low=0.48, high=0.52),
    Bar("adult", DEFAULT, "fit_s", high=0.4, rival="mostly"),
    Bar("adult", DEFAULT, "fit_peak_mib", high=890),
    Bar("stroke", DEFAULT, "detect", high=0.58),
    Bar("stroke", DEFAULT, "tstr", low=0.74),
    Bar("stroke", DEFAULT, "fit_s", high=0.3, rival="mostly"),
    Bar("support2", DEFAULT, "detect", high=0.90),
    Bar("support2", DEFAULT, "tstr", low=0.985),
    Bar("support2", DEFAULT, "nulls", high=0.02),
    Bar("support2", DEFAULT, "fit_s", high=0.4, rival="mostly"),
    Bar("default_credit", DEFAULT, "detect", high=0.78),
    Bar("default_credit", DEFAULT, "tstr", low=0.766),
    Bar("default_credit", DEFAULT, "fit_s", high=0.3, rival="mostly"),
    Bar("shoppers", DEFAULT, "detect", high=0.645),
    Bar("shoppers", DEFAULT, "tstr", low=0.890),
    Bar("shoppers", DEFAULT, "fit_s", high=0.3, rival="mostly"),
    Bar("heart_disease", DEFAULT, "detect", high=0.66),
    Bar("heart_disease", DEFAULT, "tstr", low=0.775),
    Bar("diabetes130", DEFAULT, "detect", high=0.555),
    Bar("diabetes130", DEFAULT, "shapes", low=0.988),
    Bar("diabetes130", DEFAULT, "trends", low=0.967),
    Bar("diabetes130", DEFAULT, "tstr", low=0.667),
    Bar("diabetes130", DEFAULT, "fit_s", high=0.35, rival="mostly"),
    Bar("diabetes130", DEFAULT, "fit_peak_mib", high=1536),
    Bar("adult", "cgan", "detect", high=0.85),
    Bar("adult", "cgan", "tstr", low=0.89),
    Bar("adult", "cgan", "fit_s", high=1 / 3, rival="ctgan"),
    Bar("adult", "vae", "detect", high=0.80),
    Bar("adult", "vae", "tstr", low=0.90),
    Bar("adult", "vae", "fit_s", high=1.0, rival="tvae"),
    Bar("cold start", "help", "seconds", high=0.4),
    Bar("sampling", DEFAULT, "rows_per_second", low=8000),
    Bar("large", DEFAULT, "fit_peak_mib", high=4096),
    Bar("stream", DEFAULT, "peak_growth", high=1.1),
    Bar("report", "report", "seconds", high=180),
    Bar("adult", DEFAULT, "tstr", low=0.87, epsilon=1.0),
    Bar("adult", DEFAULT, "shapes", low=0.985, epsilon=1.0),
    Bar("adult", DEFAULT, "trends", low=0.957, epsilon=1.0),
    Bar("adult", DEFAULT, "fit_s", high=60, epsilon=1.0),
    Bar("adult", DEFAULT, "tstr", low=0.885, epsilon=3.0),
    Bar("adult", DEFAULT, "shapes", low=0.987, epsilon=3.0),
    Bar("adult", DEFAULT, "trends", low=0.965, epsilon=3.0),
    Bar("adult", "vae", "tstr", low=0.85, epsilon=3.0),
    Bar("adult", "gan", "tstr", low=0.80, epsilon=3.0),
    Bar("dp step", DEFAULT, "ours_ratio", high=1.6),
)
"""What has to hold with defaults on two cores; "growth" is the peak at ten times the rows."""

REFERENCES = ("mostly", "dpmm-mst")
"""Whose figure stands beside ours; the second is run under differential privacy alone."""

RIVAL_EPOCHS = {"ctgan": 300, "tvae": 300}
"""Default epochs: a shorter run's fit seconds are scaled up to them."""


def judge(records: Sequence[Record], bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """Hold each bar against the mean over seeds of what was measured with default options."""
    return [_verdict(bar, [r for r in records if not r.get("options")]) for bar in bars]


def _verdict(bar: Bar, records: Sequence[Record]) -> Verdict:
    here = [r for r in records if r["data"] == bar.data and r.get("epsilon") == bar.epsilon]
    ours = [r[bar.figure] for r in here if r["who"] == bar.who and bar.figure in r]
    if not ours:
        return Verdict(bar, None)
    if bar.rival is None:
        return Verdict(bar, mean(ours), _beside(here, bar.figure))
    seconds, note = _rival_seconds(here, bar)
    if seconds is None:
        return Verdict(bar, None, note=f"{bar.rival} was not run")
    return Verdict(bar, mean(ours) / seconds, seconds, note)


def _beside(here: Sequence[Record], figure: str) -> float | None:
    theirs = [r[figure] for r in here if r["who"] in REFERENCES and figure in r]
    return mean(theirs) if theirs else None


def _rival_seconds(here: Sequence[Record], bar: Bar) -> tuple[float | None, str]:
    """The rival's fit seconds with its default epochs; from a shorter run, scaled by its epochs."""
    runs = [r for r in here if r["who"].partition(":")[0] == bar.rival and bar.figure in r]
    whole = [r[bar.figure] for r in runs if ":" not in r["who"]]
    if whole:
        return mean(whole), ""
    for run in runs:
        epochs = int(run["who"].partition(":")[2])
        default = RIVAL_EPOCHS.get(run["who"].partition(":")[0])
        if default:
            return run[bar.figure] * default / epochs, f"scaled from {epochs} to {default} epochs"
    return None, ""
