"""Matching a model to noisy marginals: it learns from its own records, weighed until they agree.

Records are drawn from the model, and weighed so that their marginals come near the measured
ones while the weights stay as even as they can. The model takes some plain steps on the
weighed records, and all of it is done again. No real record is looked at.

The weights q over drawn records minimise ``w * KL(q | even) + |A q - y|² / (2 s²)``, for the
measured shares y with noise of deviation s, and w a share (`PRIOR`) of the patients: a fit that
follows what stands out of the noise. They are ``q = exp(A' λ)`` up to a factor, and cell by
cell, with all others held, the change d of λ solves ``a exp(d) + r (λ + d) = y``, where a is
the weighed share now and ``r = w * s²``. Without noise r is 0, and this is iterative
proportional fitting (Deming and Stephan 1940, doi:10.1214/aoms/1177731829). Each round starts
from what the model has learned, so that strong relations grow from round to round, and few
rounds do not learn the noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.models.base import NOTHING_GIVEN, Model
from synthehr.privacy.pairs import PairMarginals
from synthehr.train import Callback, Runtime, train
from synthehr.train.runtime import mix

MOST_DRAWN = 1 << 16
"""Records that are drawn and weighed in a round, at most."""
BLOCK = 4096
PRIOR, MOST_PRIOR = 1 / 15, 2000.0
"""How many patients' word the model's own word is worth: a share of all, and at most."""
LEAST_RIDGE = 1e-4
"""r of a share that has next to no noise: no weight grows without limit."""
SWEEPS = 40
NEWTON_STEPS = 8
BATCH = 512


def match(
    model: Model,
    fields: Fields,
    pairs: PairMarginals,
    made_up: torch.Tensor,
    *,
    rounds: int,
    steps: int,
    drawn: int,
    learning_rate: float,
    seed: int,
    runtime: Runtime,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train a model in place until what it draws has the measured marginals.

    Parameters
    ----------
    model : Model
        Freshly built, or trained.
    fields : tuple of Field
        The columns, with the shares they shall have.
    pairs : PairMarginals
        What was measured of pairs of them.
    made_up : Tensor of shape (n, 2, D), int16
        Made-up records, of which nothing but the single columns is right.
    rounds : int
        How often records are drawn anew.
    steps : int
        Plain steps of a round.
    drawn : int
        Records that are drawn in a round, about.
    learning_rate : float
        Of these steps.
    seed : int
        Equal seeds give equal weights.
    runtime : Runtime
        Device and precision.
    callbacks : sequence of callables
        Called after every step, see `synthehr.train`.
    """
    config = TrainConfig(
        steps=steps, batch_size=BATCH, learning_rate=learning_rate, warmup=20, ema=0.99
    )
    model.to(runtime.device)
    codes = made_up.to(runtime.device)
    model.finish(codes)
    for nth in range(rounds):
        found = _drawn(model, drawn, mix(seed, nth, 0), runtime)
        weights = match_weights(found[:, 0].cpu().numpy(), fields, pairs)
        chosen = _evenly_chosen(weights, np.random.default_rng(mix(seed, nth, 1)))
        codes = found[torch.from_numpy(chosen).to(runtime.device)].short()
        train(
            model,
            codes,
            codes[:0],
            config,
            seed=mix(seed, nth, 2),
            runtime=runtime,
            fields=fields,
            callbacks=callbacks,
        )
        model.finish(codes)


def match_weights(
    tokens: NDArray[np.integer], fields: Fields, pairs: PairMarginals
) -> NDArray[np.float64]:
    """Weigh records so that their marginals come near the measured ones.

    Parameters
    ----------
    tokens : ndarray of shape (N, D)
        Records that were drawn from a model.
    fields : tuple of D fields
        The columns and their shares.
    pairs : PairMarginals
        What was measured of pairs of them.

    Returns
    -------
    ndarray of shape (N,)
        Above 0, of sum 1.
    """
    places = [*pairs.located(tokens), *tokens.T.astype(np.int64)]
    wanted = [*pairs.shares, *(field.shares for field in fields)]
    ridge = max(LEAST_RIDGE, min(PRIOR * pairs.rows, MOST_PRIOR) * pairs.deviation**2)
    ridges = [ridge] * len(pairs.shares) + [LEAST_RIDGE] * len(fields)
    multipliers = [np.zeros(len(shares)) for shares in wanted]
    weights = np.full(len(tokens), 1 / len(tokens))
    for _ in range(SWEEPS):
        for place, shares, r, kept in zip(places, wanted, ridges, multipliers, strict=True):
            now = np.bincount(place, weights, len(shares)).astype(np.float64)
            change = _change(now, shares, kept, r)
            kept += change
            weights *= np.exp(change)[place]
            weights /= weights.sum()
    return weights


def _change(
    now: NDArray[np.float64],
    wanted: NDArray[np.float64],
    multipliers: NDArray[np.float64],
    ridge: float,
) -> NDArray[np.float64]:
    """Solve ``now * exp(d) + ridge * (multipliers + d) = wanted`` for d by Newton's method."""
    change = np.zeros_like(now)
    for _ in range(NEWTON_STEPS):
        grown = now * np.exp(change)
        too_much = grown + ridge * (multipliers + change) - wanted
        change -= np.clip(too_much / (grown + ridge), -1.0, 1.0)
    return np.where(now > 0, change, 0.0)


def _drawn(model: Model, n: int, seed: int, runtime: Runtime) -> torch.Tensor:
    """Draw whole blocks of records, (about n, 2, D)."""
    generator = torch.Generator(runtime.device).manual_seed(seed)
    blocks = -(-min(n, MOST_DRAWN) // BLOCK)
    found = [model.sample(BLOCK, NOTHING_GIVEN, generator) for _ in range(blocks)]
    return torch.cat(found)


def _evenly_chosen(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose as many records as there are, each as often as its weight says, to within one."""
    reached = np.cumsum(weights) * len(weights)
    wanted = np.arange(len(weights)) + rng.random()
    return np.minimum(np.searchsorted(reached, wanted), len(weights) - 1)
