"""What a patient's past says at each visit, beside what a recurrent network makes of it.

The last value of each column, how long ago it was, the mean of those before, and the time.
A network would have to learn to carry these through every visit; given them, it has only to
learn what they mean. Shapes: B patients, T visits, D columns.
"""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from synthehr.encode.sequence import SequenceFields
from synthehr.models.ranks import normal_scores, rank_width

FREQUENCIES = 5
"""Fourier pairs of the rank of the time since the first visit."""
FADING = 3.0
"""Visits that weigh as much as no visit in the mean of past values."""


class Past(NamedTuple):
    """What is known before a visit, of patients one by one.

    Attributes
    ----------
    last : Tensor of shape (B, 2, D), int64
        Token and part of each column where it was last seen; 0 where it never was.
    seen : Tensor of shape (B, D), bool
        Whether it ever was.
    seen_at : Tensor of shape (B, D)
        When, in mean gaps.
    sums, counts : Tensor of shape (B, D)
        Of scores of the values seen.
    elapsed : Tensor of shape (B,)
        Time of the last visit, in mean gaps.
    visits : Tensor of shape (B,)
        How many there were.
    """

    last: Tensor
    seen: Tensor
    seen_at: Tensor
    sums: Tensor
    counts: Tensor
    elapsed: Tensor
    visits: Tensor


