"""The encoder over arbitrary tables: types, order, state, and what may never be stored."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from synthehr.encode.axis import to_axis, value_type
from synthehr.encode.config import EncodeConfig
from synthehr.encode.numeric import NumericColumn
from synthehr.encode.rare import patient_codes
from synthehr.encode.table import TableEncoder
from synthehr.errors import ArtifactError, ConditionError, ConfigError, SchemaError
from tests.strategies import Drawn, tables

some = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def fit(drawn: Drawn, **changes: object) -> TableEncoder:
    return TableEncoder.fit(
        drawn.table,
        drawn.schema,
        patients=drawn.patients,
        config=EncodeConfig(**changes),
        rng=np.random.default_rng(0),
    )


def any_codes(encoder: TableEncoder, n: int, seed: int) -> NDArray[np.int16]:
    """Any codes that a model may draw."""
    rng = np.random.default_rng(seed)
    codes = np.zeros((n, 2, len(encoder.fields)), dtype=np.int16)
    for place, field in enumerate(encoder.fields):
        codes[:, 0, place] = rng.integers(0, field.size, n)
        codes[:, 1, place] = rng.integers(0, field.parts[codes[:, 0, place]])
    return codes


@some
@given(tables(), st.sampled_from([1, 3, 10]), st.sampled_from(["draw", "mark"]))
def test_any_codes_give_the_fitted_columns_and_types(drawn: Drawn, k: int, rare: str) -> None:
    encoder = fit(drawn, rare_patients=k, rare=rare)
    kept = [column.name for column in drawn.schema.columns if column.role != "drop"]

    result = encoder.decode(any_codes(encoder, 50, 1), np.random.default_rng(2))

    assert result.column_names == kept
    assert result.num_rows == 50
    for name in kept:
        assert result.schema.field(name).type == drawn.table.schema.field(name).type
    result.validate(full=True)


@some
@given(tables(), st.sampled_from([1, 3, 10]))
def test_fields_describe_the_codes(drawn: Drawn, k: int) -> None:
    encoder = fit(drawn, rare_patients=k)
    codes = encoder.encode(drawn.table)

    assert codes.shape == (drawn.table.num_rows, 2, len(encoder.fields))
    assert codes.dtype == np.int16
    for place, field in enumerate(encoder.fields):
        tokens, parts = codes[:, :, place].T
        shares = np.bincount(tokens, minlength=field.size) / len(tokens)
        np.testing.assert_allclose(field.shares, shares, atol=1e-12)
        assert (parts < field.parts[tokens]).all()
        if field.positions is not None:
            assert field.positions.shape == (field.size, field.parts.max())
            first = 0 if field.null is None else 1
            assert (np.diff(field.positions[first:, 0]) >= -1e-12).all() or field.has_parts
            assert ((field.positions > 0) & (field.positions < 1)).all()
        if field.part_shares is not None:
            np.testing.assert_allclose(field.part_shares.sum(axis=1), 1)
            beyond = np.arange(field.part_shares.shape[1]) >= field.parts[:, None]
            assert (field.part_shares[beyond] == 0).all()


@some
@given(tables(), st.sampled_from([1, 3, 10]))
def test_decoded_cells_stay_where_they_were(drawn: Drawn, k: int) -> None:
    encoder = fit(drawn, rare_patients=k)
    codes = encoder.encode(drawn.table)

    again = encoder.encode(encoder.decode(codes, np.random.default_rng(3)))

    for place, column in enumerate(encoder.columns):
        same = (codes[:, :, place] == again[:, :, place]).all(axis=1)
        if isinstance(column, NumericColumn):
            # Parts of neighbouring floats may be narrower than the column's own type.
            assert same.all() or column.layout.grid is None
        else:
            is_pooled = codes[:, 0, place] == column.field.size - 1
            assert (same | (is_pooled & (column.rare is not None))).all()


@some
@given(tables())
def test_nulls_come_only_where_they_were_learned(drawn: Drawn) -> None:
    encoder = fit(drawn, rare_patients=2)
    result = encoder.decode(any_codes(encoder, 80, 4), np.random.default_rng(5))
    for column in encoder.columns:
        name = column.field.column
        missing = drawn.table[name].null_count
        if pa.types.is_floating(value_type(column.data_type)):
            missing += int((~to_axis(drawn.table[name].combine_chunks(), "").valid).sum())
        assert missing or not result[name].null_count


@some
@given(tables(), st.sampled_from([2, 5, 10]))
def test_what_is_stored_is_held_by_enough_patients_or_by_none(drawn: Drawn, k: int) -> None:
    encoder = fit(drawn, rare_patients=k)
    n = drawn.table.num_rows
    owners = np.arange(n) if drawn.patients is None else patient_codes(drawn.patients)
    for name, column in encoder.plan.items():
        if not hasattr(column, "kept_values"):
            continue
        cells = drawn.table[name]
        if isinstance(column, NumericColumn):
            plain = cells.cast(value_type(cells.type)).combine_chunks()
            axis = to_axis(plain, name)
            stored, values, valid = column.kept_values(), axis.values, axis.valid
        else:
            stored = column.kept_values().to_pylist()
            values = np.array([repr(cell) for cell in cells.to_pylist()])
            stored = [repr(level) for level in stored]
            valid = cells.is_valid().to_numpy()
        for value in stored:
            holders = len(set(owners[valid & (values == value)].tolist()))
            assert holders == 0 or holders >= k


@some
@given(tables(), st.sampled_from([1, 10]))
def test_state_is_an_exact_inverse(drawn: Drawn, k: int) -> None:
    encoder = fit(drawn, rare_patients=k)
    content, arrays = encoder.state()

    again = TableEncoder.from_state(json.loads(json.dumps(content)), arrays)

    codes = any_codes(encoder, 60, 6)
    left = encoder.decode(codes, np.random.default_rng(7))
    right = again.decode(codes, np.random.default_rng(7))
    assert left.schema == right.schema
    assert left.to_pylist().__repr__() == right.to_pylist().__repr__()
    np.testing.assert_array_equal(encoder.encode(drawn.table), again.encode(drawn.table))
    assert again.describe() == encoder.describe()
    assert again.notes == encoder.notes


def test_a_damaged_state_is_refused() -> None:
    encoder = fit_columns(x=pa.array(np.random.default_rng(0).normal(size=500)))
    content, arrays = encoder.state()
    for key in arrays:
        broken = dict(arrays)
        del broken[key]
        with pytest.raises(ArtifactError):
            TableEncoder.from_state(content, broken)
    with pytest.raises(ArtifactError):
        TableEncoder.from_state(content, arrays | {"0.unit_tokens": arrays["0.unit_tokens"] + 999})
    with pytest.raises(ArtifactError):
        TableEncoder.from_state({"columns": [{}], "notes": []}, arrays)


def fit_columns(**columns: pa.Array) -> TableEncoder:
    from synthehr.schema.infer import infer

    table = pa.table(columns)
    schema = infer(table)
    return TableEncoder.fit(
        table, schema, patients=None, config=EncodeConfig(), rng=np.random.default_rng(0)
    )


def test_same_seed_same_table_and_other_seed_another() -> None:
    encoder = fit_columns(x=pa.array(np.random.default_rng(0).normal(size=500)))
    codes = any_codes(encoder, 100, 8)
    one, two, three = (encoder.decode(codes, np.random.default_rng(s)) for s in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(three)


def test_records_of_another_table_are_encoded_in_its_own_unit() -> None:
    times = np.arange(500).astype("datetime64[s]")
    encoder = fit_columns(t=pa.array(times, pa.timestamp("s")))
    other = pa.table({"t": pa.array(times, pa.timestamp("ms"))})
    expected = encoder.encode(pa.table({"t": pa.array(times, pa.timestamp("s"))}))
    np.testing.assert_array_equal(encoder.encode(other), expected)


def test_a_column_of_another_type_is_refused_without_its_values() -> None:
    encoder = fit_columns(x=pa.array(np.arange(500) % 50))
    with pytest.raises(SchemaError) as raised:
        encoder.encode(pa.table({"x": ["secret"] * 3}))
    assert "secret" not in str(raised.value)


def test_free_text_is_refused_by_name() -> None:
    from synthehr.schema.column import Column
    from synthehr.schema.table import Schema

    table = pa.table({"note": ["he fell"] * 20})
    schema = Schema((Column(name="note", kind="text", arrow_type="string"),))
    with pytest.raises(SchemaError, match="note"):
        TableEncoder.fit(
            table, schema, patients=None, config=EncodeConfig(), rng=np.random.default_rng(0)
        )


def test_constants_come_back_and_are_not_modelled() -> None:
    encoder = fit_columns(
        site=pa.array(["north"] * 100),
        year=pa.array([2020] * 100, pa.int16()),
        gone=pa.nulls(100),
        x=pa.array(np.arange(100) % 4),
    )
    result = encoder.decode(any_codes(encoder, 30, 9), np.random.default_rng(0))
    assert encoder.modelled == ("x",)
    assert set(result["site"].to_pylist()) == {"north"}
    assert set(result["year"].to_pylist()) == {2020}
    assert result["gone"].null_count == 30


def test_a_constant_of_few_patients_is_suppressed_and_noted() -> None:
    encoder = fit_columns(site=pa.array(["Oakham"] + [None] * 99), x=pa.array(np.arange(100) % 4))
    result = encoder.decode(any_codes(encoder, 30, 9), np.random.default_rng(0))
    assert result["site"].null_count == 30
    assert len(encoder.notes) == 1
    assert "site" in encoder.notes[0]
    assert "Oakham" not in encoder.notes[0]


def test_conditions_name_modelled_columns() -> None:
    encoder = fit_columns(
        sex=pa.array(["F", "M"] * 50), x=pa.array(np.arange(100) % 4), gone=pa.nulls(100)
    )
    assert encoder.field_index("x") == 1
    token = encoder.token_of("sex", "M")
    np.testing.assert_array_equal(
        np.flatnonzero(encoder.allowed("sex", values=["M"])[:, 0]), [token]
    )
    with pytest.raises(ConditionError, match="gone"):
        encoder.field_index("gone")


@pytest.mark.parametrize(
    "wrong",
    [{"rare_patients": 0}, {"bins": 0}, {"parts": 5000}, {"rare": "keep"}, {"max_tokens": 10**6}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        EncodeConfig(**wrong)
