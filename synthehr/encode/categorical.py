"""One categorical, boolean or ordinal column: null, kept levels, and what is rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.encode.axis import encoded, from_axis, has_axis, to_axis, value_type
from synthehr.encode.config import EncodeConfig
from synthehr.encode.fields import Field
from synthehr.encode.rare import holders
from synthehr.errors import SchemaError
from synthehr.schema.column import Level, shown

RARE_MARK = "_RARE_"


@final
@dataclass(frozen=True)
class CategoricalColumn:
    """Tokens of one categorical column: null, then the levels, then the pooled rest.

    Attributes
    ----------
    field : Field
        What the models see.
    data_type : DataType
        Arrow type of the column.
    levels : tuple of str, int, float or bool
        Kept levels in the order of their tokens.
    rare : {"draw", "mark"} or None
        What the last token decodes to; None where it is a level like the others.
    is_ordinal : bool
        Whether the levels ascend. Then a rare level counts as the nearest kept one.
    order : tuple of levels, or None
        All levels of an ordinal, ascending, where the user declared them.
    """

    field: Field
    data_type: pa.DataType
    levels: tuple[Level, ...]
    rare: str | None
    is_ordinal: bool = False
    order: tuple[Level, ...] | None = None

    @property
    def first_level(self) -> int:
        """Token of the first level."""
        return 0 if self.field.null is None else 1

    def encode(
        self, cells: pa.Array | pa.ChunkedArray
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Turn values into tokens, shape (N,); the parts are all 0."""
        indices, found, valid = level_indices(cells, self.field.column)
        likeliest = self.first_level + int(self.field.shares[self.first_level :].argmax())
        known = {level: token for token, level in enumerate(self.levels, self.first_level)}
        if self.is_ordinal:
            order = sequence(self.order, cells.type, [*found, *self.levels])
            known = {level: self.first_level + at for level, at in neighbours(order, self.levels)}
        other = self.field.size - 1 if self.rare else likeliest
        lookup = np.array([known.get(level, other) for level in found] or [0], dtype=np.int16)
        tokens = lookup[indices]
        tokens[~valid] = likeliest if self.field.null is None else 0
        return tokens, np.zeros(len(tokens), dtype=np.int16)

    def decode(
        self,
        tokens: NDArray[np.integer],
        parts: NDArray[np.integer],
        rng: np.random.Generator,
        bounds: Sequence[tuple[float, float]] | None = None,
    ) -> pa.Array:
        """Turn tokens into levels, drawing one where a level was pooled; shape (N,)."""
        valid = np.full(len(tokens), True) if self.field.null is None else tokens != 0
        index = np.maximum(tokens.astype(np.int64) - self.first_level, 0)
        if self.rare == "draw":
            pooled = index >= len(self.levels)
            index[pooled] = self._draw_rare(int(pooled.sum()), rng)
        levels = self.levels + ((RARE_MARK,) if self.rare == "mark" else ())
        return from_levels(index, valid, levels, self.data_type)

    def _draw_rare(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw levels for pooled records: by share among the rarest kept ones.

        As many of them as hold together as many records as were pooled. Rare levels are
        likelier like these than like the common ones, which keep their shares this way.
        """
        shares = self.field.shares[self.first_level : self.first_level + len(self.levels)]
        rarest = np.argsort(shares, kind="stable")
        reached = np.cumsum(shares[rarest])
        rarest = rarest[: np.searchsorted(reached, self.field.shares[-1]) + 1]
        reached = reached[: len(rarest)]
        drawn = np.searchsorted(reached, rng.random(n) * reached[-1], side="right")
        return rarest[np.minimum(drawn, len(rarest) - 1)]

    def allowed(self, values: Sequence[Any], null: bool) -> NDArray[np.float64]:
        """Weigh tokens 1 where they are one of the values; shape (size, 1)."""
        weights = np.zeros((self.field.size, 1))
        if null and self.field.null is not None:
            weights[0] = 1.0
        for value in values:
            token = self.token_of(value)
            if token is not None:
                weights[token] = 1.0
        return weights

    def token_of(self, value: Any) -> int | None:
        """Token of a kept level; None for any other value."""
        return self.levels.index(value) + self.first_level if value in self.levels else None

    def describe(self) -> dict[str, Any]:
        """Count levels, and the share that was pooled."""
        pooled = float(self.field.shares[-1]) if self.rare else 0.0
        return {"levels": len(self.levels), "pooled_share": pooled}

    def kept_values(self) -> pa.Array:
        """Give the levels that are stored, with the type of the column's values."""
        everything = np.arange(len(self.levels))
        return from_levels(everything, everything >= 0, self.levels, value_type(self.data_type))

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give settings and arrays, without the field."""
        order = None if self.order is None else list(self.order)
        settings = {"levels": list(self.levels), "rare": self.rare}
        return settings | {"is_ordinal": self.is_ordinal, "order": order}, {}

    @classmethod
    def from_state(
        cls,
        field: Field,
        data_type: pa.DataType,
        settings: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
    ) -> CategoricalColumn:
        """Rebuild a column from what `state` gave."""
        order = None if settings["order"] is None else tuple(settings["order"])
        levels, rare = tuple(settings["levels"]), settings["rare"]
        return cls(field, data_type, levels, rare, settings["is_ordinal"], order)


def fit_categorical(
    column: str,
    cells: pa.Array | pa.ChunkedArray,
    patients: NDArray[np.int64] | None,
    config: EncodeConfig,
    *,
    is_ordinal: bool = False,
    order: Sequence[Level] | None = None,
) -> CategoricalColumn | None:
    """Learn the levels of a column; None where too few patients hold any.

    Parameters
    ----------
    is_ordinal : bool
        Whether the levels ascend: as declared, as in the Arrow dictionary, or sorted.
    order : sequence of levels, or None
        For ordinals: all levels as declared, ascending.
    """
    indices, found, valid = level_indices(cells, column)
    present = indices[valid]
    counts = np.bincount(present, minlength=len(found))
    held = holders(present, len(found), None if patients is None else patients[valid])
    common = [at for at in range(len(found)) if held[at] >= config.rare_patients]
    ranking = sorted(common, key=lambda at: (-counts[at], str(found[at])))
    levels = [found[at] for at in ranking[: config.max_tokens - 2]]
    if not levels:
        return None
    tallies = dict(zip(found, counts.tolist(), strict=True))
    if is_ordinal:
        ascending = sequence(order, cells.type, found)
        levels = [level for level in ascending if level in set(levels)]
        merged = dict.fromkeys(levels, 0)
        for level, at in neighbours(ascending, levels):
            merged[levels[at]] += tallies.get(level, 0)
        tallies = merged
    kept = [tallies[level] for level in levels]
    pooled = int(counts.sum()) - sum(kept)
    nulls = [] if valid.all() else [len(valid) - int(valid.sum())]
    shares = np.array(nulls + kept + ([pooled] if pooled else [])) / len(valid)
    field = Field(
        column=column,
        shares=shares,
        parts=np.ones(len(shares), dtype=np.int64),
        null=0 if nulls else None,
        positions=_positions(shares, len(nulls)) if is_ordinal else None,
    )
    mark = "mark" if config.rare == "mark" and is_text(cells.type) else "draw"
    declared = None if order is None or not is_ordinal else tuple(order)
    rare = mark if pooled else None
    return CategoricalColumn(field, cells.type, tuple(levels), rare, is_ordinal, declared)


def sequence(
    order: Sequence[Level] | None, data_type: pa.DataType, found: Sequence[Level]
) -> list[Level]:
    """Put the levels of an ordinal in ascending order, unknown ones last."""
    if order is None and pa.types.is_dictionary(data_type) and data_type.ordered:
        order = found
    known = list(dict.fromkeys(order or ()))
    return known + sorted(set(found) - set(known), key=lambda level: (str(type(level)), level))


def neighbours(order: Sequence[Level], kept: Sequence[Level]) -> list[tuple[Level, int]]:
    """Find for each ordered level the number of the nearest kept one; its own, if it is kept."""
    is_numeric = all(isinstance(level, int | float) for level in order)
    scale = [float(level) for level in order] if is_numeric else list(range(len(order)))
    places = dict(zip(order, scale, strict=True))
    at = np.array([places[level] for level in kept])
    middles = at[:-1] / 2 + at[1:] / 2
    nearest = dict(zip(order, np.searchsorted(middles, scale).tolist(), strict=True))
    # Between large numbers a float has no room for the middle.
    nearest |= {level: place for place, level in enumerate(kept)}
    return list(nearest.items())


def _positions(shares: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """Mean rank of each level among the non-null records; shape (size, 1)."""
    present = shares[first:] / shares[first:].sum()
    ranks = np.cumsum(present) - present / 2
    return np.concatenate([np.full(first, 0.5), ranks])[:, None]


def level_indices(
    cells: pa.Array | pa.ChunkedArray, column: str
) -> tuple[NDArray[np.int64], list[Level], NDArray[np.bool_]]:
    """Find the levels of a column and give each a number.

    Returns
    -------
    indices : ndarray of shape (N,)
        Number of each record's level; 0 for null.
    found : list of length L
        The levels, as text, number or bool, or as the place on the axis for dates and such.
    valid : ndarray of shape (N,)
        Where the cell is not null.
    """
    array = encoded(cells)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    indices = array.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    dictionary = array.dictionary
    data_type = dictionary.type
    if has_axis(data_type):
        axis = to_axis(dictionary, column)
        levels = [
            level if known else None
            for level, known in zip(*map(np.ndarray.tolist, axis), strict=True)
        ]
    elif is_text(data_type) or pa.types.is_boolean(data_type):
        levels = dictionary.to_pylist()
    else:
        raise SchemaError(
            f"column {shown(column)} of type {data_type} cannot be modelled",
            hint='set "role": "drop" for it in the schema file',
        )
    # NOTE: a dictionary may hold a level twice, or null.
    found = [level for level in dict.fromkeys(levels) if level is not None]
    numbers = {level: number for number, level in enumerate(found)}
    lookup = np.array([numbers.get(level, -1) for level in levels] or [0], dtype=np.int64)
    indices = np.where(valid, lookup[indices], -1)
    return np.maximum(indices, 0), found, indices >= 0


def from_levels(
    index: NDArray[np.int64],
    valid: NDArray[np.bool_],
    levels: Sequence[Level],
    data_type: pa.DataType,
) -> pa.Array:
    """Make an array of exactly this type from indices into the levels."""
    plain = value_type(data_type)
    if has_axis(plain):
        dictionary = from_axis(np.array(levels), np.full(len(levels), True), plain)
    else:
        dictionary = pa.array(levels, plain)
    mask = None if valid.all() else ~valid
    if pa.types.is_dictionary(data_type):
        stored = pa.array(index, data_type.index_type, mask=mask)
        return pa.DictionaryArray.from_arrays(stored, dictionary, ordered=data_type.ordered)
    return dictionary.take(pa.array(index, pa.int64(), mask=mask))
