"""Ids and patients: made up afresh, unique, and of the shape of the real ones."""

from __future__ import annotations

import re
import uuid

import numpy as np
import pyarrow as pa
import pytest

from synthehr.encode.config import EncodeConfig
from synthehr.encode.table import TableEncoder
from synthehr.encode.visits import fit_visits
from synthehr.schema.column import Column
from synthehr.schema.table import Schema

N = 300
PATIENTS = np.repeat(np.arange(100), 3)


def made_up(
    array: pa.Array, n: int = 500, *, first: int = 0, patients: object = None, **column: object
) -> list[object]:
    """Fit a table of one id column, and give ids for n records."""
    described = Column(name="x", kind="id", arrow_type=str(array.type), **column)
    encoder = TableEncoder.fit(
        pa.table({"x": array}),
        Schema((described,)),
        patients=patients,
        config=EncodeConfig(),
        rng=np.random.default_rng(0),
    )
    assert encoder.modelled == ()
    codes = np.zeros((n, 2, 0), dtype=np.int16)
    result = encoder.decode(codes, np.random.default_rng(1), first=first)
    assert result["x"].type == array.type
    return result["x"].to_pylist()


@pytest.mark.parametrize(
    "data_type", [pa.int16(), pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(20, 0)], ids=str
)
def test_numbers_count_from_one(data_type: pa.DataType) -> None:
    ids = made_up(pa.array(np.arange(N) + 7000).cast(data_type))
    assert [int(each) for each in ids] == list(range(1, 501))


def test_blocks_go_on_counting() -> None:
    array = pa.array(np.arange(N))
    assert made_up(array, 10, first=4096)[0] == 4097


def test_a_shared_prefix_and_width_are_kept() -> None:
    ids = made_up(pa.array([f"MRN-{70_000 + at:08d}" for at in range(N)]))
    assert ids[:2] == ["MRN-00000001", "MRN-00000002"]
    assert len(set(ids)) == 500


def test_a_prefix_of_few_is_not_kept() -> None:
    ids = made_up(pa.array([f"SMITH{at}" for at in range(5)]))
    assert not any("SMITH" in each for each in ids)


def test_texts_without_a_pattern_become_numbers() -> None:
    assert made_up(pa.array(["Anna", "Bertram", "Chloe"] * 100), 3) == ["1", "2", "3"]


def test_uuids_are_fresh_uuids() -> None:
    real = [str(uuid.UUID(int=at)) for at in range(N)]
    ids = made_up(pa.array(real))
    assert len(set(ids)) == 500
    assert not set(ids) & set(real)
    assert all(uuid.UUID(each).version == 4 for each in ids)


def test_a_dictionary_of_ids_keeps_its_type() -> None:
    array = pa.array([f"a{at}" for at in range(100)] * 3).dictionary_encode()
    array = array.cast(pa.dictionary(pa.int8(), pa.string()))
    assert len(set(made_up(array, 100))) == 100


@pytest.mark.parametrize(
    ("identifier", "shape"),
    [
        ("email", r"user\d{6}@example\.org"),
        ("name", r"person-\d{6}"),
        ("phone", r"000-\d{6}"),
        ("mrn", r"[A-Za-z]*\d+"),
    ],
)
def test_surrogates_keep_the_shape(identifier: str, shape: str) -> None:
    array = pa.array([f"M{at:05d}" for at in range(N)])
    ids = made_up(array, identifier=identifier, pii="surrogate")
    assert all(re.fullmatch(shape, each) for each in ids)
    assert len(set(ids)) == 500


def test_ids_that_belong_to_the_patient_follow_the_patient() -> None:
    table = pa.table(
        {
            "patient": [f"P{at}" for at in PATIENTS],
            "mrn": [f"M{at:04d}" for at in PATIENTS],
            "visit": np.arange(N),
        }
    )
    schema = Schema(
        (
            Column(name="patient", kind="id", role="patient", arrow_type="string"),
            Column(name="mrn", kind="id", arrow_type="string"),
            Column(name="visit", kind="id", arrow_type="int64"),
        )
    )
    encoder = TableEncoder.fit(
        table, schema, patients=PATIENTS, config=EncodeConfig(), rng=np.random.default_rng(0)
    )
    codes = np.zeros((90, 2, 0), dtype=np.int16)
    result = encoder.decode(codes, np.random.default_rng(0), first=90)
    pairs = set(zip(result["patient"].to_pylist(), result["mrn"].to_pylist(), strict=True))
    assert len(pairs) == 30
    assert len({patient for patient, _ in pairs}) == 30
    assert result["visit"].to_pylist() == list(range(91, 181))


def test_patients_have_as_many_records_as_real_ones() -> None:
    patients = np.repeat(np.arange(300), np.repeat([1, 2, 5], 100))
    dealt = fit_visits(patients, 10).draw(30_000, np.random.default_rng(0))
    sizes, counts = np.unique(np.unique(dealt, return_counts=True)[1], return_counts=True)
    assert sizes[:3].tolist() == [1, 2, 5]
    np.testing.assert_allclose(counts[:3] / counts.sum(), 1 / 3, atol=0.02)


def test_a_number_of_records_of_few_patients_is_not_learned() -> None:
    patients = np.append(np.arange(200), np.full(137, 200))
    visits = fit_visits(patients, 10)
    assert visits.sizes.tolist() == [1]
