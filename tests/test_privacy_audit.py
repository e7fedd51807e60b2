"""Audits by canaries: the engine as it is bears its claim out, broken ones are caught.

The parameters are chosen such that, if the code is right, a test fails by bad luck less than
once in a billion runs: nothing here is seeded.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from canaries import steps_seen
from numpy.typing import NDArray

from synthehr.encode.categorical import fit_categorical
from synthehr.encode.config import EncodeConfig
from synthehr.privacy import noise
from synthehr.privacy.accountant import epsilon
from synthehr.privacy.audit import Guesses, chance_of, guess, least_epsilon
from synthehr.privacy.discovery import discover
from synthehr.privacy.mechanisms import Gaussian
from synthehr.schema.column import Column

DELTA = 1e-5
SHARE = 0.016


def halves(m: int) -> NDArray[np.bool_]:
    return np.random.default_rng().random(m) < 0.5


def test_known_bounds() -> None:
    # Without δ: 100 of 100 right guesses refute every ε with (e^ε / (1 + e^ε))^100 < 5 %.
    refuted = least_epsilon(Guesses(100, 100, 100), 0.0)
    assert refuted == pytest.approx(np.log(0.05**0.01 / (1 - 0.05**0.01)), abs=1e-3)
    assert least_epsilon(Guesses(50, 100, 100), 0.0) == 0.0
    assert least_epsilon(Guesses(100, 100, 10_000), 1e-5) < refuted
    assert chance_of(Guesses(60, 100, 100), 0.0, 0.0) == pytest.approx(0.02844, abs=1e-4)


def claim(*, noise_multiplier: float, rate: float, steps: int) -> float:
    training = Gaussian(noise_multiplier=noise_multiplier, rate=rate, times=steps)
    return epsilon([training], DELTA)


@pytest.mark.parametrize(("broken", "caught"), [(False, False), (True, True)])
def test_half_of_the_noise_is_caught(broken: bool, caught: bool) -> None:
    included = halves(100_000)
    seen = steps_seen(included, rate=1.0, steps=1, noise_multiplier=0.75 if broken else 1.5)
    found = least_epsilon(guess(seen[0], included, SHARE), DELTA)
    claimed = claim(noise_multiplier=1.5, rate=1.0, steps=1)
    assert (found > claimed) == caught
    assert found > 1.0, "an audit that finds nothing shows nothing"


@pytest.mark.parametrize(("broken", "caught"), [(False, False), (True, True)])
def test_fixed_batches_are_caught(
    broken: bool, caught: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Everybody's turn comes once in fifty steps, at a step that can be foretold: the usual
    # shuffling of plain training, for which amplification by sampling is often claimed.
    steps, included = 50, halves(30_000)
    turn = np.zeros(len(included), dtype=np.int64)
    turn[included] = np.arange(included.sum()) % steps
    turn[~included] = np.arange((~included).sum()) % steps
    taken = iter(range(steps))
    if broken:
        monkeypatch.setattr(
            noise, "chosen", lambda n, rate: torch.arange(n)[torch.arange(n) % steps == next(taken)]
        )
    seen = steps_seen(included, rate=1 / steps, steps=steps, noise_multiplier=1.0)
    scores = seen[turn, np.arange(len(included))]
    found = least_epsilon(guess(scores, included, SHARE), DELTA)
    assert (found > claim(noise_multiplier=1.0, rate=1 / steps, steps=steps)) == caught


@pytest.mark.parametrize(("broken", "caught"), [(False, False), (True, True)])
def test_levels_taken_from_the_records_are_caught(broken: bool, caught: bool) -> None:
    m, claimed, delta = 2_000, 3.0, 1e-6
    included = halves(m)
    levels = np.append(np.flatnonzero(included).astype(str), ["common"] * 3_000)
    table, column = pa.table({"x": levels}), Column(name="x", kind="categorical")
    if broken:
        config = EncodeConfig(rare_patients=1)
        encoder = fit_categorical("x", table["x"], None, config, is_ordinal=False, order=None)
        assert encoder is not None
        kept = encoder.levels
    else:
        found = discover(table, [column], None, epsilon=10 * claimed, delta=10 * delta)
        kept = found.columns[0].levels or ()
    scores = np.isin(np.arange(m).astype(str), [str(level) for level in kept]).astype(float)
    scores += np.random.default_rng(0).random(m) / 2
    refuted = least_epsilon(guess(scores, included, 0.2), delta)
    assert (refuted > claimed) == caught
