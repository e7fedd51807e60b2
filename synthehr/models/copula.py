"""A Gaussian copula of few factors, from which the chances of numeric tokens start.

The normal scores of numeric columns, and indicators of levels beside them, are taken for a
linear mix of few normal factors. Such a model knows little, but a thousand records teach it
all of that: slopes among columns are hardly shrunk, where a network that stops before it
learns noise by heart shrinks them. The network learns what differs.

Given what is known of a record, the score x of a numeric cell is normal with mean m and
variance v; among all records it is standard normal. A token of score x then is likelier than
on average by the factor

    N(x; m, v) / N(x; 0, 1) = exp(-(log v + m² / v) / 2 + x m / v - x² (1 / v - 1) / 2),

whose logarithm is added to the token's logit. Null has no score and gets nothing. (Zhao and
Udell 2020, arXiv:1910.12845, impute mixed tables by such a copula with a full covariance.)

Shapes: B records, D columns, V tokens, M values: S scores, then indicators of levels. Levels
are known but not predicted: this is left to the network, which does it better.
"""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthehr.encode.fields import Field, Fields
from synthehr.models.factors import (
    Mix,
    Posterior,
    first_guess,
    improved,
    nothing_seen,
    posterior,
)
from synthehr.models.ranks import normal_scores

Floats = NDArray[np.float64]

STEPS = 20
"""Steps of expectation maximisation from the first guess."""
STEPS_AGAIN = 4
"""And on resampled patients, from what all of them gave."""
LEAST_SHARE = 0.02
"""Levels that are rarer than this get no indicator."""
MOST_LEVELS = 8
LIMIT = 6.0
"""What the copula adds to a logit stays between this and its negative."""


