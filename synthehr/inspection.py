"""What a table or a model file holds, and whether any of it belongs to few patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import Artifact, load_any, read_metadata
from synthehr.encode.axis import combined, has_axis, to_axis
from synthehr.encode.categorical import CategoricalColumn
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.rare import holders
from synthehr.errors import ConfigError, InputError
from synthehr.io import Source, read
from synthehr.io.visits import read_visits
from synthehr.privacy.listing import ledger_text
from synthehr.schema.column import shown
from synthehr.schema.infer import infer
from synthehr.schema.listing import grid, schema_grid
from synthehr.split import patients_of

if TYPE_CHECKING:
    from synthehr.encode.sequence import SequenceEncoder
    from synthehr.encode.table import TableEncoder

_HEADER_STARTS = (b'{"', b"{ ")


@dataclass(frozen=True)
class Description:
    """What was found, for a person and for a script.

    Attributes
    ----------
    facts : dict
        JSON values.
    text : str
        The same as lines.
    next_step : str
        A command to go on with.
    """

    facts: dict[str, Any]
    text: str
    next_step: str


class Hit(NamedTuple):
    """A column of which the model file holds values that few patients hold.

    Attributes
    ----------
    column : str
        Name of the column.
    stored : str
        What part of the model file they are in.
    values : int
        How many there are.
    """

    column: str
    stored: str
    values: int

    def __str__(self) -> str:
        return f"{shown(self.column)}: {self.values} in {self.stored}"


def is_model(path: Path) -> bool:
    """Say whether a file looks like a model file: its header is JSON after eight bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(10)
    except OSError:
        return path.suffix == ".synthehr"
    return path.suffix == ".synthehr" or start[8:10] in _HEADER_STARTS


def describe_table(path: Path, source: Source, *, patient: str | None = None) -> Description:
    """List columns, what is believed about each, and null counts.

    Raises
    ------
    SynthehrError
        If the table cannot be read.
    """
    schema = infer(
        source.table,
        patient=patient,
        pandas_types=source.pandas_types,
        open_questions="keep",
    )
    nulls = {name: source.table[name].null_count for name in source.table.column_names}
    facts = {
        "records": source.table.num_rows,
        "columns": source.table.num_columns,
        "null_cells": nulls,
        "warnings": list(source.warnings),
        "schema": schema.to_json(),
    }
    lines = [
        f"{source.table.num_rows:,} records, {source.table.num_columns} columns, "
        f"{sum(nulls.values()):,} null cells",
        *(f"warning: {warning}" for warning in source.warnings),
        "",
        schema_grid(schema),
    ]
    return Description(facts, "\n".join(lines), f"synthehr fit {path}")


def describe_model(path: Path) -> Description:
    """List every text, every number and every tensor of a model file.

    Raises
    ------
    ArtifactError
        If it is no model file, or damaged.
    """
    artifact = load_any(path)
    content = read_metadata(path)
    columns = _column_facts(artifact.encoder)
    facts = {
        "model": content.content["model"],
        "record": content.content["record"],
        "schema": content.content["schema"],
        "columns": columns,
        "texts": [{"where": where, "text": text} for where, text in texts(content.content)],
        "tensors": {
            name: {"type": kind, "shape": list(shape)}
            for name, (kind, shape) in content.tensors.items()
        },
    }
    record = dict(facts["record"])
    spent = record.pop("privacy", None)
    lines = [
        *_lines("", {"model": facts["model"], "record": record}),
        *([] if spent is None else ["", ledger_text(spent)]),
        "",
        schema_grid(artifact.schema),
        "",
        grid(
            ("learned column", "made", "tokens", "null share", "values"),
            (
                (
                    shown(row["column"]),
                    row["made"],
                    str(row.get("tokens", "")),
                    f"{row['null_share']:.3f}" if "null_share" in row else "",
                    row["values"],
                )
                for row in columns
            ),
        ),
        "",
        grid(("text", "where"), ((shown(text), where) for where, text in texts(content.content))),
        "",
        grid(
            ("tensor", "type", "shape"),
            (
                (name, kind, "×".join(map(str, shape)))
                for name, (kind, shape) in content.tensors.items()
            ),
        ),
    ]
    return Description(facts, "\n".join(lines), f"synthehr sample {path} -o synthetic.parquet")


