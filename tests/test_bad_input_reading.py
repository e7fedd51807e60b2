"""What reading refuses, and what it takes with a warning; test names carry the row numbers.

Each refusal is one sentence with a hint, and no text that reading produces holds a cell.
"""

from __future__ import annotations

import datetime
import gzip
import os
import pickle
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synthehr.errors import InputError, SchemaError
from synthehr.io import Source, read, to_pandas, write_table
from synthehr.schema.doubts import doubts
from synthehr.schema.infer import infer

CANARY = "Zaphod"


@pytest.fixture
def csv(tmp_path):
    def write(content: str | bytes, name: str = "t.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def refusal(source, **options) -> str:
    with pytest.raises(InputError) as caught:
        read(source, **options)
    error = caught.value
    assert error.exit_code == 2
    assert error.hint
    assert "\n" not in error.message
    assert CANARY not in str(error)
    return error.message


def warnings_of(source: Source) -> str:
    text = "\n".join(source.warnings)
    assert CANARY not in text
    return text


def types_of(source: Source) -> list[str]:
    return [str(data_type) for data_type in source.table.schema.types]


def test_row_1_paths_that_are_no_files(tmp_path):
    assert "there is no file none.csv" in refusal(tmp_path / "none.csv")
    assert "folder" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "pipe" in refusal(tmp_path / "pipe")
    assert "network" in refusal("https://hospital.example/records.csv")
    assert "cannot be opened" in refusal("a\0b")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_row_1_no_permission(csv):
    path = csv("a\n1\n")
    path.chmod(0)
    assert "permission denied" in refusal(path)


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b", "  \n\t\n", "# only\n# comments\n"])
def test_row_2_no_rows(csv, content):
    assert "no rows" in refusal(csv(content))


def test_row_2_no_rows_in_other_doors(tmp_path):
    empty = pa.table({"x": pa.array([], pa.int64())})
    write_table([empty], tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", empty, empty.to_pandas()):
        assert "no rows" in refusal(source)


def test_row_4_one_column_and_none(csv):
    assert types_of(read(csv("a\n1\n2\n"))) == ["int64"]
    assert "no columns" in refusal(pa.table({}))
    assert "no columns" in refusal(pd.DataFrame(index=range(3)))


def parquet(path, **options):
    table = pa.table({"n": np.arange(5000), "s": [CANARY, "b"] * 2500})
    pq.write_table(table, path, compression="none", use_dictionary=False, **options)
    return path


def test_row_7_truncated_parquet(tmp_path):
    path = parquet(tmp_path / "t.parquet")
    data = path.read_bytes()
    for size in (len(data) // 2, len(data) - 1, 12, 5, 4, 2):
        path.write_bytes(data[:size])
        assert "damaged file" in refusal(path)


def test_row_7_truncated_arrow(tmp_path):
    path = tmp_path / "t.arrow"
    write_table([pa.table({"n": np.arange(5000)})], path)
    path.write_bytes(path.read_bytes()[:-100])
    assert "damaged file" in refusal(path)


def test_row_8_flipped_byte(tmp_path):
    path = parquet(tmp_path / "t.parquet", write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)
    assert "checksum" in refusal(path)


def test_row_8_flipped_bytes_without_checksum_never_crash(tmp_path):
    path = parquet(tmp_path / "t.parquet")
    good = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.integers(4, len(good), 40):
        data = bytearray(good)
        data[place] ^= int(random.integers(1, 256))
        path.write_bytes(data)
        try:
            assert read(path).table.num_columns > 0
        except InputError as error:
            assert CANARY not in str(error)


def test_row_9_parquet_bomb(tmp_path):
    path = tmp_path / "t.parquet"
    with pq.ParquetWriter(path, pa.schema([("s", pa.string())]), compression="zstd") as writer:
        cells = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, "int32")), ["x" * 1000])
        for _ in range(5):
            writer.write_table(pa.table({"s": cells.cast(pa.string())}))
    assert path.stat().st_size < 200_000
    assert "GiB" in refusal(path, max_bytes=2**26)
    assert read(path).table.num_rows == 100_000


