"""Numeric columns lean to where they were at the visits before.

A body weight hardly moves between two visits. A network over tokens learns this bin by bin, and
what moves by less than a bin, such as a kilogram a year, it does not learn at all. So the chances
of a numeric column start from a normal density of its score x,

    x ~ N(m, 1 / q),   m = a * last + e * mean + b,

where `last` is the score it was seen with last, `mean` that of all before, and a, e, b and log q
are linear in the network's last layer; they start from a regression over the patients. The heads
start at the columns' shares, by which scores are about standard normal; so what is added to a
token's logit is

    log N(x; m, 1 / q) / N(x; 0, 1) = x² / 2 - q (x - m)² / 2 + constant,

as in `synthehr.models.copula`. Parts of a token are tilted in the same way, with a precision of
their own, since a bin may be wider than the density. The network learns what differs.

Whether a column is measured at all often hangs on its last value, too: c * last is added to its
log odds of null, where c is another output.

Shapes: B records, D columns, O of them that lean, V tokens of all columns, P parts at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.encode.fields import Fields
from synthehr.models.ranks import normal_scores

LOG_PRECISIONS = (-3.0, 8.0)
"""Between these log q stays."""
OUTPUTS = 6
"""Of the head for each column: a, e, b, log q of tokens and of parts, and c."""
MOST_DRIFT = 0.1
"""By how much a slope may move the middle in a mean gap, in standard deviations of the density."""


class LastSeen(NamedTuple):
    """Where the columns of records that lean were.

    Attributes
    ----------
    last, mean : Tensor of shape (B, O)
        Scores.
    seen : Tensor of shape (B, O)
        1 where there are any, else 0.
    slopes : Tensor of shape (B, O), or None
        By how much scores are moved in a mean gap besides, while visits are drawn.
    """

    last: Tensor
    mean: Tensor
    seen: Tensor
    slopes: Tensor | None = None

    def rows(self, rows: Tensor) -> LastSeen:
        """Choose some records."""
        slopes = None if self.slopes is None else self.slopes[rows]
        return LastSeen(self.last[rows], self.mean[rows], self.seen[rows], slopes)


class Context(NamedTuple):
    """What is known of records besides their cells.

    Attributes
    ----------
    first : Tensor of shape (B, width)
        A summand of the network's first layer.
    last_seen : LastSeen or None
        None for a network in which no column leans.
    """

    first: Tensor
    last_seen: LastSeen | None = None

    def rows(self, rows: Tensor) -> Context:
        """Choose some records."""
        return Context(
            self.first[rows], None if self.last_seen is None else self.last_seen.rows(rows)
        )


class Leaning(NamedTuple):
    """Normal densities of scores, of all columns that lean or some, (B, O), or of one, (B,).

    Attributes
    ----------
    middle, precision : Tensor
        Of tokens' scores.
    part_precision : Tensor
        Of the scores of parts, around the same middle.
    seen : Tensor
        As of `LastSeen`.
    null_odds : Tensor
        What is added to the log odds of null.
    """

    middle: Tensor
    precision: Tensor
    part_precision: Tensor
    seen: Tensor
    null_odds: Tensor

    def moved(self, slope: Tensor, gap: Tensor) -> Leaning:
        """Move middles along slopes over gaps, in mean gaps, but not far."""
        most = MOST_DRIFT * self.precision.rsqrt()
        return self._replace(middle=self.middle + gap * slope.clamp(-most, most))

    def of(self, place: int) -> Leaning:
        """Choose one column."""
        return Leaning(*(part[:, place] for part in self))


@final
class Leanings(nn.Module):
    """Makes leanings, and what they add to the logits of tokens and parts.

    Parameters
    ----------
    fields : Fields
        The columns.
    columns : sequence of int
        Those that lean; they have an order.
    width : int
        Of the network's last layer.
    """

    def __init__(self, fields: Fields, columns: Sequence[int], width: int) -> None:
        super().__init__()
        self.columns = list(columns)
        self.places = {column: place for place, column in enumerate(self.columns)}
        self.starts = np.cumsum([0, *(field.size for field in fields)]).tolist()
        tokens, parts = self.starts[-1], max(int(field.parts.max()) for field in fields)
        scores = np.zeros((tokens, parts), np.float32)
        centres, active = np.zeros((2, tokens), np.float32)
        place = np.zeros(tokens, np.int64)
        nulls = {}
        for column in self.columns:
            field, span = fields[column], slice(self.starts[column], self.starts[column + 1])
            here = normal_scores(field)
            scores[span, : here.shape[1]] = here
            centres[span] = here.mean(1)
            active[span] = 1.0
            place[span] = self.places[column]
            if field.null is not None:
                active[span.start + field.null] = 0.0
                nulls[column] = span.start + field.null
        parted = [d for d, field in enumerate(fields) if field.has_parts]
        both = [d for d in parted if d in self.places]
        derived = {
            "scores": torch.from_numpy(scores),
            "centres": torch.from_numpy(centres),
            "active": torch.from_numpy(active),
            "place": torch.from_numpy(place),
            "index": torch.tensor(self.columns),
            "among_parted": torch.tensor([parted.index(d) for d in both], dtype=torch.long),
            "with_parts": torch.tensor([self.places[d] for d in both], dtype=torch.long),
            "nulls": torch.tensor(list(nulls.values()), dtype=torch.long),
            "with_null": torch.tensor([self.places[d] for d in nulls], dtype=torch.long),
        }
        for name, tensor in derived.items():
            self.register_buffer(name, tensor, persistent=False)
        self.null_of = nulls
        self.head = nn.Linear(width, OUTPUTS * len(self.columns))
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    scores: Tensor
    centres: Tensor
    active: Tensor
    place: Tensor
    index: Tensor
    among_parted: Tensor
    with_parts: Tensor
    nulls: Tensor
    with_null: Tensor

    @torch.no_grad()
    def start(self, slopes: Tensor, variances: Tensor) -> None:
        """Start from a regression of scores on last and mean.

        Parameters
        ----------
        slopes : Tensor of shape (O, 3)
            a, e and b.
        variances : Tensor of shape (O,)
            Of scores around m.
        """
        precisions = -variances.log()[:, None]
        rest = torch.zeros_like(precisions)
        self.head.bias.copy_(torch.cat([slopes, precisions, precisions, rest], 1).flatten())

    def of_all(self, hidden: Tensor, last_seen: LastSeen) -> Leaning:
        """Make the densities of all columns that lean from the network's last layer, (B, width)."""
        with torch.autocast(hidden.device.type, enabled=False):
            return _leaning(self.head(hidden.float()), *last_seen[:3])

    def of_places(self, hidden: Tensor, last_seen: LastSeen, places: slice) -> Leaning:
        """Do so for those at some places among them."""
        rows = slice(OUTPUTS * places.start, OUTPUTS * places.stop)
        with torch.autocast(hidden.device.type, enabled=False):
            told = functional.linear(hidden.float(), self.head.weight[rows], self.head.bias[rows])
            return _leaning(told, *(part[:, places] for part in last_seen[:3]))

    def logits(self, leanings: Leaning) -> Tensor:
        """Give what is added to the logits of all tokens; (B, V)."""
        middle, precision, _, seen, null_odds = leanings
        middle, precision, seen = (
            part.index_select(1, self.place) for part in (middle, precision, seen)
        )
        added = _tilt(self.centres, middle, precision) * seen * self.active
        return added.index_add(1, self.nulls, null_odds.index_select(1, self.with_null))

    def column_logits(self, leaning: Leaning, column: int) -> Tensor:
        """Give what is added to the logits of one column's tokens; (B, size)."""
        return self.tilts(leaning) @ self.basis(column)

    def tilts(self, leaning: Leaning) -> Tensor:
        """Weigh 1, x and x² of a column's tokens, and null; (B, 4), or of several, (B, O, 4)."""
        middle, precision, _, seen, null_odds = leaning
        pull = precision * middle * seen
        return torch.stack(
            [-0.5 * pull * middle, pull, 0.5 * (1 - precision) * seen, null_odds], -1
        )

    def basis(self, column: int) -> Tensor:
        """Give what `tilts` weigh: 1, x and x² of values, and which token is null; (4, size)."""
        span = slice(self.starts[column], self.starts[column + 1])
        centres, active = self.centres[span], self.active[span]
        null = torch.zeros_like(centres)
        if column in self.null_of:
            null[self.null_of[column] - span.start] = 1.0
        return torch.stack([active, centres * active, centres.square() * active, null])

    def with_parts_tilted(self, logits: Tensor, leanings: Leaning, tokens: Tensor) -> Tensor:
        """Add it to the logits of tokens' parts, (B, C, P), of the C columns that have parts."""
        chosen = (part.index_select(1, self.with_parts)[..., None] for part in leanings)
        middle, _, precision, seen, _ = chosen
        scores = functional.embedding(tokens.index_select(1, self.among_parted), self.scores)
        return logits.index_add(1, self.among_parted, _tilt(scores, middle, precision) * seen)

    def part_logits(self, leaning: Leaning, column: int, tokens: Tensor) -> Tensor:
        """Give what is added to those of one column's tokens, (B,); (B, P)."""
        middle, _, precision, seen, _ = (part[:, None] for part in leaning)
        return _tilt(self.scores[tokens + self.starts[column]], middle, precision) * seen


def _leaning(told: Tensor, last: Tensor, mean: Tensor, seen: Tensor) -> Leaning:
    """Read what the head tells of each column, (B, `OUTPUTS` * O)."""
    by_last, by_mean, shift, log_precision, log_part_precision, null = told.unflatten(
        1, (-1, OUTPUTS)
    ).unbind(2)
    return Leaning(
        by_last * last + by_mean * mean + shift,
        log_precision.clamp(*LOG_PRECISIONS).exp(),
        log_part_precision.clamp(*LOG_PRECISIONS).exp(),
        seen,
        null * last * seen,
    )


def _tilt(scores: Tensor, middle: Tensor, precision: Tensor) -> Tensor:
    return 0.5 * (scores.square() - precision * (scores - middle).square())
