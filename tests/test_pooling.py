"""Rubin's rules: intervals that hold the truth as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from synthehr import pool
from synthehr.errors import ConfigError


def test_the_figures_of_a_worked_example() -> None:
    pooled = pool([4.9, 5.3, 5.1], [0.04, 0.05, 0.045])
    between = np.var([4.9, 5.3, 5.1], ddof=1) * 4 / 3
    assert pooled.estimate == pytest.approx(5.1)
    assert pooled.variance == pytest.approx(0.045 + between)
    assert pooled.degrees_of_freedom == pytest.approx(2 * (1 + 0.045 / between) ** 2)
    assert pooled.low < 5.1 < pooled.high


def test_nothing_missing_is_the_analysis_itself() -> None:
    pooled = pool([[1.0, 2.0]] * 5, [[0.04, 0.01]] * 5)
    np.testing.assert_allclose(pooled.estimate, [1.0, 2.0])
    np.testing.assert_allclose(pooled.variance, [0.04, 0.01])
    np.testing.assert_allclose(pooled.high, [1.0 + 1.96 * 0.2, 2.0 + 1.96 * 0.1], atol=1e-3)
    np.testing.assert_allclose(pooled.missing_information, 0.0)


def test_few_records_widen_the_interval() -> None:
    wide = pool([1.0, 1.1], [0.04, 0.04], degrees_of_freedom=10)
    narrow = pool([1.0, 1.1], [0.04, 0.04], degrees_of_freedom=10_000)
    assert wide.high - wide.low > narrow.high - narrow.low
    assert wide.degrees_of_freedom < 10


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    n, m, rounds, missing, covered, information = 60, 20, 600, 0.4, 0, []
    for _ in range(rounds):
        seen = rng.normal(3.0, 2.0, round(n * (1 - missing)))
        estimates, variances = [], []
        for _ in range(m):
            # Proper draws: spread and mean first, from their posterior.
            variance = seen.var(ddof=1) * (len(seen) - 1) / rng.chisquare(len(seen) - 1)
            mean = rng.normal(seen.mean(), np.sqrt(variance / len(seen)))
            whole = np.concatenate([seen, rng.normal(mean, np.sqrt(variance), n - len(seen))])
            estimates.append(whole.mean())
            variances.append(whole.var(ddof=1) / n)
        pooled = pool(estimates, variances, degrees_of_freedom=n - 1)
        covered += bool(pooled.low <= 3.0 <= pooled.high)
        information.append(float(pooled.missing_information))
    assert 0.925 < covered / rounds < 0.975
    assert np.mean(information) == pytest.approx(missing, abs=0.08)


@pytest.mark.parametrize(
    ("estimates", "variances", "level"),
    [([1.0], [1.0], 0.95), ([1.0, 2.0], [1.0], 0.95), ([1.0, 2.0], [-1.0, 1.0], 0.95),
     ([1.0, 2.0], [1.0, 1.0], 1.0), (1.0, 1.0, 0.95)],
)  # fmt: skip
def test_what_cannot_be_pooled_is_refused(estimates: Any, variances: Any, level: float) -> None:
    with pytest.raises(ConfigError):
        pool(estimates, variances, level=level)
