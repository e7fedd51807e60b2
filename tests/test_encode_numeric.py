"""Numeric columns: atoms, grids, parts, and draws within them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from synthehr.encode.axis import from_axis, to_axis
from synthehr.encode.config import EncodeConfig
from synthehr.encode.grid import shortened
from synthehr.encode.numeric import NumericColumn, fit_numeric
from synthehr.errors import SchemaError
from tests.strategies import NUMERIC_TYPES, SHAPES, filled

RNG = np.random.default_rng


def fitted(
    values: object, data_type: pa.DataType | None = None, **changes: object
) -> NumericColumn:
    array = pa.array(values, data_type)
    column = fit_numeric("x", array, None, EncodeConfig(**changes))
    assert column is not None
    return column


def again(column: NumericColumn, values: object, data_type: pa.DataType | None = None) -> pa.Array:
    """Encode and decode."""
    tokens, parts = column.encode(pa.array(values, data_type))
    return column.decode(tokens, parts, RNG(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("data_type", NUMERIC_TYPES, ids=str)
def test_axis_is_exact(data_type: pa.DataType, shape: str) -> None:
    if pa.types.is_uint64(data_type) and shape in ("spread", "many", "extreme"):
        pytest.skip("unsigned integers beyond 2**62 lie on the axis by fours")
    array = filled(data_type, 200, shape, 0.2, RNG(3))
    axis = to_axis(array, "x")
    back = from_axis(axis.values, axis.valid, data_type)
    assert back.type == data_type
    assert back.to_pylist() == array.to_pylist()


def test_unsigned_integers_keep_their_order_and_their_ends() -> None:
    numbers = [0, 2**62 - 1, 2**62, 2**63, 2**64 - 5, 2**64 - 1]
    axis = to_axis(pa.array(numbers, pa.uint64()), "x").values
    assert (np.diff(axis) >= 0).all()
    back = from_axis(axis, np.full(6, True), pa.uint64()).to_pylist()
    assert back[0:2] == numbers[0:2]
    assert back[-1] == numbers[-1]
    assert all(abs(one - two) < 4 for one, two in zip(back, numbers, strict=True))


def test_text_has_no_axis() -> None:
    with pytest.raises(SchemaError, match="column x"):
        to_axis(pa.array(["1"]), "x")


def test_few_values_are_tokens_in_ascending_order() -> None:
    column = fitted(np.repeat([5, 1, 9], [20, 30, 50]))
    tokens, parts = column.encode(pa.array([1, 5, 9]))
    assert tokens.tolist() == [0, 1, 2]
    assert not parts.any()
    assert not column.field.has_parts
    np.testing.assert_allclose(column.field.shares, [0.3, 0.2, 0.5])
    assert column.field.positions is not None
    np.testing.assert_allclose(column.field.positions[:, 0], [0.15, 0.4, 0.75])


def test_repeated_values_are_tokens_beside_bins() -> None:
    rng = RNG(0)
    values = np.where(rng.random(5000) < 0.7, 0.0, rng.lognormal(size=5000))
    column = fitted(values)
    token = column.token_of(0.0)
    assert token == 0
    assert abs(column.field.shares[token] - 0.7) < 0.03
    decoded = again(column, values).to_numpy()
    np.testing.assert_array_equal(decoded == 0, values == 0)


def test_null_is_token_zero_and_comes_back() -> None:
    values = [None if at % 4 == 0 else at % 3 for at in range(200)]
    column = fitted(values)
    assert column.field.null == 0
    assert column.field.shares[0] == 0.25
    assert again(column, values).to_pylist() == values


def test_nan_and_infinity_count_as_null() -> None:
    column = fitted([1.0, 2.0, float("nan"), float("inf")] * 20)
    assert column.field.shares[0] == 0.5


@pytest.mark.parametrize("digits", [0, 1, 2, 3])
@pytest.mark.parametrize("float_type", [np.float32, np.float64])
def test_decimals_come_back_bit_for_bit(digits: int, float_type: type) -> None:
    values = np.round(RNG(0).normal(50, 9, 20_000), digits).astype(float_type)
    column = fitted(values)
    assert column.layout.grid is not None
    assert column.layout.grid.digits == digits
    drawn = np.round(again(column, values).to_numpy().astype(float), digits)
    np.testing.assert_array_equal(again(column, values).to_numpy(), drawn.astype(float_type))


def test_large_steps_come_back() -> None:
    values = RNG(0).integers(1, 900, 20_000) * 10_000
    column = fitted(values)
    decoded = again(column, values).to_numpy()
    assert (decoded % 10_000 == 0).all()
    assert len(np.unique(decoded)) > 500


def test_days_in_a_timestamp_stay_days() -> None:
    days = np.datetime64("2019-01-01") + RNG(0).integers(0, 3000, 5000).astype("timedelta64[D]")
    column = fitted(pa.array(days.astype("datetime64[us]")))
    decoded = again(column, pa.array(days.astype("datetime64[us]")))
    assert all(moment.time() == dt.time(0) for moment in decoded.to_pylist())


def test_a_shifted_grid_comes_back() -> None:
    values = RNG(0).integers(0, 3000, 5000) * 7 + 3
    assert (again(fitted(values), values).to_numpy() % 7 == 3).all()


@pytest.mark.parametrize("bits", [13, 21, 24])
def test_shortened_decimals_come_back_bit_for_bit(bits: int) -> None:
    values = shortened(RNG(0).integers(1, 900, 20_000) / 10, bits)
    column = fitted(values)
    assert np.isin(again(column, values).to_numpy(), np.unique(values)).all()


def test_few_values_beside_the_grid_move_onto_it() -> None:
    values = RNG(0).integers(0, 3000, 5000).astype(float)
    values[:3] += 0.4321
    column = fitted(values)
    assert (again(column, values).to_numpy() % 1 == 0).all()
    assert not np.isin(column.edges, values).any()


def test_values_beside_the_grid_are_no_edges() -> None:
    values = RNG(0).integers(0, 3000, 5000).astype(float)
    edges = fitted(values).edges
    some = np.append(values, edges[5:15])
    assert not np.isin(fitted(some).edges, some).any()


def test_many_values_beside_the_grid_keep_it_away() -> None:
    values = RNG(0).integers(0, 3000, 5000).astype(float)
    values[:500] += RNG(1).random(500)
    assert (again(fitted(values), values).to_numpy() % 1 != 0).any()


def test_a_common_divisor_of_few_values_is_not_learned() -> None:
    # 7919 is one patient's value, and the divisor of all.
    column = fitted([0] * 500 + [7919] * 5 + [2 * 7919] * 20 + [3 * 7919] * 5)
    assert column.layout.grid is None or column.layout.grid.step != 7919


def test_atoms_are_never_drawn_from_bins() -> None:
    rng = RNG(0)
    values = rng.integers(0, 2000, 20_000)
    values[rng.random(20_000) < 0.3] = 1000
    column = fitted(values)
    tokens, parts = column.encode(pa.array(values))
    decoded = column.decode(tokens, parts, RNG(2)).to_numpy()
    np.testing.assert_array_equal(decoded == 1000, values == 1000)


@pytest.mark.parametrize("n", [40, 300, 5000, 50_000])
@pytest.mark.parametrize("k", [5, 10])
@pytest.mark.parametrize("extremes", ["trim", "mean"])
def test_every_part_is_held_by_enough_records(n: int, k: int, extremes: str) -> None:
    column = fitted(RNG(0).normal(size=n), rare_patients=k, extremes=extremes)
    tokens, parts = column.encode(pa.array(RNG(0).normal(size=n)))
    counts = np.unique(np.stack([tokens, parts]), axis=1, return_counts=True)[1]
    assert counts.min() >= k
    assert len(counts) == column.field.parts.sum() <= n // k
    assert column.field.size <= 64
    assert column.field.parts.max() <= 32
    if n == 50_000:
        assert column.field.parts.sum() == 2048


def test_parts_count_patients_and_not_records() -> None:
    patients = np.repeat(np.arange(300), np.repeat([1, 5, 60], 100))
    values = RNG(0).normal(size=len(patients)) + patients  # each patient has values of their own
    column = fit_numeric("x", pa.array(values), patients, EncodeConfig())
    assert column is not None
    tokens, parts = column.encode(pa.array(values))
    for token, part in np.unique(np.stack([tokens, parts]), axis=1).T:
        assert len(np.unique(patients[(tokens == token) & (parts == part)])) >= 10


def test_a_value_of_many_records_of_one_patient_is_no_atom() -> None:
    patients = np.append(np.zeros(500, int), np.arange(1, 501))
    values = np.append(np.full(500, 77.7), RNG(0).normal(size=500))
    column = fit_numeric("x", pa.array(values), patients, EncodeConfig())
    assert column is not None
    assert not len(column.atoms)
    assert not np.isin(77.7, column.kept_values())


@pytest.mark.parametrize("gridded", [False, True])
def test_nothing_lies_beyond_the_kth_patient(gridded: bool) -> None:
    values = np.round(RNG(0).exponential(10, size=5000), 2 if gridded else 15)
    column = fitted(values)
    decoded = again(column, np.repeat(values, 20)).to_numpy()
    ordered = np.sort(values)
    assert ordered[9] <= decoded.min() < ordered[12]
    assert ordered[-13] < decoded.max() <= ordered[-10]
    values[values.argmax()] *= 100
    np.testing.assert_array_equal(fitted(values).edges, column.edges)


@pytest.mark.parametrize("many", [9, 10])
def test_a_column_ends_at_a_value_that_enough_patients_hold(many: int) -> None:
    values = np.append(RNG(0).normal(size=5000), np.full(many, 12.3456789))
    assert (fitted(values).edges[-1] == 12.3456789) == (many == 10)


def test_patients_of_many_records_are_one_extreme_each() -> None:
    patients = np.append(np.repeat(np.arange(9), 50), np.arange(9, 509))
    values = np.append(100 + RNG(1).random(450), RNG(0).normal(size=500))
    column = fit_numeric("x", pa.array(values), patients, EncodeConfig())
    assert column is not None
    assert column.edges[-1] <= values[450:].max()


@pytest.mark.parametrize("gridded", [False, True])
def test_extremes_have_the_mean_and_the_reach_of_real_ones(gridded: bool) -> None:
    values = RNG(0).exponential(10, size=5000)
    values = np.round(values, 2) if gridded else values
    decoded = again(fitted(values, extremes="mean"), np.repeat(values, 20)).to_numpy()
    ten = np.sort(values)[-10:]
    assert np.sort(decoded)[-200:].mean() == pytest.approx(ten.mean(), rel=0.05)
    assert decoded.max() == pytest.approx(values.max(), rel=0.15)
    assert decoded.min() >= 0


@pytest.mark.parametrize("gridded", [False, True])
def test_one_patient_does_not_decide_how_far_a_column_reaches(gridded: bool) -> None:
    values = np.round(RNG(0).exponential(10, size=5000), 2 if gridded else 15)
    values = np.append(values, values.max() * 10)
    edges = fitted(values, extremes="mean").edges
    values[-1] *= 100
    np.testing.assert_array_equal(fitted(values, extremes="mean").edges, edges)
    assert edges[-1] < values[:-1].max() * 2


def test_a_patient_of_many_records_counts_once_in_the_mean() -> None:
    patients = np.append(np.zeros(500, int), np.arange(1, 501))
    values = np.append(100 + RNG(1).random(500), RNG(0).normal(size=500))
    column = fit_numeric("x", pa.array(values), patients, EncodeConfig(extremes="mean"))
    assert column is not None
    assert column.edges[-1] < 10


def test_no_extreme_lies_beyond_zero_nor_beyond_a_bound_that_many_reach() -> None:
    values = np.minimum(RNG(0).exponential(5, 5000), 20.0)
    decoded = again(fitted(values, extremes="mean"), np.repeat(values, 20)).to_numpy()
    assert 0 <= decoded.min() < decoded.max() == 20


def test_no_date_lies_after_the_last() -> None:
    days = RNG(0).integers(18_000, 20_500, 5000)
    data_type = pa.date32()
    dates = pa.array(days.astype(np.int32)).cast(data_type).to_pylist()
    column = fitted(dates, data_type, extremes="mean")
    assert column.edges[0] >= days.min() - 1
    assert column.edges[-1] <= days.max() + 1


@pytest.mark.parametrize("extremes", ["trim", "mean"])
def test_edges_lie_between_values(extremes: str) -> None:
    for values in (RNG(0).normal(size=3000), RNG(0).integers(0, 800, 3000)):
        column = fitted(values, extremes=extremes)
        assert len(column.edges) > 20
        assert not np.isin(column.edges, values).any()


def test_edges_are_no_values_of_records_that_were_not_fitted() -> None:
    values = np.round(RNG(0).exponential(1e-4, 40_000), 7)
    edges = fitted(values[::2], atom_share=0.9, discrete_values=1).edges[1:-1]
    assert len(edges) > 20
    assert not np.isin(edges, np.round(edges, 8)).any()


def test_positions_are_mean_ranks_and_ascend() -> None:
    values = np.append(RNG(0).normal(size=9000), np.zeros(1000))
    field = fitted(values).field
    assert field.positions is not None
    assert field.part_shares is not None
    ranks = (field.positions * field.part_shares).sum(axis=1) @ field.shares
    assert abs(ranks - 0.5) < 1e-9
    inside = [row[:width] for row, width in zip(field.positions, field.parts, strict=True)]
    assert all((np.diff(row) > 0).all() for row in inside)
    assert (np.diff([row.mean() for row in inside]) > 0).all()


def test_the_distribution_comes_back() -> None:
    values = RNG(0).lognormal(size=20_000)
    decoded = again(fitted(values), values).to_numpy()
    shares = np.linspace(0.01, 0.99, 99)
    np.testing.assert_allclose(np.quantile(decoded, shares), np.quantile(values, shares), rtol=0.02)


def test_significant_digits_are_kept() -> None:
    values = np.array([float(f"{value:.3g}") for value in RNG(0).lognormal(-9, 3, 5000)])
    decoded = again(fitted(values), values).to_numpy()
    assert np.mean([value == float(f"{value:.3g}") for value in decoded]) > 0.98


def test_integers_beyond_floats_are_exact_where_they_are_tokens() -> None:
    numbers = [2**60 + 1, 2**60 + 2, 2**60 + 3] * 20
    assert again(fitted(numbers), numbers).to_pylist() == numbers


def test_decimals_keep_their_scale() -> None:
    data_type = pa.decimal128(38, 9)
    money = [Decimal(int(cents)).scaleb(-2) for cents in RNG(0).integers(0, 10**7, 3000)]
    decoded = again(fitted(money, data_type), money, data_type)
    assert decoded.type == data_type
    assert all(value == round(value, 2) for value in decoded.to_pylist())


def test_decimals_of_many_digits_are_refused_without_a_value() -> None:
    with pytest.raises(SchemaError) as raised:
        fitted([Decimal(10) ** 30] * 20, pa.decimal128(38, 0))
    assert "000000" not in str(raised.value)


@pytest.mark.parametrize("extremes", ["trim", "mean"])
def test_few_records_give_one_part_and_hardly_any_give_none(extremes: str) -> None:
    values = RNG(0).normal(size=15)
    column = fitted(values, extremes=extremes)
    assert column.field.size == 1
    assert len(column.edges) == 2
    assert not np.isin(column.edges, values).any()
    assert fit_numeric("x", pa.array(values[:9]), None, EncodeConfig()) is None


@pytest.mark.parametrize("digits", [1, 12])
def test_draws_keep_within_bounds(digits: int) -> None:
    values = np.round(RNG(0).normal(50, 10, 20_000), digits)
    column = fitted(values)
    bounds = ((40.2, 44.7), (61.3, 61.5))
    weights = column.allowed(bounds, null=False)
    inside = ((values >= 40.2) & (values <= 44.7)) | ((values >= 61.3) & (values <= 61.5))

    field = column.field
    assert field.part_shares is not None
    share = (weights * field.part_shares).sum(axis=1) @ field.shares
    tokens, parts = np.nonzero(weights)
    tokens, parts = np.repeat(tokens, 50), np.repeat(parts, 50)
    drawn = column.decode(tokens, parts, RNG(4), bounds).to_numpy()

    assert abs(share - inside.mean()) < 0.01
    assert all(any(low <= value <= high for low, high in bounds) for value in drawn)
    assert len(np.unique(drawn)) > 40


def test_one_value_can_be_asked_of_a_continuous_column() -> None:
    column = fitted(RNG(0).normal(size=5000))
    weights = column.allowed([(0.25, 0.25)], null=False)
    tokens, parts = np.nonzero(weights)
    assert len(tokens) == 1
    assert column.decode(tokens, parts, RNG(0), [(0.25, 0.25)]).to_pylist() == [0.25]


def test_one_grid_point_can_be_asked() -> None:
    values = RNG(0).integers(0, 5000, 20_000)
    column = fitted(values)
    weights = column.allowed([(1234, 1234)], null=False)
    tokens, parts = np.nonzero(weights)
    assert len(tokens) == 1
    assert column.decode(tokens, parts, RNG(0), [(1234, 1234)]).to_pylist() == [1234]


def test_outside_all_values_nothing_is_allowed() -> None:
    column = fitted([None, *RNG(0).integers(0, 5000, 20_000).tolist()])
    assert not column.allowed([(9000, 9999)], null=False).any()
    assert column.allowed([(9000, 9999)], null=True).sum() == 1
    assert (column.allowed([(-np.inf, np.inf)], null=True).sum(axis=1) == column.field.parts).all()
