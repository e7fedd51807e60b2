"""Drawing records block by block.

Block b of 1024 records has random numbers of its own, made from the seed and b, so that a
record depends on the seed and its place alone, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.artifact import Artifact
from synthehr.errors import ConditionError
from synthehr.models.base import NOTHING_GIVEN, OPEN, Given, Legal, Model
from synthehr.modes.given import Wish
from synthehr.modes.partial import keep_given
from synthehr.modes.rule_masks import masks_of
from synthehr.run.ruling import Repairs, ruled
from synthehr.seeds import SAMPLE, derived, generator
from synthehr.train.runtime import find_runtime

BLOCK = 1024
"""Records of a block."""

MOST_TRIES = 256
"""Blocks that are drawn for one block of records that satisfy a condition, at most."""


@dataclass
class Tally:
    """How many records were drawn and how many of them satisfied the conditions.

    Attributes
    ----------
    drawn, kept : int
        Only counted where a model has no conditions of its own.
    repairs : Repairs
        What was done for the rules.
    """

    drawn: int = 0
    kept: int = 0
    repairs: Repairs = field(default_factory=Repairs)


def draw(
    artifact: Artifact, wish: Wish, seed: int, tally: Tally | None = None
) -> Iterator[pa.Table]:
    """Draw records, a block at a time.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    wish : Wish
        How many, and what is asked of them.
    seed : int
        Equal seeds give equal records.
    tally : Tally, optional
        Counts what was drawn in vain.

    Raises
    ------
    ConditionError
        If too few of the drawn records satisfy the conditions, or keep the rules.
    """
    count = Tally() if tally is None else tally
    rules = artifact.rules
    legal = masks_of(rules, artifact.encoder)
    for block, start in enumerate(range(0, wish.n, BLOCK)):
        here = min(BLOCK, wish.n - start)
        drawn = _Block(artifact, wish, legal, seed, block, count)
        codes = drawn.codes(np.arange(BLOCK), here)
        if rules.rules:
            again = partial(drawn.codes, here=BLOCK)
            table = ruled(rules, artifact.schema, codes, drawn.table, again, count.repairs)
        else:
            table = drawn.table(codes, np.arange(BLOCK))
        yield table.slice(0, here)


@final
class _Block:
    """The records of one block, with random numbers of their own.

    Parameters
    ----------
    artifact, wish, tally
        As of `draw`.
    legal : Legal or None
        What rules allow.
    seed, block : int
        The numbers.
    """

    def __init__(
        self,
        artifact: Artifact,
        wish: Wish,
        legal: Legal | None,
        seed: int,
        block: int,
        tally: Tally,
    ) -> None:
        self.artifact = artifact
        self.wish = wish
        self.tally = tally
        self.start = block * BLOCK
        codes = padded(wish.given.codes, self.start)
        self.given = replace(wish.given, codes=codes, legal=legal)
        self.random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
        self.numbers = generator(seed, SAMPLE, block)
        self.runtime = find_runtime("cpu")
        self.named: pa.Table | None = None

    def codes(self, rows: NDArray[np.int64], here: int) -> NDArray[np.int64]:
        """Draw codes of some records; nothing is asked of those beyond the first `here`."""
        starts = range(0, len(rows), BLOCK)
        return np.concatenate([self._some(rows[start : start + BLOCK], here) for start in starts])

    def _some(self, rows: NDArray[np.int64], here: int) -> NDArray[np.int64]:
        model, given = self.artifact.model, self.given
        if given.codes is not None:
            given = replace(given, codes=given.codes[torch.from_numpy(rows)])
        with self.runtime.autocast(self.runtime.precision("auto")):
            found = _codes(model, given, len(rows), here, self.random, self.tally)
        return found.numpy()

    def table(self, codes: NDArray[np.integer], rows: NDArray[np.int64]) -> pa.Table:
        """Decode some records; given cells, and whose records they are, stay as they were."""
        encoder, given = self.artifact.encoder, self.wish.rows
        table = encoder.decode(codes, self.numbers, bounds=self.wish.bounds, first=self.start)
        if given is not None:
            places = self.start + rows
            beyond = places >= given.num_rows
            table = keep_given(table, given.take(pa.array(places, mask=beyond)))
        if self.named is None:
            kept = [name for name in table.column_names if name not in encoder.modelled]
            self.named = table.select(kept)
            return table
        for name in self.named.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, self.named[name].take(pa.array(rows)))
        return table


def _codes(
    model: Model, given: Given, n: int, here: int, random: torch.Generator, tally: Tally
) -> Tensor:
    """Draw n codes; beyond the first `here` nothing is asked."""
    if model.native_conditions:
        return model.sample(n, given, random)
    if given.is_open:
        return model.sample(n, NOTHING_GIVEN, random)
    if given.codes is None:
        return _rejected(model, given, here, random, tally)[:n]
    return _matched(model, given.codes[:here], random, tally)[:n]


def padded(codes: Tensor | None, start: int, size: int = BLOCK) -> Tensor | None:
    """Take a block of given codes, (n, 2, D), from `start` on; open beyond the last."""
    if codes is None:
        return None
    part = codes[start : start + size]
    padding = torch.full((size - len(part), *codes.shape[1:]), OPEN, dtype=codes.dtype)
    return torch.cat([part, padding])


def _rejected(
    model: Model, given: Given, here: int, random: torch.Generator, tally: Tally
) -> Tensor:
    """Draw and keep what satisfies the conditions, until `here` records are kept."""
    kept: list[Tensor] = []
    found = 0
    for tries in range(1, MOST_TRIES + 1):
        codes = model.sample(BLOCK, NOTHING_GIVEN, random)
        chance = torch.ones(BLOCK, dtype=torch.float64)
        for place, weights in given.allowed.items():
            chance *= weights[codes[:, 0, place], codes[:, 1, place]]
        accepted = codes[torch.rand(BLOCK, dtype=torch.float64, generator=random) < chance]
        kept.append(accepted)
        found += len(accepted)
        tally.drawn += BLOCK
        tally.kept += len(accepted)
        if found >= here:
            return _filled(torch.cat(kept))
        if tries == MOST_TRIES // 4 and not found:
            break
    raise _too_rare(tally)


def _matched(model: Model, wanted: Tensor, random: torch.Generator, tally: Tally) -> Tensor:
    """Draw until every partial record has found a drawn one that agrees with it."""
    result = wanted.clone()
    is_open = torch.ones(len(wanted), dtype=torch.bool)
    for _ in range(MOST_TRIES):
        codes = model.sample(BLOCK, NOTHING_GIVEN, random)
        tally.drawn += BLOCK
        rows, found = _pairs(wanted[:, 0], is_open, codes[:, 0])
        result[rows] = codes[found]
        is_open[rows] = False
        tally.kept += len(rows)
        if not is_open.any():
            return _filled(result)
    raise _too_rare(tally)


def _pairs(wanted: Tensor, is_open: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Pair open partial records with drawn ones that hold their tokens, each used once.

    Parameters
    ----------
    wanted : Tensor of shape (n, D)
        Known tokens, OPEN where the model draws.
    is_open : Tensor of shape (n,), bool
        The partial records that still have no partner.
    drawn : Tensor of shape (BLOCK, D)
        Tokens of the drawn records.
    """
    known = wanted != OPEN
    patterns, pattern = torch.unique(known, dim=0, return_inverse=True)
    free = torch.ones(len(drawn), dtype=torch.bool)
    rows, partners = [], []
    for number, columns in enumerate(patterns):
        mine = torch.nonzero(is_open & (pattern == number))[:, 0]
        theirs = torch.nonzero(free)[:, 0]
        both = torch.cat([wanted[mine][:, columns], drawn[theirs][:, columns]])
        # a record of which nothing is known agrees with any
        key = np.zeros(len(both), dtype=np.int64)
        if bool(columns.any()):
            key = torch.unique(both, dim=0, return_inverse=True)[1].numpy()
        left, right = _nth(key[: len(mine)]), _nth(key[len(mine) :])
        _, at_left, at_right = np.intersect1d(left, right, return_indices=True)
        rows.append(mine[at_left])
        partners.append(theirs[at_right])
        free[theirs[at_right]] = False
    return torch.cat(rows), torch.cat(partners)


def _nth(keys: np.ndarray) -> np.ndarray:
    """Tell equal keys apart by their order of appearance."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    first = np.searchsorted(ordered, ordered)
    nth = np.empty(len(keys), dtype=np.int64)
    nth[order] = np.arange(len(keys)) - first
    return keys.astype(np.int64) * (BLOCK + 1) + nth


def _filled(codes: Tensor) -> Tensor:
    """Repeat the last record up to a whole block; what is added is cut off after decoding."""
    missing = max(0, BLOCK - len(codes))
    return torch.cat([codes[:BLOCK], codes[-1:].expand(missing, -1, -1)])


def _too_rare(tally: Tally) -> ConditionError:
    return ConditionError(
        f"{tally.kept} of {tally.drawn} drawn records satisfied the conditions, which is too few "
        "to go on",
        hint="fit with --model autoregressive, which draws conditioned records directly",
    )
