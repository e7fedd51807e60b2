"""Rules in the terms of a model: which tokens and parts are legal beside the known ones.

A part is legal where some value in it is. What rules cannot tell apart by parts, two values
of one part, is settled after decoding (`synthehr.run.ruling`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.encode.categorical import CategoricalColumn, from_levels
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.table import TableEncoder
from synthehr.modes.axis_value import interval_of
from synthehr.modes.condition import Condition, Null
from synthehr.modes.constraints import Implication, Order, Rules, Together
from synthehr.modes.rule_checks import holds, unit
from synthehr.schema.column import Level


class Mask(Protocol):
    """One rule between columns."""

    @property
    def columns(self) -> tuple[int, ...]:
        """Places of the columns that it speaks of, those that determine others first."""
        ...

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """As of `synthehr.models.base.Legal`; dimensions of size 1 stand for all."""
        ...


@dataclass(frozen=True)
class Masks:
    """All rules between columns.

    Attributes
    ----------
    masks : tuple of Mask
    order : tuple of int
        All columns, those that determine others before them.
    shapes : tuple of (size, parts)
        Of each column.
    """

    masks: tuple[Mask, ...]
    order: tuple[int, ...]
    shapes: tuple[tuple[int, int], ...]

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Say what every rule allows, see `synthehr.models.base.Legal`."""
        found = None
        for mask in self.masks:
            if column in mask.columns:
                allowed = mask.allowed(column, codes, known)
                if allowed is not None:
                    found = allowed if found is None else found & allowed
        return None if found is None else found.expand(len(codes), *self.shapes[column])


@dataclass(frozen=True)
class OrderMask:
    """Two columns that do not descend.

    Attributes
    ----------
    columns : (int, int)
        The lower one first.
    low, high : tuples of two Tensors of shape (size, parts), float64
        Least and largest value of each part, see `reach`.
    strict : bool
        Whether equal values are against the rule.
    """

    columns: tuple[int, int]
    low: tuple[Tensor, Tensor]
    high: tuple[Tensor, Tensor]
    strict: bool

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Let parts through that reach beyond the least value of the other column's part."""
        mine = self.columns.index(column)
        other = self.columns[1 - mine]
        token, part = codes[:, 0, other], codes[:, 1, other]
        ends = self.low[0] if mine else self.high[1]
        part = part.clamp(0, ends.shape[1] - 1)
        end = ends[token, part].where(known[:, other], torch.nan)[:, None, None]
        if mine:
            wrong = self.high[1] <= end if self.strict else self.high[1] < end
        else:
            wrong = self.low[0] >= end if self.strict else self.low[0] > end
        # a comparison with no number is false: null beside it, or not yet known
        return ~wrong


@dataclass(frozen=True)
class ImplicationMask:
    """Conditions that demand others.

    Attributes
    ----------
    columns : tuple of int
        Those of `when`, then those of `then`.
    when, then : tuples of (column, Tensor of shape (size, parts), bool)
        Where a value of the part satisfies the condition.
    """

    columns: tuple[int, ...]
    when: tuple[tuple[int, Tensor], ...]
    then: tuple[tuple[int, Tensor], ...]

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Demand what follows where all conditions hold; else do not let the last one hold."""
        n = len(codes)
        others = [each for each in self.when if each[0] != column]
        armed = torch.ones(n, dtype=torch.bool, device=codes.device)
        for place, satisfied in others:
            armed &= known[:, place] & _at(satisfied, codes, place)
        result = None
        for place, satisfied in self.then:
            if place == column:
                result = satisfied | ~armed[:, None, None]
        if len(others) == len(self.when):
            return result
        failed = torch.zeros(n, dtype=torch.bool, device=codes.device)
        for place, satisfied in self.then:
            if place != column:
                failed |= known[:, place] & ~_at(satisfied, codes, place)
        own = next(satisfied for place, satisfied in self.when if place == column)
        return ~(own & (armed & failed)[:, None, None])


@dataclass(frozen=True)
class TogetherMask:
    """Columns of which some combinations occur.

    Attributes
    ----------
    columns : tuple of int
    tokens : Tensor of shape (K, columns), int64
        The combinations.
    free : tuple of Tensors of shape (size,), bool
        Tokens of each column that go with everything: null.
    """

    columns: tuple[int, ...]
    tokens: Tensor
    free: tuple[Tensor, ...]

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Let tokens through that make a combination with what is known."""
        fits = torch.ones(len(codes), len(self.tokens), dtype=torch.bool, device=codes.device)
        for nth, place in enumerate(self.columns):
            if place != column:
                token = codes[:, 0, place]
                open_ = ~known[:, place] | self.free[nth][token]
                fits &= open_[:, None] | (token[:, None] == self.tokens[:, nth])
        mine = self.columns.index(column)
        free = self.free[mine]
        found = torch.zeros(len(codes), len(free), device=codes.device)
        found.index_add_(1, self.tokens[:, mine], fits.float())
        return ((found > 0) | free)[:, :, None]


