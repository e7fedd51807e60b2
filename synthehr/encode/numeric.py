"""One numeric column: null, atoms, bins and parts of bins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.encode.axis import INT64, combined, float_type_of, from_axis, to_axis, value_type
from synthehr.encode.config import EncodeConfig
from synthehr.encode.cuts import Cuts, cut
from synthehr.encode.fields import Field
from synthehr.encode.grid import (
    LARGEST_INDEX,
    FloatType,
    Grid,
    find_grid,
    significant_digits,
)
from synthehr.encode.layout import Interval, Layout
from synthehr.encode.rare import holders
from synthehr.errors import SchemaError
from synthehr.schema.column import shown

EQUAL_SHARE = 1e-6
"""Least weight of a part that holds a value of a condition, however small its fraction."""
EDGE_SHIFTS = (0.0, 0.0625, -0.0625, 0.125, -0.125)
"""Where edges lie beside the middle between grid points, so that none is a patient's value."""


@final
@dataclass(frozen=True)
class NumericColumn:
    """Tokens and parts of one numeric column.

    Attributes
    ----------
    field : Field
        What the models see.
    data_type : DataType
        Arrow type of the column.
    layout : Layout
        Atoms and parts on the value axis.
    unit_tokens : ndarray of shape (A + P,)
        Token of each atom, then of each part.
    unit_parts : ndarray of shape (A + P,)
        Number of each part within its bin; 0 for atoms.
    """

    field: Field
    data_type: pa.DataType
    layout: Layout
    unit_tokens: NDArray[np.int64]
    unit_parts: NDArray[np.int64]

    @property
    def atoms(self) -> NDArray[Any]:
        """Values that are tokens of their own, ascending."""
        return self.layout.atoms

    @property
    def edges(self) -> NDArray[np.float64]:
        """Ends of the parts, ascending."""
        return self.layout.edges

    @cached_property
    def _first_unit(self) -> NDArray[np.int64]:
        """First unit of each token, -1 for null; shape (size,)."""
        first = np.full(self.field.size, -1, dtype=np.int64)
        heads = self.unit_parts == 0
        first[self.unit_tokens[heads]] = np.flatnonzero(heads)
        return first

    def encode(
        self, cells: pa.Array | pa.ChunkedArray
    ) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Turn values into tokens and parts, each of shape (N,)."""
        values, valid = to_axis(combined(cells), self.field.column)
        units = self.layout.locate(values)
        tokens = self.unit_tokens[units].astype(np.int16)
        parts = self.unit_parts[units].astype(np.int16)
        if not valid.all():
            tokens[~valid] = self.field.shares.argmax() if self.field.null is None else 0
            parts[~valid] = 0
        return tokens, parts

    def decode(
        self,
        tokens: NDArray[np.integer],
        parts: NDArray[np.integer],
        rng: np.random.Generator,
        bounds: Sequence[Interval] | None = None,
    ) -> pa.Array:
        """Draw a value from each part; shape (N,)."""
        uniform = rng.random(len(tokens))
        first = self._first_unit[tokens]
        n_atoms = len(self.layout.atoms)
        values = np.zeros(len(tokens), dtype=self.layout.atoms.dtype)
        is_atom = (first >= 0) & (first < n_atoms)
        values[is_atom] = self.layout.atoms[first[is_atom]]
        is_bin = first >= n_atoms
        if is_bin.any():
            inside = np.minimum(parts[is_bin], self.field.parts[tokens[is_bin]] - 1)
            part = first[is_bin] - n_atoms + inside
            values[is_bin] = self.layout.draw(part, uniform[is_bin], bounds)
        return from_axis(values, first >= 0, self.data_type)

    def allowed(self, intervals: Sequence[Interval], null: bool) -> NDArray[np.float64]:
        """Weigh each part of each token by its fraction within the intervals.

        Returns
        -------
        ndarray of shape (size, parts.max())
            0 forbidden, 1 wholly allowed.
        """
        weights = np.zeros((self.field.size, int(self.field.parts.max())))
        if null and self.field.null is not None:
            weights[0, 0] = 1.0
        if not len(intervals):
            return weights
        atoms = self.layout.atoms
        inside = np.zeros(len(atoms))
        for low, high in intervals:
            inside = np.maximum(inside, (atoms >= low) & (atoms <= high))
        fractions = np.zeros(0)
        if self.layout.n_parts:
            touched = self.layout.touched(intervals).any(axis=1)
            fractions = self.layout.fractions(intervals)
            fractions = np.clip(fractions, np.where(touched, EQUAL_SHARE, 0), 1)
        weights[self.unit_tokens, self.unit_parts] = np.concatenate([inside, fractions])
        return weights

    def token_of(self, value: float) -> int | None:
        """Token of a value that is an atom; None for any other."""
        at = int(np.searchsorted(self.layout.atoms, value))
        found = at < len(self.layout.atoms) and self.layout.atoms[at] == value
        return int(self.unit_tokens[at]) if found else None

    def describe(self) -> dict[str, Any]:
        """Count atoms, bins and parts."""
        n_atoms = len(self.layout.atoms)
        grid = self.layout.grid
        return {
            "atoms": n_atoms,
            "bins": len(np.unique(self.unit_tokens[n_atoms:])),
            "parts": self.layout.n_parts,
            "grid": None if grid is None else grid.step / 10 ** (grid.digits or 0),
            "single_values": len(self.layout.single_values),
        }

    def kept_values(self) -> NDArray[Any]:
        """Give the numbers that are stored, on the column's axis: values and edges."""
        layout = self.layout
        return np.concatenate([layout.atoms, layout.single_values, layout.edges])

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Give settings and arrays, without the field."""
        grid = None if self.layout.grid is None else asdict(self.layout.grid)
        arrays = {
            "atoms": self.layout.atoms,
            "edges": self.layout.edges,
            "single_parts": self.layout.single_parts,
            "single_values": self.layout.single_values,
            "unit_tokens": self.unit_tokens,
            "unit_parts": self.unit_parts,
        }
        return {"grid": grid, "digits": self.layout.digits}, arrays

    @classmethod
    def from_state(
        cls,
        field: Field,
        data_type: pa.DataType,
        settings: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
    ) -> NumericColumn:
        """Rebuild a column from what `state` gave."""
        grid = None if settings["grid"] is None else Grid(**settings["grid"])
        float_type = float_type_of(data_type)
        layout = Layout(
            grid=grid,
            digits=settings["digits"],
            atoms=arrays["atoms"],
            edges=arrays["edges"],
            float_type=float_type,
            single_parts=arrays["single_parts"],
            single_values=arrays["single_values"],
        )
        return cls(field, data_type, layout, arrays["unit_tokens"], arrays["unit_parts"])


def fit_numeric(
    column: str,
    cells: pa.Array | pa.ChunkedArray,
    patients: NDArray[np.int64] | None,
    config: EncodeConfig,
) -> NumericColumn | None:
    """Learn the tokens of a numeric column; None where too few patients hold any value."""
    values, valid = to_axis(combined(cells), column)
    if pa.types.is_decimal(value_type(cells.type)) and (np.abs(values) >= INT64.max).any():
        raise SchemaError(
            f"column {shown(column)} of type {cells.type} holds numbers of more than 18 digits",
            hint="give it the type double",
        )
    owners = None if patients is None else patients[valid]
    unique, groups, counts = np.unique(values[valid], return_inverse=True, return_counts=True)
    if not len(unique):
        return None
    held = counts if owners is None else holders(groups, len(unique), owners)
    float_type = float_type_of(cells.type)
    is_atom = _choose_atoms(counts, held, config)
    grid = find_grid(unique, counts, held, ~is_atom, config.rare_patients, float_type)
    kind = value_type(cells.type)
    times = pa.types.is_temporal(kind) and not pa.types.is_duration(kind)
    cuts = _cut_rest(unique, groups, owners, is_atom, grid, float_type, times, config)
    if cuts is None and not is_atom.any():
        return None
    if cuts is None:
        cuts = Cuts(np.zeros(0), np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64))
    digits = None
    if grid is None and float_type is not None:
        digits = significant_digits(unique, float_type)
    rest = np.flatnonzero(~is_atom)
    single = np.zeros(0, dtype=np.int64)
    if grid is None and float_type is not None:
        single = np.flatnonzero(cuts.single >= 0)
    layout = Layout(
        grid=grid,
        digits=digits,
        atoms=unique[is_atom],
        edges=cuts.edges,
        float_type=float_type,
        single_parts=single,
        single_values=unique[rest[cuts.single[single]]].astype(np.float64),
    )
    return _numbered(column, cells.type, layout, cuts.starts, unique, counts, len(valid))


def _choose_atoms(
    counts: NDArray[np.int64], held: NDArray[np.int64], config: EncodeConfig
) -> NDArray[np.bool_]:
    """Say which distinct values become tokens of their own; shape (U,)."""
    common = held >= config.rare_patients
    covered = counts[common].sum() / counts.sum()
    if common.sum() <= config.discrete_values and covered >= config.discrete_share:
        return common
    return common & (counts >= config.atom_share * counts.sum())


def _cut_rest(
    unique: NDArray[Any],
    groups: NDArray[np.int64],
    owners: NDArray[np.int64] | None,
    is_atom: NDArray[np.bool_],
    grid: Grid | None,
    float_type: FloatType,
    times: bool,
    config: EncodeConfig,
) -> Cuts | None:
    """Cut what is no atom into parts, with edges on the value axis."""
    rest = ~is_atom
    if not rest.any():
        return None
    kept = rest[groups]
    groups = (np.cumsum(rest) - 1)[groups[kept]]
    places = (unique[rest] if grid is None else grid.index(unique[rest])).astype(np.float64)
    # NOTE: integers beyond 2**53 may fall together as floats, and values beside the grid on it.
    places, merged = np.unique(places, return_inverse=True)
    owners = None if owners is None else owners[kept]
    cuts = cut(
        places,
        merged[groups],
        owners,
        gridded=grid is not None,
        has_atoms=bool(is_atom.any()),
        limits=_limits(unique, is_atom, grid, float_type),
        times=times,
        config=config,
    )
    if cuts is None or grid is None:
        return cuts
    for shift in EDGE_SHIFTS:
        edges = grid.edge_value(cuts.edges, shift)
        if not np.isin(edges, unique).any():
            break
    return cuts._replace(edges=edges)


def _limits(
    unique: NDArray[Any], is_atom: NDArray[np.bool_], grid: Grid | None, float_type: FloatType
) -> tuple[float, float]:
    """Find between which places parts may lie: not beyond zero, nor an atom that ends all."""
    most = 2.0**63 if float_type is None else float(np.finfo(np.float64).max)
    low = float(unique[0]) if is_atom[0] else 0.0 if unique[0] >= 0 else -most
    high = float(unique[-1]) if is_atom[-1] else 0.0 if unique[-1] <= 0 else most
    if grid is None:
        return low, high
    first, last = grid.inside(low, high)
    return max(first, -LARGEST_INDEX), min(last, LARGEST_INDEX)


def _numbered(
    column: str,
    data_type: pa.DataType,
    layout: Layout,
    starts: NDArray[np.int64],
    unique: NDArray[Any],
    counts: NDArray[np.int64],
    n_records: int,
) -> NumericColumn:
    """Order tokens by the mean rank of their values, and describe them as a field."""
    n_atoms, n_bins, n_parts = len(layout.atoms), len(starts) - 1, layout.n_parts
    n_units = n_atoms + n_parts
    bins = np.repeat(np.arange(n_bins), np.diff(starts))
    owner = np.concatenate([np.arange(n_atoms), n_atoms + bins])
    parts = np.concatenate([np.zeros(n_atoms, np.int64), np.arange(n_parts) - starts[bins]])
    units = layout.locate(unique)
    held = np.bincount(units, counts, n_units)
    n_present = counts.sum()
    ranks = (np.cumsum(counts) - counts / 2) / n_present
    rank_sums = np.bincount(units, counts * ranks, n_units)
    means = np.bincount(owner, rank_sums) / np.bincount(owner, held)
    null = int(n_present < n_records)
    token_of_owner = np.argsort(np.argsort(means, kind="stable"), kind="stable") + null
    tokens = token_of_owner[owner]
    size = n_atoms + n_bins + null
    widths = np.ones(size, dtype=np.int64)
    np.maximum.at(widths, tokens, parts + 1)
    shape = (size, int(widths.max()))
    positions, part_shares = np.full(shape, 0.5), np.zeros(shape)
    positions[tokens, parts] = rank_sums / held
    part_shares[tokens, parts] = held
    shares = part_shares.sum(axis=1)
    if null:
        shares[0] = part_shares[0, 0] = n_records - n_present
    last = np.minimum(np.arange(shape[1])[None, :], widths[:, None] - 1)
    field = Field(
        column=column,
        shares=shares / n_records,
        parts=widths,
        null=0 if null else None,
        positions=np.take_along_axis(positions, last, axis=1),
        part_shares=part_shares / part_shares.sum(axis=1, keepdims=True),
    )
    return NumericColumn(field, data_type, layout, tokens, parts)