def test_row_9_large_numbers_and_csv(tmp_path, csv):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"n": np.zeros(100_000)}), path)
    assert "GiB" in refusal(path, max_bytes=100_000)
    assert "larger than" in refusal(csv("a\n" + "1\n" * 100), max_bytes=100)
    write_table([pa.table({"n": np.zeros(1000)})], tmp_path / "t.arrow")
    assert "GiB" in refusal(tmp_path / "t.arrow", max_bytes=100)


def test_row_10_archives_are_never_unpacked(tmp_path):
    (tmp_path / "t.csv").write_bytes(gzip.compress(b"a\n1\n"))
    assert "gzip" in refusal(tmp_path / "t.csv")
    with zipfile.ZipFile(tmp_path / "z.csv", "w") as archive:
        archive.writestr("../evil.csv", "a\n1\n")
    assert "zip archive" in refusal(tmp_path / "z.csv")
    assert not (tmp_path.parent / "evil.csv").exists()


def test_row_11_encrypted_parquet(tmp_path):
    path = parquet(tmp_path / "t.parquet")
    path.write_bytes(b"PARE" + path.read_bytes()[4:-4] + b"PARE")
    assert "encrypted" in refusal(path)


def test_row_11_extension_type_in_a_file(tmp_path):
    cells = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)] * 10, pa.binary(16)))
    pq.write_table(pa.table({"key": cells, "x": [1.5] * 10}), tmp_path / "t.parquet")
    with pytest.raises(SchemaError, match="key"):
        infer(read(tmp_path / "t.parquet").table)


def test_row_12_suffix_that_lies(tmp_path, csv):
    source = read(csv("a,b\n1,2\n", "t.parquet"))
    assert "in spite of its suffix" in warnings_of(source)
    assert source.table.num_rows == 1
    parquet(tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").table.num_rows == 5000
    assert "web page" in refusal(csv("<!DOCTYPE html><html>", "page.parquet"))
    assert "web page" in refusal(csv("\n <html><body>login", "page.csv"))
    assert "JSON" in refusal(csv('{"a": [1]}', "t.json"))
    assert "damaged" in refusal(csv(b"\x01\x02\x03\x00\x00", "t.parquet"))


@pytest.mark.parametrize("name", ["t.pkl", "t.pt", "t.joblib", "t.csv", "t.npy"])
def test_row_13_unsafe_formats_are_never_opened(csv, name):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, ("exploded",))

    assert "unsafe" in refusal(csv(pickle.dumps(Bomb()), name))
    assert not os.path.exists("exploded")


def test_row_14_equal_names(tmp_path, csv):
    assert "occurs 2 times (columns 1, 3)" in refusal(csv("a,b,a\n1,2,3\n"))
    table = pa.table([[1], [2]], names=["a", "a"])
    pq.write_table(table, tmp_path / "t.parquet")
    for source in (table, tmp_path / "t.parquet", pd.DataFrame([[1, 2]], columns=["a", "a"])):
        assert "(columns 1, 2)" in refusal(source)


@pytest.mark.parametrize("other", ["AGE", " age", "age ", "Age"])
def test_row_15_names_that_look_alike(other):
    assert "columns 1, 2 differ only" in refusal(pa.table({"age": [1], other: [2]}))
    assert "differ only" in refusal(pa.table({"caf\u00e9": [1], "cafe\u0301": [2]}))


@pytest.mark.parametrize(
    "name", ["", "  ", "x" * 10_000, "a\0b", "a\nb", "\u202egnp", "\U0001f9ea"]
)
def test_row_16_odd_names_are_kept(tmp_path, name):
    table = pa.table({name: [1.5, 2.5] * 6})
    write_table([table], tmp_path / "t.arrow")
    source = read(tmp_path / "t.arrow")
    assert source.table.column_names == [name]
    assert bool(source.warnings) == (name != "\U0001f9ea")
    assert infer(source.table).names == (name,)
    assert list(to_pandas(source.table)) == [name]


