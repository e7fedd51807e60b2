"""Rules that hold for all records of a table, or nearly all, found by counting.

A rule is told where chance would have broken it often: if columns were independent of one
another, `LEAST_SURPRISE` records or more would be expected against it. Levels that few
patients hold are not looked at. What is found is a suggestion: nobody but a clinician knows
whether it holds for the next patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations
from keyword import iskeyword
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import combined, to_axis, value_type
from synthehr.encode.categorical import level_indices
from synthehr.encode.rare import holders
from synthehr.modes.rule_checks import kind_of, numbers
from synthehr.schema.column import Level
from synthehr.schema.table import Schema

LEAST_SURPRISE = 20.0
"""Records against a rule that chance alone would be expected to bring."""
MOST_LEVELS = 200
"""A column of more levels is no code of a few things."""
MOST_CHOICES = 5
"""A condition lists at most so many levels."""
LEVELLED = ("categorical", "ordinal", "boolean")
SUMMED_ROWS = 2000
"""Records on which sums are looked for, before all are checked."""


class MinedRule(NamedTuple):
    """A rule that was found.

    Attributes
    ----------
    entry : mapping
        As in the file of rules.
    support : int
        Records that the rule speaks of.
    broken : int
        Those that break it.
    """

    entry: Mapping[str, Any]
    support: int
    broken: int

    @property
    def confidence(self) -> float:
        """Share of the records that the rule speaks of and that keep it."""
        return 1 - self.broken / self.support


class Coded(NamedTuple):
    """A column as numbers of its levels, -1 for null and -2 for levels that few hold."""

    name: str
    codes: NDArray[np.int64]
    levels: list[Level]


def mine(
    table: pa.Table,
    schema: Schema,
    patients: NDArray[np.int64] | None,
    *,
    confidence: float = 1.0,
    least: int = 10,
) -> list[MinedRule]:
    """Find rules of a table.

    Parameters
    ----------
    table : Table
        The records, N rows.
    schema : Schema
        What the columns are.
    patients : ndarray of shape (N,), or None
        Patient of each record.
    confidence : float
        Share of the records that must keep a rule.
    least : int
        A level counts only where so many patients hold it.

    Returns
    -------
    list of MinedRule
        Sums, then orders, combinations and implications, each by support.
    """
    features = [each for each in schema.columns if each.role in ("feature", "time")]
    features = [each for each in features if each.kind not in ("id", "text", "constant")]
    names = [each.name for each in features]
    levelled = {each.name for each in features if each.kind in LEVELLED}
    ordered = [name for name in names if _is_ordered(table, name)]
    owners = np.arange(table.num_rows) if patients is None else patients
    every = [_coded(table, each, owners, least, as_levels=each in levelled) for each in names]
    coded = [each for each in every if each is not None]
    whole = [each for each in names if each not in levelled]
    every = [_coded(table, each, owners, least, as_levels=True) for each in whole]
    few = [each for each in every if each is not None]
    by_levels = [each for each in coded if each.name in levelled]
    tied = list(_together([*by_levels, *few], least))
    pairs = {frozenset(each.entry["together"]) for each in tied}
    return [
        *_sums(table, ordered),
        *_reduced(list(_orders(table, ordered, confidence))),
        *tied,
        *_implications(coded, pairs, confidence),
    ]


def constant_columns(
    table: pa.Table, schema: Schema, patients: NDArray[np.int64] | None
) -> list[str]:
    """List columns that never change within a patient of several records."""
    if patients is None or len(np.unique(patients)) == len(patients):
        return []
    found = []
    for column in schema.columns:
        if column.role != "feature" or column.kind in ("text", "constant", "id"):
            continue
        cells = combined(table[column.name])
        values = np.unique(cells.dictionary_encode().indices.fill_null(-1), return_inverse=True)[1]
        both = np.unique(np.stack([patients, values], 1), axis=0)
        if len(both) == len(np.unique(patients)):
            found.append(column.name)
    return found


def _is_ordered(table: pa.Table, name: str) -> bool:
    kind = kind_of(value_type(table.schema.field(name).type))
    return kind is not None and not pa.types.is_boolean(table.schema.field(name).type)


def _orders(table: pa.Table, names: Sequence[str], confidence: float) -> Iterator[MinedRule]:
    """Find pairs of columns that never descend, though their ranges overlap."""
    kinds = {name: kind_of(value_type(table.schema.field(name).type)) for name in names}
    found = {name: numbers(table[name], name) for name in names}
    random = np.random.default_rng(0)
    for low, high in permutations(names, 2):
        if kinds[low] != kinds[high]:
            continue
        both = found[low][1] & found[high][1]
        small, large = found[low][0][both], found[high][0][both]
        broken = int((small > large).sum())
        if not len(small) or broken > (1 - confidence) * len(small) or (small == large).all():
            continue
        by_chance = int((small > random.permutation(large)).sum())
        if by_chance >= LEAST_SURPRISE:
            yield MinedRule({"order": [low, high]}, len(small), broken)


def _reduced(orders: list[MinedRule]) -> list[MinedRule]:
    """Leave out pairs that follow from two others."""
    pairs = {tuple(found.entry["order"]) for found in orders}
    names = {name for pair in pairs for name in pair}
    return [
        found
        for found in orders
        if not any(
            (found.entry["order"][0], name) in pairs and (name, found.entry["order"][1]) in pairs
            for name in names
        )
    ]


def _sums(table: pa.Table, names: Sequence[str]) -> Iterator[MinedRule]:
    """Find columns that are the sum of others, by least squares with coefficients of 0 and 1."""
    kinds = {name: kind_of(value_type(table.schema.field(name).type)) for name in names}
    plain = [name for name in names if kinds[name] == "number"]
    if len(plain) < 3:
        return
    cells = [numbers(table[name], name) for name in plain]
    values = np.stack([each for each, _ in cells], 1)
    known = np.logical_and.reduce([valid for _, valid in cells])
    some = values[known][:SUMMED_ROWS]
    if len(some) < 10 * len(plain):
        return
    for place, name in enumerate(plain):
        rest = [other for other in range(len(plain)) if other != place]
        weights = np.linalg.lstsq(some[:, rest], some[:, place], rcond=None)[0]
        parts = [other for other, weight in zip(rest, weights, strict=True) if weight > 0.5]
        near = np.abs(weights - np.rint(weights)) < 1e-4
        if len(parts) < 2 or not near.all() or not np.isin(np.rint(weights), (0, 1)).all():
            continue
        both = np.logical_and.reduce([cells[other][1] for other in (place, *parts)])
        off = np.abs(values[both, place] - values[both][:, parts].sum(1))
        if (off <= 1e-6 * np.maximum(np.abs(values[both, place]), 1)).all():
            terms = " + ".join(_term(plain[other]) for other in parts)
            yield MinedRule({"column": name, "formula": terms}, int(both.sum()), 0)


def _term(name: str) -> str:
    return name if name.isidentifier() and not iskeyword(name) else f"`{name}`"


def _coded(
    table: pa.Table, name: str, owners: NDArray[np.int64], least: int, *, as_levels: bool
) -> Coded | None:
    """Give each level of a column a number, or all that are not null the same."""
    cells = combined(table[name])
    if not as_levels:
        valid = to_axis(cells, name).valid
        return None if valid.all() else Coded(name, np.where(valid, 0, -1), [":"])
    if pa.types.is_floating(value_type(cells.type)):
        return None
    indices, levels, valid = level_indices(cells, name)
    if not 2 <= len(levels) <= MOST_LEVELS:
        return None
    held = holders(indices[valid], len(levels), owners[valid])
    kept = np.flatnonzero(held >= least)
    lookup = np.full(len(levels), -2)
    lookup[kept] = np.arange(len(kept))
    if not len(kept):
        return None
    return Coded(name, np.where(valid, lookup[indices], -1), [levels[at] for at in kept])


def _counts(one: Coded, other: Coded) -> NDArray[np.int64]:
    """Count pairs of levels; null is the last row and column."""
    shape = (len(one.levels) + 1, len(other.levels) + 1)
    known = (one.codes > -2) & (other.codes > -2)
    # -1 is the last place
    places = (one.codes[known] % shape[0]) * shape[1] + other.codes[known] % shape[1]
    return np.bincount(places, minlength=shape[0] * shape[1]).reshape(shape)


def _together(coded: Sequence[Coded], least: int) -> Iterator[MinedRule]:
    """Find pairs of columns of which one determines the other."""
    for one, other in combinations(coded, 2):
        counts = _counts(one, other)[:-1, :-1]
        if min(counts.shape) < 3:
            continue
        for table in (counts, counts.T):
            seen = table[table.sum(1) > 0]
            if not len(seen) or (seen.sum(1) > seen.max(1)).any() or seen.max(1).min() < least:
                continue
            share = seen.sum(0) / seen.sum()
            if (seen.sum(1) * (1 - share[seen.argmax(1)])).sum() >= LEAST_SURPRISE:
                yield MinedRule({"together": [one.name, other.name]}, int(seen.sum()), 0)
                break


def _implications(
    coded: Sequence[Coded], tied: set[frozenset[str]], confidence: float
) -> list[MinedRule]:
    """Find levels beside which only some levels of another column occur."""
    candidates = []
    for one, other in permutations(coded, 2):
        if frozenset((one.name, other.name)) in tied:
            continue
        counts = _counts(one, other)
        share = counts.sum(0) / max(counts.sum(), 1)
        for level, row in enumerate(counts[:-1]):
            n, name = int(row.sum()), one.levels[level]
            if one.levels == [":"] or not n:
                continue
            # what is kept: the likeliest levels, as many as the confidence asks for
            order = np.argsort(-row, kind="stable")
            enough = int(np.searchsorted(np.cumsum(row[order]), confidence * n)) + 1
            kept = order[:enough][row[order[:enough]] > 0]
            if n * (1 - share[kept].sum()) < LEAST_SURPRISE or len(kept) > MOST_CHOICES:
                continue
            if other.levels == [":"] and kept.tolist() != [1]:
                continue
            entry = {"if": f"{_word(one.name)}={_word(name)}", "then": _then(other, kept)}
            out = [
                (one.name, level, other.name, at)
                for at in set(np.flatnonzero(share).tolist()) - {*kept.tolist()}
            ]
            both = {(c, d, a, b) for a, b, c, d in out} | {*out}
            candidates.append((MinedRule(entry, n, n - int(row[kept].sum())), both))
    candidates.sort(key=lambda each: -each[0].support)
    told: set[tuple[str, int, str, int]] = set()
    found = []
    for candidate, forbidden in candidates:
        if not forbidden <= told:
            found.append(candidate)
            told |= forbidden
    return found


def _then(column: Coded, kept: NDArray[np.int64]) -> str:
    null = len(column.levels)
    words = ["null" if at == null else _word(column.levels[at]) for at in sorted(kept)]
    return f"{_word(column.name)}={'|'.join(words)}"


def _word(level: Level) -> str:
    """Write a name or level as a condition does."""
    text = str(level)
    plain = text == text.strip() and text not in ("", "null") and not set(text) & set("=,|:'\"")
    return text if plain else '"' + text.replace('"', '""') + '"'
