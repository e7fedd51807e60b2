"""Categorical, boolean and ordinal columns: levels, and what becomes of the rare ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synthehr.encode.categorical import RARE_MARK, CategoricalColumn, fit_categorical
from synthehr.encode.config import EncodeConfig

RNG = np.random.default_rng
LETTERS = ["a"] * 60 + ["b"] * 30 + ["rare"] * 4 + ["odd"] * 3


def fitted(values: object, **how: object) -> CategoricalColumn:
    config = EncodeConfig(rare=how.pop("rare", "draw"))
    array = values if isinstance(values, pa.Array) else pa.array(values)
    column = fit_categorical("x", array, how.pop("patients", None), config, **how)
    assert column is not None
    return column


def again(column: CategoricalColumn, values: object) -> list[object]:
    tokens, parts = column.encode(values if isinstance(values, pa.Array) else pa.array(values))
    return column.decode(tokens, parts, RNG(1)).to_pylist()


def test_levels_are_sorted_by_frequency_and_null_comes_first() -> None:
    column = fitted(["b"] * 20 + ["a"] * 50 + [None] * 30)
    assert column.levels == ("a", "b")
    np.testing.assert_allclose(column.field.shares, [0.3, 0.5, 0.2])
    assert again(column, ["a", None, "b"]) == ["a", None, "b"]


def test_rare_levels_are_pooled_and_drawn_among_the_rarest_of_the_others() -> None:
    column = fitted(LETTERS)
    assert column.levels == ("a", "b")
    assert column.field.size == 3
    assert set(again(column, ["rare", "odd", "never seen"] * 20)) == {"b"}


def test_pooled_records_spread_over_as_many_levels_as_hold_as_many_records() -> None:
    kept = ["a"] * 100 + ["b"] * 40 + ["c"] * 20
    column = fitted(kept + [f"rare {i}" for i in range(50)])
    drawn = again(column, ["rare 0"] * 6000)
    assert set(drawn) == {"b", "c"}
    assert abs(drawn.count("b") / len(drawn) - 2 / 3) < 0.03


def test_rare_levels_can_be_marked_in_text() -> None:
    assert again(fitted(LETTERS, rare="mark"), ["rare", "a"]) == [RARE_MARK, "a"]


def test_rare_numbers_are_drawn_even_if_marks_are_wanted() -> None:
    drawn = again(fitted([1] * 60 + [2] * 30 + [3] * 5, rare="mark"), [3] * 100)
    assert set(drawn) == {2}


def test_patients_are_counted_and_not_records() -> None:
    values = ["common"] * 100 + ["of one patient"] * 100
    patients = np.append(np.arange(100), np.full(100, 7))
    assert fitted(values, patients=patients).levels == ("common",)


def test_a_column_of_rare_levels_alone_is_given_up() -> None:
    assert fit_categorical("x", pa.array(list("abcdefgh")), None, EncodeConfig()) is None


def test_unused_levels_of_a_dictionary_are_forgotten() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 50, pa.int8()), ["a", "b", "JOHN"])
    column = fitted(array)
    assert column.levels == ("a", "b")
    tokens, parts = column.encode(array)
    result = column.decode(tokens, parts, RNG(0))
    assert result.type == array.type
    assert result.dictionary.to_pylist() == ["a", "b"]


def test_a_level_that_a_dictionary_holds_twice_is_one() -> None:
    array = pa.DictionaryArray.from_arrays(
        pa.array([0, 1, 2, 3] * 6, pa.int8()), ["a", "a", "b", None]
    )
    column = fitted(array)
    assert column.levels == ("a",)  # b is held six times
    np.testing.assert_allclose(column.field.shares, [0.25, 0.5, 0.25])


def test_ordered_dictionaries_keep_their_order_and_positions_ascend() -> None:
    order = ["low", "mid", "high"]
    index = pa.array([2] * 50 + [0] * 30 + [1] * 20, pa.int8())
    array = pa.DictionaryArray.from_arrays(index, order, ordered=True)
    column = fitted(array, is_ordinal=True)
    assert column.levels == ("low", "mid", "high")
    assert column.field.positions is not None
    np.testing.assert_allclose(column.field.positions[:, 0], [0.15, 0.4, 0.75])
    assert column.decode(np.arange(3), np.zeros(3), RNG(0)).type.ordered


def test_rare_levels_of_an_ordinal_go_to_their_neighbour() -> None:
    values = ["none"] * 50 + ["mild"] * 50 + ["severe"] * 50 + ["worst"] * 3
    order = ("none", "mild", "severe", "worst")
    column = fitted(values, is_ordinal=True, order=order)
    assert column.levels == order[:3]
    assert column.rare is None
    assert again(column, ["worst", "none"]) == ["severe", "none"]
    assert column.field.shares[2] == 53 / 153


def test_ordinal_numbers_are_sorted() -> None:
    column = fitted([3] * 50 + [1] * 20 + [10] * 30 + [9] * 2, is_ordinal=True)
    assert column.levels == (1, 3, 10)
    assert again(column, [9]) == [10]


def test_booleans_are_exact() -> None:
    values = [True] * 20 + [False] * 70 + [None] * 10
    assert again(fitted(values), values) == values


def test_tokens_are_capped() -> None:
    values = [f"code {at}" for at in range(200)] * 10 + ["top"] * 50
    config = EncodeConfig(max_tokens=50)
    column = fit_categorical("x", pa.array(values), None, config)
    assert column is not None
    assert column.field.size <= 50
    assert column.levels[0] == "top"


@pytest.mark.parametrize("values", [["01", "1", "001"], [1.5, 2.5, 3.5], [1, 2, 3]])
def test_levels_come_back_as_they_were(values: list[object]) -> None:
    assert again(fitted(values * 20), values) == values


def test_values_that_were_not_learned_are_not_allowed() -> None:
    column = fitted(LETTERS)
    assert column.token_of("rare") is None
    assert column.allowed(["a", "rare"], null=True)[:, 0].tolist() == [1, 0, 0]