HOSTILE = ("<script>alert(1)</script>", '"><img onerror=x>', "{{7*7}}", "javascript:x", "</script>")


def test_row_17_hostile_names_and_values_are_text(tmp_path):
    table = pa.table({name: list(HOSTILE) * 3 for name in HOSTILE})
    for name in ("t.parquet", "t.csv"):
        write_table([table], tmp_path / name)
        assert read(tmp_path / name).table.to_pydict() == table.to_pydict()
    schema = infer(table)
    schema.write(tmp_path / "schema.json")
    assert type(schema).read(tmp_path / "schema.json") == schema


def test_row_18_formula_cells_are_read_as_text(csv):
    assert read(csv("a,b\n=cmd(),+x\n@y,-z\n")).table.column("a").to_pylist() == ["=cmd()", "@y"]


def test_row_19_labels_that_are_not_text():
    source = read(pd.DataFrame({0: [1], 1: [2]}))
    assert source.table.column_names == ["0", "1"]
    assert "2 column labels" in warnings_of(source)
    assert "several levels" in refusal(pd.DataFrame({("a", "b"): [1]}))
    nested = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    assert "several levels" in refusal(pd.DataFrame([[1, 2]], columns=nested))


def test_row_20_index_is_left_out_and_said(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.5]}, index=pd.Index([CANARY, "b"], name="patient_name"))
    frame.to_parquet(tmp_path / "t.parquet")
    for source in (frame, tmp_path / "t.parquet"):
        found = read(source)
        assert found.table.column_names == ["x"]
        assert "patient_name" in warnings_of(found)
    shuffled = pd.DataFrame({"x": [1.5, 2.5, 3.5]}).sample(frac=1, random_state=0)
    assert not read(shuffled).warnings


@pytest.mark.parametrize("data_type", [pa.float16(), pa.float32(), pa.float64()])
def test_row_24_infinite_cells(data_type):
    cells = np.array([1.0, np.inf, -np.inf, 2.0], data_type.to_pandas_dtype())
    table = pa.table({"lab": pa.array(cells, data_type)})
    assert "column lab has 2 infinite cells" in refusal(table)
    source = read(table, infinity="null")
    assert source.table.column("lab").to_pylist() == [1.0, None, None, 2.0]
    assert source.table.schema.field("lab").type == data_type
    assert "2 infinite cells" in warnings_of(source)


def test_row_24_extreme_but_finite_cells_are_kept():
    cells = [1e308, -1e308, 5e-324, -0.0, 0.0]
    back = read(pa.table({"x": cells})).table.column("x").to_pylist()
    assert [repr(cell) for cell in back] == [repr(cell) for cell in cells]


def test_row_25_only_the_empty_cell_is_null(csv):
    path = csv('a,b\nNA,1\nNone,2\nnull,\nnan,4\n,5\n"",6\n')
    table = read(path).table
    assert table.column("a").to_pylist() == ["NA", "None", "null", "nan", None, None]
    assert table.column("b").to_pylist() == [1, 2, None, 4, 5, 6]
    table = read(path, nulls=("", "NA", "nan")).table
    assert table.column("a").to_pylist() == [None, "None", "null", None, None, None]


def test_row_25_texts_among_numbers_are_pointed_out(csv):
    path = csv("lab\n" + "".join(f"{i}.5\n" for i in range(50)) + "NA\n")
    source = read(path)
    assert types_of(source) == ["string"]
    assert "1 of 51 cells are not numbers" in warnings_of(source)
    assert types_of(read(path, nulls=("", "NA"))) == ["double"]