def search(model: Path, table: Any, *, patient: str | None = None) -> list[Hit]:
    """Search a model file for values of a table that fewer than k patients hold.

    Texts are searched in every text of the file, numbers in what the encoder keeps of
    their column; k is the one that the model was fitted with. A text that k patients hold in
    another column tells nothing where it stands, but among its own column's levels.

    Parameters
    ----------
    model : Path
        The model file.
    table : Path
        The table, such as the one that was fitted.
    patient : str, optional
        The column that names the patient; by default the one of the model's schema.

    Raises
    ------
    ConfigError
        If the model is differentially private.
    InputError
        If the table has none of the model's columns.
    """
    artifact = load_any(model)
    if artifact.record.get("privacy") is not None:
        raise ConfigError(
            "this model is differentially private: what it holds are noisy answers, and where they "
            "agree with a patient it is by chance",
            hint=f"its ledger says what it gives away: synthehr inspect {model}",
        )
    rows = _rows(artifact, table)
    names = [name for name in rows.column_names if name in artifact.schema]
    if not names:
        raise InputError(
            "the table has none of the columns that the model was fitted on",
            hint="give the table that was fitted",
        )
    who = patient or artifact.schema.patient
    owners = patients_of(rows, who if who in rows.column_names else None)
    k = artifact.record["encoding"]["rare_patients"]
    stored = {text for _, text in texts(read_metadata(model).content)}
    modelled = {column.field.column: column for column in artifact.encoder.columns}
    hits = []
    rare: dict[str, list[str]] = {}
    common: set[str] = set()
    for name in names:
        cells = combined(rows[name])
        column = modelled.get(name)
        if isinstance(column, NumericColumn) and has_axis(cells.type):
            found = int(np.isin(_rare_numbers(cells, owners, k), column.kept_values()).sum())
            hits += [Hit(name, "the encoder's numbers", found)] if found else []
        else:
            rare[name], held_by_many = _texts_by_holders(cells, owners, k)
            common |= set(held_by_many)
    for name, few in rare.items():
        column = modelled.get(name)
        own = set(map(str, column.levels)) if isinstance(column, CategoricalColumn) else set()
        found = sum(text in own or (text in stored and text not in common) for text in few)
        hits += [Hit(name, "the texts of the file", found)] if found else []
    return sorted(hits, key=lambda hit: names.index(hit.column))


def _rows(artifact: Any, table: Any) -> pa.Table:
    """Read a table as the encoder saw it: of visits, with gaps in the place of times."""
    if isinstance(artifact, Artifact):
        return read(table).table
    encoder = artifact.encoder
    columns = encoder.names
    visits = read_visits(table, patient=encoder.patient, time=encoder.time, known=columns)
    return encoder.with_steps(visits.table, visits.offsets())


def texts(content: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text of nested values with the place where it stands."""
    if isinstance(content, str):
        yield where, content
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from texts(value, f"{where}.{key}" if where else key)
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from texts(value, f"{where}[{place}]")


def _column_facts(encoder: TableEncoder | SequenceEncoder) -> list[dict[str, Any]]:
    from synthehr.modes.given import learned

    values = {column.field.column: learned(column) for column in encoder.columns}
    return [row | {"values": values.get(row["column"], "")} for row in encoder.describe()]


def _rare_numbers(
    cells: pa.Array, owners: NDArray[np.int64] | None, k: int
) -> NDArray[np.float64] | NDArray[np.int64]:
    values, valid = to_axis(cells, "")
    unique, groups = np.unique(values[valid], return_inverse=True)
    held = holders(groups, len(unique), None if owners is None else owners[valid])
    return unique[held < k]


def _texts_by_holders(
    cells: pa.Array, owners: NDArray[np.int64] | None, k: int
) -> tuple[list[str], list[str]]:
    """Split a column's texts into those that fewer than k patients hold, and the others."""
    encoded = cells.dictionary_encode()
    valid = encoded.is_valid().to_numpy(zero_copy_only=False)
    groups = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)[valid].astype(np.int64)
    found = [str(value) for value in encoded.dictionary.to_pylist()]
    held = holders(groups, len(found), None if owners is None else owners[valid])
    counted = list(zip(found, held, strict=True))
    few = [text for text, count in counted if count < k]
    return few, [text for text, count in counted if count >= k]


def _lines(where: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _lines(f"{where}.{key}" if where else str(key), inner)
    else:
        yield f"{where}: {value}"
