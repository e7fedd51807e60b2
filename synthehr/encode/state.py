"""What an encoder learned, as JSON-ready values and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from synthehr.arrow_types import arrow_type
from synthehr.encode.categorical import CategoricalColumn
from synthehr.encode.fields import Field
from synthehr.encode.identifier import IdColumn
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.visits import Visits
from synthehr.errors import ArtifactError, SchemaError

AnyColumn = NumericColumn | CategoricalColumn | IdColumn
Arrays = dict[str, NDArray[Any]]
MODELLED = {"numeric": NumericColumn, "levels": CategoricalColumn}
FIELD_ARRAYS = ("shares", "parts", "positions", "part_shares")


def pack(
    plan: Mapping[str, AnyColumn], visits: Visits | None, notes: tuple[str, ...]
) -> tuple[dict[str, Any], Arrays]:
    """Lay out columns as JSON-ready values and named arrays."""
    entries: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for place, (name, column) in enumerate(plan.items()):
        entry: dict[str, Any] = {"column": name, "type": str(column.data_type)}
        if isinstance(column, IdColumn):
            entries.append(entry | {"made": "id", "settings": column.state()})
            continue
        settings, learned = column.state()
        made = "numeric" if isinstance(column, NumericColumn) else "levels"
        entry |= {"made": made, "settings": settings, "null": column.field.null}
        for key in FIELD_ARRAYS:
            array = getattr(column.field, key)
            if array is not None:
                learned[f"field.{key}"] = array
        entries.append(entry | {"arrays": sorted(learned)})
        arrays |= {f"{place}.{key}": np.ascontiguousarray(array) for key, array in learned.items()}
    if visits is not None:
        arrays |= {"visits.sizes": visits.sizes, "visits.shares": visits.shares}
    return {"columns": entries, "visits": visits is not None, "notes": list(notes)}, arrays


def unpack(
    content: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, AnyColumn], Visits | None, list[str]]:
    """Rebuild what `pack` laid out.

    Raises
    ------
    ArtifactError
        If something is missing, unknown or of the wrong shape.
    """
    try:
        plan = {
            entry["column"]: _column(entry, _below(f"{place}.", arrays))
            for place, entry in enumerate(content["columns"])
        }
        visits = None
        if content["visits"]:
            visits = Visits(arrays["visits.sizes"], arrays["visits.shares"])
        return plan, visits, [str(note) for note in content["notes"]]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, SchemaError):
        _damaged()


def _column(entry: Mapping[str, Any], arrays: Arrays) -> AnyColumn:
    data_type = arrow_type(entry["type"])
    if entry["made"] == "id":
        return IdColumn.from_state(entry["column"], data_type, entry["settings"])
    if sorted(arrays) != entry["arrays"]:
        _damaged()
    described = _below("field.", arrays)
    learned = {key: array for key, array in arrays.items() if not key.startswith("field.")}
    field = Field(column=entry["column"], null=entry["null"], **described)
    _check_field(field)
    column = MODELLED[entry["made"]].from_state(field, data_type, entry["settings"], learned)
    if isinstance(column, NumericColumn):
        _check_numeric(column)
    elif len(column.levels) + (column.rare is not None) + (field.null is not None) != field.size:
        _damaged()
    return column


def _check_field(field: Field) -> None:
    shapes = [array.shape for array in (field.positions, field.part_shares) if array is not None]
    wanted = (field.size, int(field.parts.max()))
    if any(shape != wanted for shape in shapes) or field.parts.shape != (field.size,):
        _damaged()
    if not all(
        np.isfinite(getattr(field, key)).all()
        for key in FIELD_ARRAYS
        if getattr(field, key) is not None
    ):
        _damaged()


def _check_numeric(column: NumericColumn) -> None:
    n_units = len(column.atoms) + column.layout.n_parts
    inside = column.unit_tokens.min() >= 0 and column.unit_tokens.max() < column.field.size
    if len(column.unit_tokens) != n_units or len(column.unit_parts) != n_units or not inside:
        _damaged()
    if not np.isfinite(column.edges).all() or (np.diff(column.edges) < 0).any():
        _damaged()


def _below(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    return {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}


def _damaged() -> NoReturn:
    raise ArtifactError(
        "the model file is damaged: what it says of the columns does not fit together",
        hint="copy it again from where it came, or fit again",
    )