def test_row_25_every_kind_of_null_of_pandas_is_null():
    frame = pd.DataFrame(
        {
            "object": pd.Series(["a", None, np.nan, pd.NA], dtype=object),
            "string": pd.array(["", None, pd.NA, "NA"], dtype="string"),
            "Float64": pd.array([1.0, None, pd.NA, 2.0], dtype="Float64"),
        }
    )
    table = read(frame).table
    assert table.column("object").to_pylist() == ["a", None, None, None]
    assert table.column("string").to_pylist() == ["", None, None, "NA"]
    assert table.column("Float64").null_count == 2


def test_row_25_nan_in_arrow_is_read_as_null_and_said():
    source = read(pa.table({"x": pa.array([1.0, float("nan"), None])}))
    assert source.table.column("x").null_count == 2
    assert "1 cells are not a number" in warnings_of(source)


@pytest.mark.parametrize(
    "cells",
    [
        [*range(20, 60), 999, 999],
        [*range(20, 60), -1],
        [*(i / 3 for i in range(60)), 9999.0],
        [datetime.date(2020, 1, 1)] * 30 + [datetime.date(9999, 12, 31)],
        [datetime.datetime(2020, 1, 1)] * 30 + [datetime.datetime(1900, 1, 1)],
    ],
)
def test_row_26_codes_for_missing_are_doubted(cells):
    table = pa.table({"lab": cells, "y": [0.5] * len(cells)})
    told = [text for text in doubts(infer(table), table) if "common code for missing" in text]
    assert len(told) == 1
    assert "999" not in told[0]


@pytest.mark.parametrize("cells", [list(range(100)), [-1, 0, 1] * 20, [98, 99, 97] * 20])
def test_row_26_ordinary_extremes_are_not_doubted(cells):
    table = pa.table({"lab": cells, "y": [0.5] * len(cells)})
    assert not any("missing" in text for text in doubts(infer(table), table))


def test_row_27_leading_zeros_are_kept(csv):
    source = read(csv("mrn,n\n00123,1\n04567,2\n"))
    assert source.table.column("mrn").to_pylist() == ["00123", "04567"]
    assert "leading zeros" in warnings_of(source)


def test_row_28_large_integers_with_nulls_stay_exact(csv):
    for source in (
        csv(f"n\n{2**60 + 1}\n\n7\n0\n".replace("\n\n", '\n""\n')),
        pd.DataFrame({"n": pd.array([2**60 + 1, None, 7, 0], dtype="Int64")}),
    ):
        table = read(source).table
        assert table.column("n").to_pylist() == [2**60 + 1, None, 7, 0]
        assert to_pandas(table)["n"][0] == 2**60 + 1


def test_row_29_widths_of_integers_are_kept(csv):
    frame = pd.DataFrame({"u": np.array([2**64 - 1], "uint64"), "i": np.array([-128], "int8")})
    source = read(frame)
    assert types_of(source) == ["uint64", "int8"]
    assert to_pandas(source.table, source.pandas_types).dtypes.equals(frame.dtypes)
    assert types_of(read(csv(f"u\n{2**64 - 1}\n1\n"))) == ["uint64"]
    assert types_of(read(csv(f"u\n{10**30}\n1\n"))) == ["string"]


def test_row_30_decimals_keep_their_scale():
    cells = pa.array([Decimal("12345678901234567890.123456789"), None], pa.decimal128(38, 9))
    table = read(pa.table({"money": cells})).table
    assert str(table.schema.field("money").type) == "decimal128(38, 9)"
    assert table.column("money").to_pylist() == cells.to_pylist()


def test_row_31_whole_floats_with_nulls_keep_their_dtype():
    frame = pd.DataFrame({"n": [1.0, None, 3.0]})
    source = read(frame)
    assert infer(source.table)["n"].kind == "integer"
    pd.testing.assert_frame_equal(to_pandas(source.table, source.pandas_types), frame)


