"""When patients' visits end: odds by the time and by the number of visits so far.

Most of an end is a matter of one of the two alone, and steep in it: stays end after 48 hours,
protocols after twelve visits. So a network starts from odds that are a sum of both, and learns
what is left. Once it has, the odds are raked, so that of drawn patients as many end at each time
and after each number of visits as of the fitted ones. Times and numbers that few patients end at
are pooled. Shapes: R visits, K times, N numbers of visits, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

FEWEST = 10
"""Patients whose ends a group holds; what fewer hold counts as none, or as so many."""
GROUPS = 64
"""About as many groups as there are at most, however many patients."""
RIDGE = 0.1
"""By which shifts of odds are held back, as inverse variance."""
SWEEPS = 24
ROUNDS = 3
"""How often patients are drawn to settle ends by."""
VISITS, FEWEST_DRAWN, MOST_DRAWN = 8_192, 256, 1_024
"""Visits of these patients, and how many they are at least and at most."""


class Reached(NamedTuple):
    """Visits that patients reached.

    Attributes
    ----------
    time, number : Tensor of shape (R,), int64
        Bin of the time, and which of the patient's visits it is, from 1.
    odds : Tensor of shape (R,)
        Log odds that it is the last, as far as they are known.
    """

    time: Tensor
    number: Tensor
    odds: Tensor


class Shares(NamedTuple):
    """How many of the visits in each group were a patient's last.

    Attributes
    ----------
    groups : Tensor of shape (K,) or (N,), int64
        Group of each time, or of each number of visits; of later ones the last.
    last : Tensor of shape (G,)
        Share.
    """

    groups: Tensor
    last: Tensor

    def at(self, places: Tensor) -> Tensor:
        """Find the groups of times or numbers, (R,)."""
        return self.groups[places.clamp(max=len(self.groups) - 1)]


@final
class VisitEnds(nn.Module):
    """Odds of an end by time and by number of visits.

    Parameters
    ----------
    times : int
        Bins of time.
    mean_visits : float
        Of a patient.
    """

    def __init__(self, times: int, mean_visits: float) -> None:
        super().__init__()
        even = -math.log(max(mean_visits - 1, 0.1))
        self.register_buffer("by_time", torch.full((times,), even))
        self.register_buffer("by_number", torch.zeros(2 * GROUPS))
        # The last number of each group, in ascending order.
        self.register_buffer("until", torch.zeros(2 * GROUPS - 1, dtype=torch.int64))

    by_time: Tensor
    by_number: Tensor
    until: Tensor

    def forward(self, time: Tensor, number: Tensor) -> Tensor:
        """Give log odds that visits are the last, (R,), as of `Reached`."""
        return self.by_time[time] + self.by_number[torch.searchsorted(self.until, number)]

    def learn(self, fitted: Reached) -> None:
        """Start from the visits of fitted patients, of even odds."""
        wanted = self.shares(fitted)
        until = 1 + (wanted[1].groups.diff() > 0).nonzero()[:, 0]
        self.until.fill_(torch.iinfo(torch.int64).max)
        self.until[: len(until)] = until
        self.by_time.copy_(fitted.odds[:1].expand_as(self.by_time))
        self.by_number.zero_()
        self.rake(wanted, fitted)

    def shares(self, fitted: Reached) -> tuple[Shares, Shares]:
        """Count the ends of fitted patients by time and by number, to rake the odds by."""
        time, number, _ = fitted
        last = torch.cat([number[1:] == 1, torch.ones_like(number[:1], dtype=torch.bool)])
        return (
            _shares(time, last, len(self.by_time)),
            _shares(number - 1, last, int(number.max())),
        )

    def rake(self, wanted: tuple[Shares, Shares], reached: Reached, share: float = 1.0) -> None:
        """Shift the odds until about as many ends are expected in each group as are wanted.

        By Newton's steps, group by group, on the log likelihood less a ridge: what one of time
        and number says, the other need not. Of the shifts that are found a `share` is taken.
        """
        of_time, of_number = wanted
        groups = of_time.at(reached.time), of_number.at(reached.number - 1)
        shifts = [torch.zeros_like(shares.last) for shares in wanted]
        asked = [
            shares.last * torch.bincount(group, minlength=len(shares.last))
            for shares, group in zip(wanted, groups, strict=True)
        ]
        for _ in range(SWEEPS):
            for shift, group, ends in zip(shifts, groups, asked, strict=True):
                chance = (reached.odds + shifts[0][groups[0]] + shifts[1][groups[1]]).sigmoid()
                found, slope = (
                    torch.zeros_like(ends).index_add(0, group, each)
                    for each in (chance, chance * (1 - chance))
                )
                step = (ends - found - RIDGE * shift) / (slope + RIDGE)
                shift += step.clamp(-1, 1)
        self.by_time += share * shifts[0][of_time.groups]
        self.by_number[: len(shifts[1])] += share * shifts[1]


def settle_ends(
    ends: VisitEnds,
    wanted: tuple[Shares, Shares],
    mean_visits: float,
    draw: Callable[[int, list[Reached]], object],
) -> None:
    """Draw patients, and rake the odds by the visits that they reach; some rounds of it.

    Parameters
    ----------
    ends : VisitEnds
        Changed in place.
    wanted : Shares, Shares
        Of `VisitEnds.shares`.
    mean_visits : float
        Of a patient.
    draw : callable
        Draws so many patients with `ends` as they are, and adds the visits to the list.
    """
    n = min(max(round(VISITS / mean_visits), FEWEST_DRAWN), MOST_DRAWN)
    for _ in range(ROUNDS):
        reached: list[Reached] = []
        draw(n, reached)
        ends.rake(wanted, joined(reached))


def joined(reached: list[Reached]) -> Reached:
    """Put visits together that were drawn one after the other."""
    return Reached(*(torch.cat(part) for part in zip(*reached, strict=True)))


def _shares(places: Tensor, last: Tensor, n: int) -> Shares:
    """Count ends at n times, or numbers of visits, and pool those that are few."""
    ends = torch.bincount(places[last], minlength=n)
    begins = _pooled(ends.tolist(), max(FEWEST, -(-int(last.sum()) // GROUPS)))
    groups = torch.zeros_like(ends)
    groups[begins[1:]] = 1
    groups = groups.cumsum(0)
    visits = torch.bincount(groups[places], minlength=len(begins))
    counts = torch.bincount(groups[places[last]], minlength=len(begins)).float()
    if len(begins) > 1:
        rounded = (counts / FEWEST).round() * FEWEST
        counts = torch.where(counts < FEWEST, rounded, counts).minimum(visits)
    return Shares(groups, counts / visits.clamp(min=1))


def _pooled(ends: list[int], least: int) -> list[int]:
    """Choose where groups begin, so that neighbours with fewer ends than `least` go together.

    What is left behind a pooled group goes with it, and what is left at the end with the last
    group: so only before a place with enough ends of its own may a group hold fewer.
    """
    starts, held = [0], [0]
    for place, count in enumerate(ends):
        if place and (held[-1] >= least or count >= least):
            starts.append(place)
            held.append(0)
        held[-1] += count
    return [
        start
        for group, start in enumerate(starts)
        if group == 0
        or held[group] >= least
        or (ends[starts[group - 1]] >= least and group < len(starts) - 1)
    ]