@dataclass(frozen=True)
class FixedMask:
    """What one column alone may hold, (size, parts) bool."""

    columns: tuple[int]
    fixed: Tensor

    def allowed(self, column: int, codes: Tensor, known: Tensor) -> Tensor | None:
        """Let the same through whatever is known."""
        return self.fixed


def masks_of(rules: Rules, encoder: TableEncoder) -> Masks | None:
    """Turn rules into masks; None where they say nothing that tokens can tell.

    Columns that are not modelled are left to the check after decoding.
    """
    places = {name: place for place, name in enumerate(encoder.modelled)}
    masks: list[Mask] = []
    for rule in rules.rules:
        body = rule.body
        if isinstance(body, Order):
            masks += _order_masks(body, encoder, places)
        elif isinstance(body, Implication) and {*body.columns} <= {*places}:
            when, then = (
                tuple((places[each.column], _satisfied(each, encoder)) for each in conditions)
                for conditions in (body.when, body.then)
            )
            columns = tuple(dict.fromkeys(place for place, _ in (*when, *then)))
            masks.append(ImplicationMask(columns, when, then))
        elif isinstance(body, Together) and body.allowed and {*body.columns} <= {*places}:
            masks.append(_together_mask(body, encoder, places))
    spoken = {column for mask in masks for column in mask.columns}
    masks += [
        FixedMask((place,), ~pooled)
        for place in sorted(spoken)
        if (pooled := _pooled(encoder.columns[place])) is not None
    ]
    if not masks:
        return None
    shapes = tuple((field.size, int(field.parts.max())) for field in encoder.fields)
    return Masks(tuple(masks), _drawing_order(len(encoder.modelled), masks), shapes)


def _order_masks(body: Order, encoder: TableEncoder, places: dict[str, int]) -> Iterable[OrderMask]:
    known = [name for name in body.columns if name in places]
    for pair in combinations(known, 2):
        columns = [encoder.columns[places[name]] for name in pair]
        if all(isinstance(column, NumericColumn) for column in columns):
            reach = [_reach(column, columns) for column in columns]
            low, high = zip(*reach, strict=True)
            yield OrderMask((places[pair[0]], places[pair[1]]), low, high, body.strict)


def _reach(
    column: NumericColumn | CategoricalColumn, both: Sequence[NumericColumn | CategoricalColumn]
) -> tuple[Tensor, Tensor]:
    """Give a column's ends on the axis, or in units that unlike columns share."""
    assert isinstance(column, NumericColumn)
    alike = both[0].data_type == both[1].data_type
    scale = 1.0 if alike else unit(column.data_type)
    low, high = reach(column)
    return torch.from_numpy(low / scale), torch.from_numpy(high / scale)