@final
class Course(nn.Module):
    """Turns visits into `Past`s and these into features; it learns nothing.

    Parameters
    ----------
    fields : SequenceFields
        The columns.
    """

    def __init__(self, fields: SequenceFields) -> None:
        super().__init__()
        sizes = [field.size for field in fields.visits]
        parts = max(int(field.parts.max()) for field in fields.visits)
        scores = np.zeros((sum(sizes), parts), np.float32)
        nulls = np.full(len(sizes), -1)
        start = 0
        for column, field in enumerate(fields.visits):
            if field.positions is not None:
                here = normal_scores(field)
                scores[start : start + field.size] = here[:, -1:]
                scores[start : start + field.size, : here.shape[1]] = here
            if field.null is not None:
                nulls[column] = field.null
            start += field.size
        starts = np.cumsum([0, *sizes[:-1]])
        self.gap = fields.gap
        self.columns = len(sizes)
        self.parts = parts
        self.register_buffer("scores", torch.from_numpy(scores.ravel()), False)
        self.register_buffer("starts", torch.from_numpy(starts), False)
        self.register_buffer("nulls", torch.from_numpy(nulls), False)
        self.register_buffer("gaps", torch.from_numpy(fields.gaps), False)
        self.origins_of = fields.origin
        self.register_buffer("origins", torch.from_numpy(fields.origins), False)
        self.register_buffer("knots", torch.from_numpy(fields.elapsed), False)
        # Sums of gaps carry the noise of single precision: what is told apart is the nearest.
        self.register_buffer("between", (self.knots[1:] + self.knots[:-1]) / 2, False)

    scores: Tensor
    starts: Tensor
    nulls: Tensor
    gaps: Tensor
    origins: Tensor
    knots: Tensor
    between: Tensor

    @property
    def width(self) -> int:
        """Number of features."""
        return 2 * self.columns + rank_width(FREQUENCIES) + 2

    def origin(self, static: Tensor) -> Tensor:
        """Time at which patients begin, of static codes (B, 2, S), in mean gaps; (B,)."""
        if self.origins_of is None:
            return self.origins.new_zeros(len(static))
        return self.origins[static[:, 0, self.origins_of], static[:, 1, self.origins_of]]

    def nothing(self, origin: Tensor) -> Past:
        """Give the past of patients before their first visit."""
        n, device = len(origin), self.scores.device
        zeros = torch.zeros(n, self.columns, device=device)
        codes = torch.zeros(n, 2, self.columns, dtype=torch.int64, device=device)
        return Past(codes, zeros.bool(), zeros, zeros, zeros, origin, torch.zeros_like(origin))

    def seen(self, codes: Tensor) -> Tensor:
        """Say which cells of codes (..., 2, D) are not null; (..., D)."""
        return codes[..., 0, :] != self.nulls

    def score(self, codes: Tensor) -> Tensor:
        """Give the normal score of each cell, of codes (..., 2, D); 0 without an order."""
        return self.scores[(codes[..., 0, :] + self.starts) * self.parts + codes[..., 1, :]]

    def lengths(self, codes: Tensor) -> Tensor:
        """Length of the gap before each visit, of codes (..., 2, D), in mean gaps; (...)."""
        return self.gaps[codes[..., 0, self.gap], codes[..., 1, self.gap]]

    def after(self, past: Past, codes: Tensor, known: Tensor) -> Past:
        """Give the past after one more visit, of codes (B, 2, D) with known cells (B, D)."""
        elapsed = past.elapsed + self.lengths(codes)
        counted = known.float()
        return Past(
            torch.where(known[:, None], codes, past.last),
            past.seen | known,
            torch.where(known, elapsed[:, None], past.seen_at),
            past.sums + self.score(codes) * counted,
            past.counts + counted,
            elapsed,
            past.visits + 1,
        )

    def before_each(self, codes: Tensor, known: Tensor, elapsed: Tensor, origin: Tensor) -> Past:
        """Give the past before each of T visits and after the last.

        Parameters
        ----------
        codes : Tensor of shape (B, T, 2, D), int64
        known : Tensor of shape (B, T, D), bool
            Cells that count as seen.
        elapsed : Tensor of shape (B, T)
            Time of each visit, in mean gaps.
        origin : Tensor of shape (B,)
            Time before the first.

        Returns
        -------
        Past
            With the shapes of one past, and T + 1 in place after B.
        """
        n, steps = known.shape[:2]
        steps_on = torch.arange(steps, device=codes.device)[None, :, None]
        at = torch.where(known, steps_on, -1).cummax(1).values
        at = torch.cat([at.new_full((n, 1, self.columns), -1), at], 1)
        seen = at >= 0
        at = at.clamp_(min=0)
        last = codes.gather(1, at[:, :, None].expand(-1, -1, 2, -1)) * seen[:, :, None]
        seen_at = elapsed[..., None].expand(-1, -1, self.columns).gather(1, at) * seen
        counted = known.float()
        sums = torch.cat([counted.new_zeros(n, 1, self.columns), self.score(codes) * counted], 1)
        counts = torch.cat([counted.new_zeros(n, 1, self.columns), counted], 1)
        return Past(
            last,
            seen,
            seen_at,
            sums.cumsum(1),
            counts.cumsum(1),
            torch.cat([origin[:, None], elapsed], 1),
            torch.arange(steps + 1, device=codes.device).float().expand(n, -1),
        )

    def features(self, past: Past) -> Tensor:
        """Describe pasts as numbers, (..., width)."""
        ago = torch.log1p((past.elapsed[..., None] - past.seen_at).clamp(min=0)) * past.seen
        mean = past.sums / (past.counts + FADING)
        return torch.cat([mean, ago, self.time(past)], -1)

    def time(self, past: Past) -> Tensor:
        """Features of the time and number of visits so far, (..., rank_width + 2)."""
        rank = self.rank(past.elapsed).clamp(1e-4, 1 - 1e-4)[..., None]
        angles = torch.pi * rank * 2.0 ** torch.arange(FREQUENCIES, device=rank.device)
        pieces = [2 * rank - 1, torch.special.ndtri(rank) / 1.5, angles.sin(), angles.cos()]
        more = [torch.log1p(past.visits)[..., None], torch.log1p(past.elapsed)[..., None]]
        return torch.cat([*pieces, *more], -1)

    def bins(self, elapsed: Tensor) -> Tensor:
        """Find the nearest of the times that visits are ranked by, 0 to K - 1; (...)."""
        return torch.searchsorted(self.between, elapsed.contiguous())

    def rank(self, elapsed: Tensor) -> Tensor:
        """Rank times among those of the fitted patients, in (0, 1)."""
        if len(self.knots) < 2:
            return torch.full_like(elapsed, 0.5)
        right = torch.searchsorted(self.knots, elapsed.contiguous()).clamp_(1, len(self.knots) - 1)
        low, high = self.knots[right - 1], self.knots[right]
        inside = ((elapsed - low) / (high - low)).clamp(0, 1)
        return (right - 1 + inside) / (len(self.knots) - 1)
