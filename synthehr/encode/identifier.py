"""Ids: never modelled, made up afresh with the type and the shape of the real ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.arrow_types import is_text
from synthehr.encode.axis import INT64, combined, compute, encoded, from_axis, has_axis
from synthehr.encode.rare import holders

UUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
SURROGATES = {"email": ("user", "@example.org"), "name": ("person-", ""), "phone": ("000-", "")}
SURROGATE_WIDTH = 6
Shape = Literal["number", "text", "uuid", "null"]


class Rows(NamedTuple):
    """The records for which ids are made up.

    Attributes
    ----------
    numbers : ndarray of shape (n,)
        Number of each record, from 1.
    patients : ndarray of shape (n,)
        Number of each record's patient, from 1.
    rng : Generator
        Source of randomness of uuids.
    """

    numbers: NDArray[np.int64]
    patients: NDArray[np.int64]
    rng: np.random.Generator


@final
@dataclass(frozen=True)
class IdColumn:
    """How the ids of one column look.

    Attributes
    ----------
    name : str
        Name of the column.
    data_type : DataType
        Arrow type of the column.
    shape : {"number", "text", "uuid", "null"}
        A number, a text around a number, a random uuid, or nothing.
    prefix, suffix : str
        Text around the number.
    width : int
        Digits that the number is filled up to with zeros.
    by_patient : bool
        Whether all records of a patient share one id.
    """

    name: str
    data_type: pa.DataType
    shape: Shape
    prefix: str = ""
    suffix: str = ""
    width: int = 0
    by_patient: bool = False

    def generate(self, rows: Rows) -> pa.Array:
        """Make up ids; shape (n,)."""
        numbers = rows.patients if self.by_patient else rows.numbers
        if self.shape == "null":
            return pa.nulls(len(numbers), self.data_type)
        if pa.types.is_dictionary(self.data_type):
            return self._as_dictionary(numbers, rows.rng)
        return self._plain(numbers, self.data_type, rows.rng)

    def _as_dictionary(self, numbers: NDArray[np.int64], rng: np.random.Generator) -> pa.Array:
        # NOTE: the index type too can count so many.
        capacity = np.iinfo(self.data_type.index_type.to_pandas_dtype()).max
        distinct, indices = np.unique((numbers - 1) % capacity + 1, return_inverse=True)
        values = self._plain(distinct, self.data_type.value_type, rng)
        index = pa.array(indices.reshape(-1), self.data_type.index_type)
        return pa.DictionaryArray.from_arrays(index, values, ordered=self.data_type.ordered)

    def _plain(
        self, numbers: NDArray[np.int64], data_type: pa.DataType, rng: np.random.Generator
    ) -> pa.Array:
        if self.shape == "uuid":
            distinct, indices = np.unique(numbers, return_inverse=True)
            return pa.array(_uuids(len(distinct), rng)[indices.reshape(-1)], data_type)
        if self.shape == "number":
            if pa.types.is_integer(data_type):
                # NOTE: more ids than the type can count start again from the first.
                most = min(np.iinfo(data_type.to_pandas_dtype()).max, INT64.max)
                numbers = (numbers - 1) % most + 1
            return from_axis(numbers, np.full(len(numbers), True), data_type)
        digits = pa.array(numbers).cast(pa.string())
        if self.width:
            digits = compute.utf8_lpad(digits, self.width, "0")
        text = compute.binary_join_element_wise(self.prefix, digits, self.suffix, "")
        return text.cast(data_type)

    def describe(self) -> dict[str, Any]:
        """Say what ids look like."""
        return {"shape": self.shape, "width": self.width, "by_patient": self.by_patient}

    def state(self) -> dict[str, Any]:
        """Give everything but name and type, JSON-ready."""
        return {
            "shape": self.shape,
            "prefix": self.prefix,
            "suffix": self.suffix,
            "width": self.width,
            "by_patient": self.by_patient,
        }

    @classmethod
    def from_state(cls, name: str, data_type: pa.DataType, settings: Mapping[str, Any]) -> IdColumn:
        """Rebuild a column from what `state` gave."""
        return cls(name, data_type, **settings)


def fit_identifier(
    name: str,
    column: pa.ChunkedArray,
    patients: NDArray[np.int64] | None,
    *,
    identifier: str | None,
    is_patient: bool,
    k: int,
) -> IdColumn:
    """Learn the shape of a column's ids, and nothing of the ids.

    Parameters
    ----------
    identifier : str or None
        What kind of direct identifier is to be replaced, such as "email".
    is_patient : bool
        Whether the column says whose record it is.
    k : int
        A prefix or a width is kept where all of at least this many patients share it.
    """
    data_type = column.type
    values = combined(column)
    by_patient = is_patient or _same_within(column, patients)
    value_type = values.type
    if not is_text(value_type):
        shape = "number" if has_axis(value_type) and not _is_time(value_type) else "null"
        return IdColumn(name, data_type, shape, by_patient=by_patient)
    if identifier in SURROGATES:
        prefix, suffix = SURROGATES[identifier]
        return IdColumn(name, data_type, "text", prefix, suffix, SURROGATE_WIDTH, by_patient)
    present = values.drop_null()
    n_patients = len(present)
    if patients is not None:
        n_patients = len(np.unique(patients[values.is_valid().to_numpy(zero_copy_only=False)]))
    if n_patients < k:
        return IdColumn(name, data_type, "text", by_patient=by_patient)
    if compute.all(compute.match_substring_regex(present, UUID)).as_py():
        return IdColumn(name, data_type, "uuid", by_patient=by_patient)
    ends = compute.min_max(present.cast(pa.string()))
    prefix = _shared(ends["min"].as_py(), ends["max"].as_py()).rstrip("0123456789")
    lengths = compute.min_max(compute.utf8_length(present))
    shortest, longest = lengths["min"].as_py(), lengths["max"].as_py()
    width = longest - len(prefix) if shortest == longest else 0
    if width < 0 or shortest <= len(prefix):
        prefix, width = "", 0
    return IdColumn(name, data_type, "text", prefix, "", width, by_patient)


def _shared(first: str, last: str) -> str:
    """Find how two texts, and all that are sorted between them, begin."""
    same = (a == b for a, b in zip(first, last, strict=False))
    return first[: next((at for at, equal in enumerate(same) if not equal), len(first))]


def _is_time(data_type: pa.DataType) -> bool:
    return pa.types.is_temporal(data_type)


def _same_within(column: pa.ChunkedArray, patients: NDArray[np.int64] | None) -> bool:
    """Say whether each patient has one id in all records, and some patient has several."""
    if patients is None or column.null_count:
        return False
    array = encoded(column)
    n_patients = len(np.unique(patients))
    indices = array.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = holders(indices, len(array.dictionary), patients)
    return n_patients < len(column) and int(pairs.sum()) == n_patients


def _uuids(n: int, rng: np.random.Generator) -> NDArray[np.str_]:
    """Draw random uuids (version 4); shape (n,)."""
    raw = np.frombuffer(rng.bytes(16 * n), np.uint8).reshape(n, 16).copy()
    raw[:, 6] = raw[:, 6] & 0x0F | 0x40
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(raw.tobytes().hex().encode(), "S1").reshape(n, 32)
    text = np.full((n, 36), b"-", dtype="S1")
    text[:, np.delete(np.arange(36), [8, 13, 18, 23])] = digits
    return text.reshape(-1).view("S36").astype(str)