@final
class Copula(nn.Module):
    """Which tokens of numeric columns the known cells make likelier.

    Parameters
    ----------
    fields : Fields
        The columns; one at least has an order.
    factors : int
        How many.
    estimates : int
        One of all records, and others of resampled patients, which tell how unsure it is.
    """

    def __init__(self, fields: Fields, factors: int, estimates: int) -> None:
        super().__init__()
        ordered = [d for d, field in enumerate(fields) if field.positions is not None]
        self.score_of = {column: place for place, column in enumerate(ordered)}
        self.parts = max(int(field.parts.max()) for field in fields)
        values = [_score(column, fields[column], self.parts) for column in ordered]
        for column, field in enumerate(fields):
            values += _indicators(column, field, self.parts)
        self.values_of = [
            [place for place, value in enumerate(values) if value.column == column]
            for column in range(len(fields))
        ]
        sizes = [field.size for field in fields]
        self.bounds = np.cumsum([0, *sizes]).tolist()
        basis = np.zeros((3, sum(sizes)))
        for column, value in zip(ordered, values, strict=False):
            span = slice(self.bounds[column], self.bounds[column + 1])
            basis[:, span] = value.centre ** np.arange(3)[:, None]
            if value.unseen >= 0:
                basis[:, span.start + value.unseen] = 0.0
        derived = {
            "table": torch.from_numpy(
                np.concatenate([v.table.reshape(-1) for v in values])
            ).float(),
            "first": torch.tensor(np.cumsum([0, *(value.table.size for value in values)])[:-1]),
            "owner": torch.tensor([value.column for value in values]),
            "unseen": torch.tensor([value.unseen for value in values]),
            "score": torch.tensor(
                np.repeat([self.score_of.get(d, 0) for d in range(len(fields))], sizes)
            ),
            "basis": torch.from_numpy(basis).float(),
        }
        for name, tensor in derived.items():
            self.register_buffer(name, tensor, persistent=False)
        factors = min(factors, len(values))
        self.register_buffer("means", torch.zeros(estimates, len(values)))
        self.register_buffer("loadings", torch.zeros(estimates, len(values), factors))
        self.register_buffer("noises", torch.ones(estimates, len(values)))

    table: Tensor
    first: Tensor
    owner: Tensor
    unseen: Tensor
    score: Tensor
    basis: Tensor
    means: Tensor
    loadings: Tensor
    noises: Tensor

    def mix(self, estimate: int) -> Mix:
        """Give one estimate: 0 is that of all records, and the others repeat from 1 on."""
        others = len(self.means) - 1
        estimate = 1 + (estimate - 1) % others if estimate and others else 0
        return Mix(self.means[estimate], self.loadings[estimate], self.noises[estimate])

    @torch.no_grad()
    def learn(self, codes: Tensor, patients: Tensor | None, generator: torch.Generator) -> None:
        """Estimate from records, (N, 2, D), and again from resampled patients."""
        codes = codes.long()
        x, seen = self._values(codes, torch.ones_like(codes[:, 0], dtype=torch.bool))
        mix = first_guess(x, self.loadings.shape[2])
        for _ in range(STEPS):
            mix = improved(mix, x, seen, torch.ones(len(x), device=x.device))
        self._keep(0, mix)
        owner = (
            torch.arange(len(x)) if patients is None else patients.unique(return_inverse=True)[1]
        )
        n = int(owner.max()) + 1
        for estimate in range(1, len(self.means)):
            drawn = torch.randint(n, (n,), generator=generator, device=generator.device)
            weights = torch.bincount(drawn, minlength=n)[owner].to(x)
            other = mix
            for _ in range(STEPS_AGAIN):
                other = improved(other, x, seen, weights)
            self._keep(estimate, other)

    def _keep(self, estimate: int, mix: Mix) -> None:
        self.means[estimate], self.loadings[estimate], self.noises[estimate] = mix

    def _values(self, codes: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Values (B, M) of the known cells, (B, D) bool, and which there are."""
        tokens, parts = codes[:, 0, self.owner], codes[:, 1, self.owner]
        seen = ((tokens != self.unseen) & known[:, self.owner]).float()
        return self.table[self.first + tokens * self.parts + parts] * seen, seen

    @torch.no_grad()
    def logits(self, codes: Tensor, known: Tensor) -> Tensor:
        """Give what is added to the logits of all tokens, (B, V), whose columns are unknown."""
        with torch.autocast(codes.device.type, enabled=False):
            mix = self.mix(0)
            found = posterior(mix, *self._values(codes, known))
            means, loadings, noises = (of[: len(self.score_of)] for of in mix)
            square = (loadings[:, :, None] * loadings[:, None]).flatten(1)
            variance = noises + found.spread.flatten(1) @ square.T
            tilts = _tilts(means + found.centre @ loadings.T, variance)
            return _added([tilt.index_select(1, self.score) for tilt in tilts], self.basis)

    def nothing_known(self, n: int, estimate: int) -> Posterior:
        """Factors of n records of which no cell is known."""
        return nothing_seen(self.mix(estimate), n)

    def with_column(
        self, found: Posterior, column: int, codes: Tensor, rows: Tensor, estimate: int
    ) -> Posterior:
        """Let a column be known in some rows, (B,) bool."""
        mix = self.mix(estimate)
        tokens, parts = codes[:, 0, column], codes[:, 1, column]
        for place in self.values_of[column]:
            seen = ((tokens != self.unseen[place]) & rows).float()
            x = self.table[self.first[place] + tokens * self.parts + parts]
            found = found.updated(mix, place, x, seen)
        return found

    def of_column(self, found: Posterior, column: int, estimate: int) -> Tensor | None:
        """Give what is added to the logits of one column's tokens, (B, size), if anything."""
        place = self.score_of.get(column)
        if place is None:
            return None
        tilts = _tilts(*found.predicted(self.mix(estimate), place))
        span = slice(self.bounds[column], self.bounds[column + 1])
        return _added([tilt[:, None] for tilt in tilts], self.basis[:, span])


class _Value(NamedTuple):
    """One value that factors are to explain, in standard units.

    Attributes
    ----------
    column : int
        Whose it is.
    table : ndarray of shape (size, P)
        What it is for each part of each token.
    centre : ndarray of shape (size,)
        What it is for each token.
    unseen : int
        The token with which there is no such value; -1: there always is.
    """

    column: int
    table: Floats
    centre: Floats
    unseen: int = -1


def _score(column: int, field: Field, parts: int) -> _Value:
    """Make the normal score of an ordered column."""
    scores = normal_scores(field)
    table = np.zeros((field.size, parts))
    table[:, : scores.shape[1]] = scores
    return _Value(column, table, scores.mean(1), -1 if field.null is None else field.null)


def _indicators(column: int, field: Field, parts: int) -> list[_Value]:
    """Make indicators of the levels but the commonest and the rare, where there is no order."""
    if field.positions is not None:
        return []
    values = []
    for level in np.argsort(-field.shares, kind="stable")[1 : MOST_LEVELS + 1]:
        share = field.shares[level]
        if share >= LEAST_SHARE:
            held = np.arange(field.size) == level
            centre = (held - share) / (share * (1 - share)) ** 0.5
            values.append(_Value(column, np.tile(centre, (parts, 1)).T, centre))
    return values


def _tilts(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of 1, x and x² in the logarithm of N(x; mean, variance) / N(x; 0, 1)."""
    constant = -0.5 * (variance.log() + mean.square() / variance)
    return constant, mean / variance, -0.5 * (1 / variance - 1)


def _added(tilts: list[Tensor], basis: Tensor) -> Tensor:
    """Weigh 1, x and x² of tokens, (3, V), by what each has of (B, V)."""
    logits = tilts[0] * basis[0]
    logits.addcmul_(tilts[1], basis[1]).addcmul_(tilts[2], basis[2])
    return logits.clamp_(-LIMIT, LIMIT)
