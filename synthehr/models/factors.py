"""Factor analysis of records with gaps: learning a mix of factors, and what is known of them.

The values x of a record are a linear mix of Q independent standard normal factors z, plus
noise of each value's own: x = mean + loadings z + noise. Whatever values are known, the
factors are normal given them, with a precision that is a sum over the known values. So any
subset conditions the others at the price of one small matrix a record, and what is missing
at random bends nothing.

Shapes: B records, M values, Q factors.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST_NOISE = 0.05
"""Variance that a value has of its own at least: no value is a sum of others for certain."""
PSEUDO_RECORDS = 3.0
"""Records with factors but without a slope that are added, so that few teach no wild ones."""


class Mix(NamedTuple):
    """How values hang on factors.

    Attributes
    ----------
    means : Tensor of shape (M,)
    loadings : Tensor of shape (M, Q)
    noises : Tensor of shape (M,)
        Variances.
    """

    means: Tensor
    loadings: Tensor
    noises: Tensor

    def of(self, value: int) -> tuple[Tensor, Tensor, Tensor]:
        """Give mean, loadings and noise of one value."""
        return self.means[value], self.loadings[value], self.noises[value]


class Posterior(NamedTuple):
    """What known values say of the factors: they are normal.

    Attributes
    ----------
    spread : Tensor of shape (B, Q, Q)
        Covariance.
    pull : Tensor of shape (B, Q)
        The mean is ``spread @ pull``.
    """

    spread: Tensor
    pull: Tensor

    @property
    def centre(self) -> Tensor:
        """Mean of the factors, (B, Q)."""
        return (self.spread * self.pull[:, None]).sum(2)

    def rows(self, rows: Tensor) -> Posterior:
        """Choose some records."""
        return Posterior(self.spread[rows], self.pull[rows])

    def where(self, here: Tensor, other: Posterior) -> Posterior:
        """Take these where it holds, (B,) bool, else the other ones."""
        return Posterior(
            torch.where(here[:, None, None], self.spread, other.spread),
            torch.where(here[:, None], self.pull, other.pull),
        )

    def predicted(self, mix: Mix, value: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of one value, each (B,)."""
        mean, loading, noise = mix.of(value)
        reach = (self.spread * loading).sum(2)
        return mean + (reach * self.pull).sum(1), noise + (reach * loading).sum(1)

    def updated(self, mix: Mix, value: int, x: Tensor, seen: Tensor) -> Posterior:
        """Let one more value be known, x (B,), where it was seen, (B,) of 0 and 1."""
        mean, loading, noise = mix.of(value)
        reach = (self.spread * loading).sum(2)
        # Sherman and Morrison: the precision grows by loading loading' / noise.
        share = seen / (noise + (reach * loading).sum(1))
        return Posterior(
            self.spread - reach[:, :, None] * (reach * share[:, None])[:, None],
            self.pull + (seen * (x - mean) / noise)[:, None] * loading,
        )


def nothing_seen(mix: Mix, n: int) -> Posterior:
    """Factors of n records of which nothing is known."""
    unit = torch.eye(mix.loadings.shape[1], device=mix.loadings.device)
    return Posterior(unit.repeat(n, 1, 1), torch.zeros(n, len(unit), device=unit.device))


def posterior(mix: Mix, x: Tensor, seen: Tensor) -> Posterior:
    """Factors given all values that were seen at once; x and seen (B, M), 0 where unseen."""
    factors = mix.loadings.shape[1]
    scaled = mix.loadings / mix.noises[:, None]
    outer = (mix.loadings[:, :, None] * scaled[:, None]).flatten(1)
    precision = (seen @ outer).view(-1, factors, factors)
    precision.diagonal(dim1=1, dim2=2).add_(1.0)
    spread = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return Posterior(spread, (x - mix.means * seen) @ scaled)


def first_guess(x: Tensor, factors: int) -> Mix:
    """Principal components of values (B, M), in standard units and 0 where unseen."""
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    strength = (values - values.median()).clamp(min=LEAST_NOISE).sqrt()
    loadings = (vectors * strength)[:, -factors:]
    noises = (1 - loadings.square().sum(1)).clamp(min=LEAST_NOISE)
    return Mix(x.mean(0), loadings, noises)


def improved(mix: Mix, x: Tensor, seen: Tensor, weights: Tensor) -> Mix:
    """Take one step of expectation maximisation (Rubin and Thayer 1982, 10.1007/BF02293851).

    Each value is regressed on the expected factors of the records that have it. In the end
    the factors are brought back to standard units, which saves most of the steps (Liu, Rubin
    and Wu 1998, 10.1093/biomet/85.4.755).

    Parameters
    ----------
    mix : Mix
        The estimate so far.
    x, seen : Tensor of shape (B, M)
        Values, 0 where unseen; and 1 where seen, else 0.
    weights : Tensor of shape (B,)
        How often each record counts.
    """
    factors = mix.loadings.shape[1]
    known = posterior(mix, x, seen)
    centre = known.centre
    square = known.spread + centre[:, :, None] * centre[:, None]
    one = torch.ones(len(x), 1, device=x.device)
    with_one = torch.cat([centre, one], 1)
    moments = torch.cat([torch.cat([square, centre[:, None]], 1), with_one[:, :, None]], 2)
    counted = weights[:, None] * seen
    left = (counted.T @ moments.flatten(1)).view(-1, factors + 1, factors + 1)
    left.diagonal(dim1=1, dim2=2)[:, :factors].add_(PSEUDO_RECORDS)
    left[:, factors, factors].add_(1e-6)
    right = (counted * x).T @ with_one
    slopes = torch.linalg.solve(left, right[:, :, None])[:, :, 0]
    explained = (slopes * right).sum(1)
    noises = ((counted * x.square()).sum(0) - explained) / counted.sum(0).clamp(min=1.0)
    total = weights.sum()
    shift = weights @ centre / total
    spread = (weights @ square.flatten(1)).view(factors, factors) / total
    spread -= shift[:, None] * shift
    spread.diagonal().add_(1e-6)
    loadings, means = slopes[:, :factors], slopes[:, factors]
    return Mix(
        means + loadings @ shift,
        loadings @ torch.linalg.cholesky(spread),
        noises.clamp(min=LEAST_NOISE),
    )