def test_row_32_booleans_with_nulls(csv):
    assert types_of(read(csv("b,c\nTrue,1\nfalse,2\n,3\n"))) == ["bool", "int64"]
    assert types_of(read(pd.DataFrame({"b": [True, None, False]}))) == ["bool"]


@pytest.mark.parametrize("cells", [["True", "yes", "no"], ["1", "0", "yes"], ["Y", "N", "true"]])
def test_row_32_several_ways_to_say_yes(cells):
    assert "writes yes and no in 2 ways" in refusal(pa.table({"b": cells * 4}))


def test_row_33_mixed_objects_are_counted_by_type():
    frame = pd.DataFrame({"x": pd.Series([1, CANARY, [2], 3], dtype=object)})
    message = refusal(frame)
    assert "column x mixes cells of different types (2 int, 1 str, 1 list)" in message
    assert "1 bool" in refusal(pd.DataFrame({"x": pd.Series([True, "a", None], dtype=object)}))


def test_row_34_lists_in_pandas():
    table = read(pd.DataFrame({"x": [[1, 2]] * 10})).table
    with pytest.raises(SchemaError, match="nested type list"):
        infer(table)


@pytest.mark.parametrize(
    "cells",
    [
        pd.Series([1 + 2j, 3j]),
        pd.Series(pd.period_range("2020", periods=2, freq="M")),
        pd.Series(pd.interval_range(0, 2)),
        pd.cut(pd.Series([1.5, 2.5]), 2),
    ],
    ids=["complex", "period", "interval", "category of intervals"],
)
def test_row_36_dtypes_that_have_no_place(cells):
    assert "column x has the dtype" in refusal(pd.DataFrame({"x": cells}))


def test_row_36_sparse_becomes_dense():
    source = read(pd.DataFrame({"x": pd.arrays.SparseArray([0, 0, 1])}))
    assert source.table.column("x").to_pylist() == [0, 0, 1]
    assert "sparse" in warnings_of(source)


def test_row_41_nul_and_long_cells(csv):
    assert "hold a NUL character" in refusal(pa.table({"x": [CANARY + "\0", "b"]}))
    assert "NUL" in refusal(csv(b"a,b\n1,x\x00y\n"))
    source = read(pa.table({"x": ["a" * 40_000, "b"]}))
    assert "40000 characters" in warnings_of(source)
    table = read(csv('a,b\n1,"x\ny ""z"", q"\n')).table
    assert table.column("b").to_pylist() == ['x\ny "z", q']


@pytest.mark.parametrize("dictionary", [False, True])
def test_row_42_spellings_that_look_alike_are_joined(dictionary):
    cells = pa.array(["caf\u00e9", "cafe\u0301", "caf\u00e9 ", "caf\u200b\u00e9", "tea", None])
    cells = cells.dictionary_encode() if dictionary else cells
    source = read(pa.table({"x": cells}))
    assert source.table.column("x").to_pylist() == [*["caf\u00e9"] * 4, "tea", None]
    assert source.table.schema.field("x").type == cells.type
    assert "3 spellings" in warnings_of(source)


def test_row_42_cells_that_are_not_joined_stay_as_they_are():
    cells = [" Male", "Female ", "cafe\u0301"]
    source = read(pa.table({"x": cells}))
    assert source.table.column("x").to_pylist() == cells
    assert not source.warnings


def test_row_43_encodings(csv):
    text = "a,b\n1,\u00e9\n"
    assert "not UTF-8" in refusal(csv(text.encode("latin-1")))
    late = "a,b\n" + "1,x\n" * 100_000 + "1,\u00e9\n"
    assert "column b of t.csv is not UTF-8" in refusal(csv(late.encode("latin-1")))
    assert "UTF-16" in refusal(csv(text.encode("utf-16")))
    assert "no text encoding" in refusal(csv(text), encoding="klingon")
    for encoding in ("latin-1", "utf-16", "cp1252"):
        table = read(csv(text.encode(encoding)), encoding=encoding).table
        assert table.column("b").to_pylist() == ["\u00e9"]
    table = read(csv("\ufeff" + text)).table
    assert table.column_names == ["a", "b"]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_row_44_delimiters_are_found_and_said(csv, mark):
    source = read(csv(f"a{mark}b\n1{mark}x y\n2{mark}z\n"))
    assert types_of(source) == ["int64", "string"]
    assert "delimiter" in warnings_of(source)


