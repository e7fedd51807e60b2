"""What few patients hold is found nowhere in what an encoder stores or gives back."""

from __future__ import annotations

import json
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from synthehr.encode.config import EncodeConfig
from synthehr.encode.table import TableEncoder
from synthehr.schema.column import Column
from synthehr.schema.table import Schema

N, EACH = 2000, 3
TEXT = "CANARY"
RNG = np.random.default_rng(0)
PATIENTS = np.arange(N) // 2


def planted(values: np.ndarray, canaries: list[object]) -> list[object]:
    """Put each canary into records of a few patients, here and there."""
    cells = values.tolist()
    for number, canary in enumerate(canaries):
        for copy in range(EACH):
            cells[number * 50 + copy * 7] = canary
    return cells


LETTERS = np.array(["a", "b", "c"])[RNG.integers(0, 3, N)]
CANARIES: dict[str, tuple[str, pa.DataType, list[object], list[object]]] = {}


def plant(
    name: str, kind: str, data_type: pa.DataType, values: np.ndarray, canaries: list[object]
) -> None:
    CANARIES[name] = (kind, data_type, planted(values, canaries), canaries)


plant("text", "categorical", pa.string(), LETTERS, [f"{TEXT} {at}" for at in range(9)])
plant("code", "ordinal", pa.string(), LETTERS, [f"{TEXT}{at}" for at in range(9)])
plant(
    "level", "categorical", pa.dictionary(pa.int16(), pa.string()), LETTERS, [f"{TEXT}!", "zCANARY"]
)
plant(
    "free", "numeric", pa.float64(), RNG.normal(size=N), [812.123456789, -977.00123, 0.1234567891]
)
plant("tenths", "numeric", pa.float64(), np.round(RNG.normal(size=N), 1), [81.7, -93.3, 4.4])
plant("beside", "numeric", pa.float64(), RNG.integers(0, 900, N) * 1.0, [500.5, 123.5, 77.25])
plant("count", "integer", pa.int32(), RNG.integers(0, 5, N), [98_765, -12_345, 17])
plant(
    "long", "integer", pa.int64(), RNG.integers(0, 10**6, N) * 7919, [2**60 + 12345, -(2**58) - 9]
)
plant("money", "numeric", pa.decimal128(20, 2), RNG.integers(0, 5, N), [Decimal("912345.67")])
plant("when", "datetime", pa.timestamp("us"), RNG.integers(0, 10**15, N), [1_699_999_999_123_457])
plant("born", "date", pa.date32(), RNG.integers(0, 9000, N), [-31_234, 40_123])


def encoder_and_table(rare: str) -> tuple[TableEncoder, pa.Table]:
    arrays = {}
    for name, (_, data_type, cells, _) in CANARIES.items():
        if pa.types.is_timestamp(data_type) or pa.types.is_date(data_type):
            storage = pa.int32() if data_type.bit_width == 32 else pa.int64()
            arrays[name] = pa.array(cells, storage).cast(data_type)
        else:
            arrays[name] = pa.array(cells, data_type)
    arrays["mrn"] = pa.array([f"{TEXT}-{at:07d}x" for at in range(N)])
    arrays["only"] = pa.array([TEXT] * EACH + [None] * (N - EACH))
    table = pa.table(arrays)
    columns = [
        Column(name=name, kind=kind, arrow_type=str(data_type))
        for name, (kind, data_type, _, _) in CANARIES.items()
    ]
    columns.append(Column(name="mrn", kind="id", arrow_type="string", pii="surrogate"))
    columns.append(Column(name="only", kind="constant", arrow_type="string"))
    encoder = TableEncoder.fit(
        table,
        Schema(tuple(columns)),
        patients=PATIENTS,
        config=EncodeConfig(rare=rare),
        rng=np.random.default_rng(0),
    )
    return encoder, table


@pytest.mark.parametrize("rare", ["draw", "mark"])
def test_canaries_are_not_in_the_state(rare: str) -> None:
    encoder, table = encoder_and_table(rare)
    content, arrays = encoder.state()
    text = json.dumps(content, ensure_ascii=False)
    described = repr(encoder.describe()) + repr(encoder.notes)

    for name, (_, _, _, canaries) in CANARIES.items():
        place = list(encoder.plan).index(name)
        mine = [array.ravel() for key, array in arrays.items() if key.startswith(f"{place}.")]
        stored = np.concatenate([array.astype(np.float64) for array in mine])
        kept = [array for array in mine if array.dtype.kind == "f"]
        for canary in canaries:
            assert str(canary) not in described
            if isinstance(canary, str):
                assert canary not in text
                continue
            number = float(canary) * (100 if isinstance(canary, Decimal) else 1)
            assert not np.isin(number, stored if abs(number) > 2048 else np.concatenate(kept))
    # The ids of all patients share this prefix; no id is stored.
    assert not any(cell in text for cell in table["mrn"].to_pylist())
    assert json.dumps(TEXT) not in text


@pytest.mark.parametrize("rare", ["draw", "mark"])
def test_canaries_do_not_come_back(rare: str) -> None:
    encoder, table = encoder_and_table(rare)
    codes = np.repeat(encoder.encode(table), 5, axis=0)
    result = encoder.decode(codes, np.random.default_rng(1))
    for name in (
        "text",
        "code",
        "level",
        "free",
        "tenths",
        "count",
        "long",
        "money",
        "when",
        "born",
    ):
        real = table[name].to_pylist()
        canaries = {real[number * 50] for number in range(len(CANARIES[name][3]))}
        outer = {value for value in canaries if name not in ("tenths", "free") or abs(value) > 5}
        outer -= {17}  # lies between kept values, where any number may be drawn
        assert not outer & set(result[name].to_pylist())
    assert not set(result["mrn"].to_pylist()) & set(table["mrn"].to_pylist())
    assert result["only"].null_count == result.num_rows


def test_notes_name_columns_and_no_values() -> None:
    encoder, _ = encoder_and_table("draw")
    assert any("only" in note for note in encoder.notes)
    assert TEXT not in " ".join(encoder.notes)
