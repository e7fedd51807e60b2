"""Seeds: fresh ones, checked ones, and those derived from them."""

from __future__ import annotations

import secrets

import numpy as np

from synthehr.errors import ConfigError

SPLIT, ENCODER, WEIGHTS, TRAINING, SAMPLE = range(5)
CHECK, IMPUTATION, REBALANCING, PARITY, RESAMPLING, FORECAST, ANCHORS = range(5, 12)
"""Streams of randomness that share nothing but the seed."""

_FRESH_BITS = 53


def settled(seed: int | None) -> int:
    """Check a seed, or draw a fresh one from the operating system.

    Raises
    ------
    ConfigError
        If the seed is not an integer in [0, 2**64).
    """
    if seed is None:
        return secrets.randbits(_FRESH_BITS)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**64:
        raise ConfigError(
            "the seed must be an integer from 0 to 2**64 - 1", hint="for example --seed 1"
        )
    return int(seed)


def derived(seed: int, *path: int) -> int:
    """Derive a 63-bit seed from a seed and a stream, or a stream and a block in it."""
    state = np.random.SeedSequence(seed, spawn_key=path).generate_state(1, np.uint64)
    return int(state[0]) >> 1


def generator(seed: int, *path: int) -> np.random.Generator:
    """Make numpy's generator of a stream."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=path))
