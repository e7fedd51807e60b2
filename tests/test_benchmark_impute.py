"""The suite of imputation: cells that are taken away, and how their filling is judged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import coverage
import impute_score
from impute_peer import hotdeck, mean
from masks import KINDS, holes

N = 4_000


def table(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, N)
    return pd.DataFrame({
        "x": x,
        "y": x + rng.normal(0, 0.1, N),
        "level": np.where(x > 1, "high", "low"),
        "count": rng.integers(0, 5, N),
        "target": x > 0,
    })  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_masks_take_their_share_and_leave_the_target(kind: str, share: float) -> None:
    frame = table()
    frame.loc[:9, "y"] = np.nan
    chosen = holes(frame, kind, share, np.random.default_rng(1), keep="target")
    assert chosen.shape == frame.shape
    assert not chosen[:, 4].any()
    assert not chosen[:10, 1].any()
    taken = chosen[:, :4].mean(axis=0)
    taken = taken[taken > 0]
    assert len(taken) >= 3
    if kind != "block":
        assert taken == pytest.approx(share, abs=0.04)


def test_masks_hang_on_what_they_say() -> None:
    frame = table()
    rng = np.random.default_rng(2)
    itself = holes(frame, "mnar", 0.3, rng, keep="target")
    assert frame["x"][itself[:, 0]].mean() > frame["x"][~itself[:, 0]].mean() + 0.3
    other = holes(frame, "mar", 0.3, rng, keep="target")
    whole = [name for at, name in enumerate(frame.columns[:4]) if not other[:, at].any()]
    assert whole == ["x"]
    assert frame["x"][other[:, 3]].mean() > frame["x"][~other[:, 3]].mean() + 0.3
    together = holes(frame, "block", 0.3, rng, keep="target")
    assert np.corrcoef(together[:, 0], together[:, 1])[0, 1] > 0.5


def test_the_truth_scores_best_and_margins_alone_score_worse() -> None:
    frame = table()
    chosen = holes(frame, "mcar", 0.3, np.random.default_rng(3), keep="target")
    holed = frame.mask(chosen)
    rows = np.flatnonzero(chosen.any(axis=1))
    gone = holed.isna()
    best = impute_score.errors(frame, frame, gone)
    assert best == {"nrmse": 0.0, "pfc": 0.0}
    middle, _ = mean(holed, 0)
    _, margins = hotdeck(holed, 0)
    assert impute_score.errors(frame, middle, gone)["nrmse"] == pytest.approx(1.0, abs=0.1)
    distances = [
        impute_score.energy_distance(frame, other, rows) for other in (frame, margins, middle)
    ]
    assert abs(distances[0]) < 0.02 < distances[1] < distances[2]


def test_what_was_learned_from_completed_records_is_judged_on_complete_ones() -> None:
    assert impute_score.downstream(table(), table(1), "target") > 0.99


def test_coverage_is_counted_over_cohorts_by_quantity() -> None:
    jobs = coverage.plan([500], ["autoregressive"], ["whole"], cohorts=4)
    assert [job.rival for job in jobs] == [False, True] * 4
    measured = []
    for job in jobs:
        figures = {"estimate": 1.5, "low": 0.0, "high": 2.0, "truth": 1.0}
        figures["covered"] = not job.rival or job.seed > 0
        measured.append(job.record() | {"quantities": {"mean": figures}})
    ours, whole = coverage.coverage_table(measured).splitlines()[2:]
    assert ours.endswith("| autoregressive | mean | 4 | 1.000 | +0.5000 | 2.0000 |")
    assert whole.endswith("| whole | mean | 4 | 0.750 | +0.5000 | 2.0000 |")