def test_row_44_delimiter_that_is_not_clear(csv):
    path = csv("a,b;c\n1,2;3\n4,5;6\n")
    assert "comma and semicolon fit" in refusal(path)
    assert read(path, delimiter=";").table.column_names == ["a,b", "c"]


def test_row_44_decimal_comma(csv):
    source = read(csv("a;b\n1,5;x\n2,25;y\n"))
    assert source.table.column("a").to_pylist() == [1.5, 2.25]
    assert "decimal mark" in warnings_of(source)
    table = read(csv("a;b\n1.234,5;x\n2;y\n")).table
    assert table.column("a").to_pylist() == [1234.5, 2.0]
    table = read(csv('a,b\n"1,234.5",x\n"2,000",y\n')).table
    assert table.column("a").to_pylist() == [1234.5, 2000.0]


def test_row_44_marks_that_can_be_read_in_two_ways(csv):
    path = csv("a;b\n1,234;x\n2,345;y\n")
    assert "decimals or thousands" in refusal(path)
    assert read(path, decimal=",").table.column("a").to_pylist() == [1.234, 2.345]
    assert read(path, decimal=".").table.column("a").to_pylist() == [1234, 2345]
    path = csv("a;b\n1,5;1.234\n2,5;2.345\n")
    assert "column b has dots" in refusal(path)
    assert read(path, decimal=",").table.column("b").to_pylist() == [1234.0, 2345.0]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f"a,b\n1,2\n3,4\n5,{CANARY},6\n7,8\n", "row 4 of t.csv has 3 fields"),
        (f"a,b\n1,2,{CANARY}\n3,4,{CANARY}\n", "row 2 of t.csv has 3 fields"),
        (f"a,b\n1\n3,{CANARY}\n", "row 2 of t.csv has 1 fields"),
        (f'a,b\n1,"{CANARY}\n3,4\n', "quote that is opened and not closed"),
    ],
)
def test_row_45_ragged_rows(csv, content, told):
    assert told in refusal(csv(content))


def test_row_46_headers_comments_and_blank_lines(csv):
    source = read(csv('# export\n# of today\n"a b","c,d"\n1,2\n3,4\n\n\n'))
    assert source.table.column_names == ["a b", "c,d"]
    assert source.table.num_rows == 2
    assert "2 comment lines" in warnings_of(source)


@pytest.mark.parametrize("content", ["1,5.5\n3,4\n", "17,2020-01-01\n18,2021-01-01\n"])
def test_row_46_missing_header(csv, content):
    assert "looks like a record" in refusal(csv(content))


def test_row_46_headers_of_numbers_are_taken_where_they_are_labels(csv):
    assert read(csv("0,1,2\n4.5,5,6\n")).table.column_names == ["0", "1", "2"]
    assert read(csv("name,2019,2020\nx,5,6\n")).table.num_columns == 3


def test_row_47_dates_beyond_nanoseconds(csv):
    days = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]
    assert read(pd.DataFrame({"d": days})).table.column("d").to_pylist() == days
    assert read(csv("d\n0001-01-01\n9999-12-31\n")).table.column("d").to_pylist() == days
    moments = [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59)]
    assert read(pd.DataFrame({"t": pd.Series(moments, dtype=object)})).table.num_rows == 2
    table = read(csv("t\n0001-01-01 00:00:00\n9999-12-31 23:59:00\n")).table
    assert table.column("t").to_pylist() == moments
    infer(table)