def reach(column: NumericColumn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the smallest and largest value of each part of each token, on the axis.

    Returns
    -------
    low, high : ndarrays of shape (size, parts.max())
        No number for null; infinite, high below low, where a token has no such part.
    """
    field, layout = column.field, column.layout
    shape = (field.size, int(field.parts.max()))
    low, high = np.full(shape, np.inf), np.full(shape, -np.inf)
    if field.null is not None:
        low[field.null, 0] = high[field.null, 0] = np.nan
    first, last = layout.ends if layout.n_parts else (layout.atoms[:0], layout.atoms[:0])
    low[column.unit_tokens, column.unit_parts] = np.concatenate([layout.atoms, first])
    high[column.unit_tokens, column.unit_parts] = np.concatenate([layout.atoms, last])
    return low, high


def _satisfied(condition: Condition, encoder: TableEncoder) -> Tensor:
    """Say of which parts of which tokens some value satisfies a condition; (size, parts)."""
    column = encoder.columns[encoder.field_index(condition.column)]
    field = column.field
    found = np.zeros((field.size, int(field.parts.max())), dtype=bool)
    if isinstance(column, NumericColumn):
        low, high = reach(column)
        for choice in condition.choices:
            if not isinstance(choice, Null):
                first, last = interval_of(choice, column.data_type, condition.column)
                found |= (high >= first) & (low <= last)
    else:
        levels = _levels(column)
        start = column.first_level
        found[start : start + len(levels), 0] = holds(condition, levels)
    if field.null is not None:
        found[field.null] = any(isinstance(choice, Null) for choice in condition.choices)
    return torch.from_numpy(found)


def _levels(column: CategoricalColumn) -> pa.Array:
    """Give the kept levels as cells."""
    every = np.arange(len(column.levels))
    return from_levels(every, np.full(len(every), True), column.levels, column.data_type)


def _together_mask(body: Together, encoder: TableEncoder, places: dict[str, int]) -> TogetherMask:
    columns = [encoder.columns[places[name]] for name in body.columns]
    assert body.allowed is not None
    found = [
        [_token(column, level) for column, level in zip(columns, each, strict=True)]
        for each in body.allowed
    ]
    tokens = [each for each in found if None not in each]
    free = tuple(torch.arange(each.field.size) == _null(each) for each in columns)
    shaped = torch.tensor(tokens, dtype=torch.int64).reshape(-1, len(columns))
    return TogetherMask(tuple(places[name] for name in body.columns), shaped, free)


def _token(column: NumericColumn | CategoricalColumn, level: Level) -> int | None:
    if isinstance(column, CategoricalColumn):
        return column.token_of(level)
    return None if isinstance(level, str) else column.token_of(float(level))


def _null(column: NumericColumn | CategoricalColumn) -> int:
    return -1 if column.field.null is None else column.field.null


def _pooled(column: NumericColumn | CategoricalColumn) -> Tensor | None:
    """Find the token of pooled levels, (size, 1) bool: no rule can say what it stands for."""
    if isinstance(column, NumericColumn) or column.rare is None:
        return None
    return (torch.arange(column.field.size) == column.field.size - 1)[:, None]


def _drawing_order(n: int, masks: Sequence[Mask]) -> tuple[int, ...]:
    """Put columns that determine others before them, else keep the table's order."""
    after: dict[int, set[int]] = {column: set() for column in range(n)}
    for mask in masks:
        if isinstance(mask, ImplicationMask):
            first = {column for column, _ in mask.when}
            for column, _ in mask.then:
                after[column] |= first - {column}
    order: list[int] = []
    while len(order) < n:
        left = [column for column in range(n) if column not in order]
        ready = [column for column in left if after[column] <= {*order}]
        # rules that go round in a circle: the table's order decides
        order.append((ready or left)[0])
    return tuple(order)


def _at(satisfied: Tensor, codes: Tensor, column: int) -> Tensor:
    """Look up the parts of a column's cells, (n,)."""
    part = codes[:, 1, column].clamp(0, satisfied.shape[1] - 1)
    return satisfied[codes[:, 0, column], part]