def test_row_47_dates_that_do_not_exist(csv):
    source = read(csv("d\n2020-02-30\n2020-01-01\n"))
    assert types_of(source) == ["string"]
    assert "do not exist" in warnings_of(source)


def test_row_48_zones(csv):
    source = read(csv("t\n2020-01-01 10:00:00+01:00\n2020-07-01 10:00:00+0100\n"))
    assert types_of(source) == ["timestamp[s, tz=+01:00]"]
    source = read(csv("t\n2020-01-01T10:00:00Z\n2020-07-01T10:00:00.25Z\n"))
    assert types_of(source) == ["timestamp[ms, tz=UTC]"]
    source = read(csv("t\n2020-01-01 10:00:00+01:00\n2020-07-01 10:00:00+02:00\n"))
    assert types_of(source) == ["timestamp[s, tz=UTC]"]
    assert "several zones" in warnings_of(source)
    source = read(csv("t\n2020-01-01 10:00:00Z\n2020-07-01 10:00:00\n"))
    assert "1 times without a zone" in warnings_of(source)


def test_row_48_mixed_zones_in_pandas():
    paris = datetime.timezone(datetime.timedelta(hours=1))
    cells = [datetime.datetime(2020, 1, 1, tzinfo=paris), datetime.datetime(2020, 1, 1), None]
    source = read(pd.DataFrame({"t": pd.Series(cells, dtype=object)}))
    assert str(source.table.schema.field("t").type).endswith("tz=UTC]")
    assert "1 times without a zone were taken as UTC" in warnings_of(source)


def test_row_49_day_or_month_first(csv):
    path = csv("d\n01/02/2020\n03/04/2020\n")
    assert "day and month cannot be told apart" in refusal(path)
    second_of_january = read(path, dayfirst=False).table.column("d").to_pylist()[0]
    first_of_february = read(path, dayfirst=True).table.column("d").to_pylist()[0]
    assert second_of_january == datetime.date(2020, 1, 2)
    assert first_of_february == datetime.date(2020, 2, 1)
    source = read(csv("d\n31.1.2020 10:30\n1.2.2020 11:00\n"))
    assert source.table.column("d").to_pylist()[1] == datetime.datetime(2020, 2, 1, 11)
    assert "day before month" in warnings_of(source)
    assert types_of(read(csv("d\n12/31/2020\n1/2/2020\n"))) == ["date32[day]"]


def test_row_52_ends_before_beginnings_and_births_to_come():
    day = datetime.date(2020, 1, 10)
    table = pa.table(
        {
            "admission_date": [day, datetime.date(2020, 1, 5)] * 10,
            "discharge_date": [day] * 17 + [datetime.date(2020, 1, 1)] * 3,
            "date_of_birth": [day] * 18 + [datetime.date(2150, 1, 1)] * 2,
        }
    )
    told = "\n".join(doubts(infer(table, pii="keep"), table))
    assert "3 records have discharge_date before admission_date" in told
    assert "column date_of_birth: 2 births lie in the future" in told


def test_row_54_repeated_ids_without_a_patient_column_are_doubted():
    table = pa.table({"id": np.repeat(np.arange(40), 3), "x": np.arange(120) / 7})
    assert any("--patient id" in text for text in doubts(infer(table), table))
    assert not any("--patient" in t for t in doubts(infer(table, patient="id"), table))


def test_row_70_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path = parquet(tmp_path / "t.parquet")
    whole = pq.ParquetFile.read

    def slowly(self, *args, **options):
        table = whole(self, *args, **options)
        os.utime(path, ns=(0, 0))
        return table

    monkeypatch.setattr(pq.ParquetFile, "read", slowly)
    assert "changed while it was read" in refusal(path)


@pytest.mark.parametrize("source", [3, None, object(), np.zeros((3, 2)), [[1, 2]]])
def test_what_is_no_table_is_refused(source):
    assert "is no table" in refusal(source)
