"""Tables in and out: dtypes come back, files appear whole or not at all."""

from __future__ import annotations

import datetime
import decimal
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr.errors import ArtifactError, InputError
from synthehr.io import overview, read, replacing, to_pandas, write_bytes, write_table, write_text

MOMENT = datetime.datetime(2020, 2, 29, 12, 30, 15)
COLUMNS = {
    "int8": np.array([1, 2, 3], "int8"),
    "uint64": np.array([1, 2, 2**64 - 1], "uint64"),
    "float16": np.array([1, 2.5, np.nan], "float16"),
    "float32": np.array([1, 2.5, np.nan], "float32"),
    "float64": [1.0, 2.0, None],
    "bool": [True, False, True],
    "Int64": pd.array([1, None, 2**60 + 1], dtype="Int64"),
    "UInt8": pd.array([1, None, 255], dtype="UInt8"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "Float32": pd.array([1.5, None, 2], dtype="Float32"),
    "string python": pd.array(["a", None, "b"], dtype="string[python]"),
    "string pyarrow": pd.array(["a", None, "b"], dtype="string[pyarrow]"),
    "object text": ["a", None, "b"],
    "object bool": [True, None, False],
    "object int": pd.Series([1, None, 2], dtype=object),
    "object date": [datetime.date(1, 1, 1), None, datetime.date(9999, 12, 31)],
    "object time": [datetime.time(1, 2), None, datetime.time(3)],
    "object decimal": [decimal.Decimal("1.10"), None, decimal.Decimal("3.00")],
    "category": pd.Categorical(["x", "y", None]),
    "category ordered": pd.Categorical(["x", "y", None], ["y", "x"], ordered=True),
    "category int": pd.Categorical([3, 1, 3]),
    "datetime ns": pd.to_datetime(["2020", "2021", None]),
    "datetime s": pd.Series(["2020", "2021", None]).astype("datetime64[s]"),
    "datetime us": pd.to_datetime(["2020", "2021", "2022"]).as_unit("us"),
    "datetime zone": pd.to_datetime(["2020", "2021", None]).tz_localize("Europe/Paris"),
    "timedelta": pd.to_timedelta([1, 2, None], unit="s"),
    "arrow int": pd.array([1, None, 3], dtype="int64[pyarrow]"),
    "arrow text": pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())),
    "arrow time": pd.array([MOMENT, None, None], dtype=pd.ArrowDtype(pa.timestamp("ms", "UTC"))),
    "arrow category": pd.array(["a"], pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))),
    "empty": [None, None, None],
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_pandas_dtypes_and_cells_come_back(name):
    frame = pd.DataFrame({name: COLUMNS[name]})
    source = read(frame)
    back = to_pandas(source.table, source.pandas_types)
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - {"arrow category", "object int"}))
def test_parquet_gives_pandas_the_dtypes_of_the_input(name, tmp_path):
    frame = pd.DataFrame({name: COLUMNS[name]})
    frame.to_parquet(tmp_path / "in.parquet")
    source = read(tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    write_table([source.table], out, pandas_types=source.pandas_types)
    expected = pd.read_parquet(tmp_path / "in.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected)
    pd.testing.assert_frame_equal(to_pandas(source.table, source.pandas_types), expected)


def test_integers_with_nulls_and_no_pandas_dtype_stay_exact():
    back = to_pandas(pa.table({"n": [2**60 + 1, None], "b": [True, None]}))
    assert back["n"][0] == 2**60 + 1
    assert (str(back["n"].dtype), str(back["b"].dtype)) == ("Int64", "boolean")


def test_labels_come_back_in_order():
    frame = pd.DataFrame({"b": [1.5], "a": ["x"], "c": [True]})
    source = read(frame)
    assert list(to_pandas(source.table, source.pandas_types)) == ["b", "a", "c"]


def test_polars_and_pyarrow_come_in():
    frame = pl.DataFrame(
        {
            "n": [1, None],
            "s": ["x", None],
            "c": pl.Series(["u", "v"], dtype=pl.Categorical),
            "t": [MOMENT, None],
        }
    )
    for source in (frame, frame.lazy(), frame.to_arrow()):
        table = read(source).table
        assert table.column_names == ["n", "s", "c", "t"]
        assert table.column("n").to_pylist() == [1, None]
        assert table.column("c").to_pylist() == ["u", "v"]
        assert str(table.schema.field("t").type) == "timestamp[us]"
    batch = pa.record_batch({"x": [1, 2]})
    assert read(batch).table.num_rows == 2
    assert read(pa.RecordBatchReader.from_batches(batch.schema, [batch])).table.num_rows == 2


def test_arrow_types_survive_parquet(tmp_path):
    table = pa.table(
        {
            "a": pa.array([1, None], pa.uint16()),
            "b": pa.array([decimal.Decimal("1.5"), None], pa.decimal128(38, 9)),
            "c": pa.array([1, 2], pa.duration("ms")),
            "d": pa.array(["x", None], pa.large_string()),
            "e": pa.array([1, 2], pa.timestamp("us", "+05:30")),
            "f": pa.array(["u", "v"]).dictionary_encode(),
            "g": pa.nulls(2),
            "h": pa.array([1, 2], pa.time64("ns")),
            "num.co": pa.array([1.5, 2.5], pa.float16()),
        }
    )
    for name in ("t.parquet", "t.arrow"):
        write_table([table], tmp_path / name)
        back = read(tmp_path / name).table
        assert back.schema.types == table.schema.types
        assert back.to_pylist() == table.to_pylist()


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                "number": st.none() | st.integers(-(2**63), 2**63 - 1),
                "float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            }
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_cells_survive_parquet_or_are_refused_by_name(tmp_path_factory, rows):
    schema = pa.schema([("text", pa.string()), ("number", pa.int64()), ("float", pa.float64())])
    table = pa.Table.from_pylist(rows, schema)
    path = tmp_path_factory.mktemp("any") / "t.parquet"
    write_table([table], path)
    try:
        source = read(path)
    except InputError as error:
        assert "text" in error.message
        return
    assert source.table.schema.types == schema.types
    assert source.table.column("number").to_pylist() == [row["number"] for row in rows]
    assert source.table.column("float").to_pylist() == [row["float"] for row in rows]
    if not source.warnings:
        assert source.table.column("text").to_pylist() == [row["text"] for row in rows]


def test_overview_reads_no_cell(tmp_path):
    table = pa.table({"x": [1, 2], "s": ["a", "b"]})
    for name, rows in (("t.parquet", 2), ("t.arrow", None)):
        write_table([table], tmp_path / name)
        found = overview(tmp_path / name)
        assert (found.rows, found.schema) == (rows, table.schema)
    write_table([table], tmp_path / "t.csv")
    assert overview(tmp_path / "t.csv")[:1] == ("csv",)
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more PAR1")
    with pytest.raises(InputError, match="damaged"):
        overview(tmp_path / "t.parquet")


def test_only_wanted_columns_are_read(tmp_path):
    table = pa.table({"a": [1], "a.b": [2], "deep": [[1]], "c": [3]})
    write_table([table], tmp_path / "t.parquet")
    write_table([table], tmp_path / "t.arrow")
    (tmp_path / "t.csv").write_text("a,a.b,deep,c\n1,2,x,3\n")
    for source in (tmp_path / "t.parquet", tmp_path / "t.arrow", tmp_path / "t.csv", table):
        assert read(source, columns=["c", "a", "none"]).table.column_names == ["a", "c"]


def test_batches_are_streamed_to_every_format(tmp_path):
    def batches():
        for i in range(3):
            yield pa.table({"x": pa.array([i, i + 1]), "s": ["a", None]})

    for name in ("t.parquet", "t.feather", "t.csv", "t.tsv"):
        assert write_table(batches(), tmp_path / name) == 6
        table = read(tmp_path / name).table
        assert table.column("x").to_pylist() == [0, 1, 1, 2, 2, 3]
        assert table.column("s").to_pylist() == ["a", None] * 3
    assert pq.read_metadata(tmp_path / "t.parquet").num_row_groups == 1


def test_categories_of_batches_may_differ(tmp_path):
    parts = [pa.table({"c": pa.array(cells).dictionary_encode()}) for cells in ("ab", "bc")]
    parts = [
        part.cast(pa.schema([("c", pa.dictionary(pa.int32(), pa.string()))])) for part in parts
    ]
    for name in ("t.parquet", "t.arrow", "t.csv"):
        write_table(parts, tmp_path / name)
        assert read(tmp_path / name).table.column("c").to_pylist() == ["a", "b", "b", "c"]


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def batches():
        for _ in range(40):
            yield pa.table({"x": np.zeros(50_000)})

    before = pa.total_allocated_bytes()
    peak = 0

    def watched():
        nonlocal peak
        for batch in batches():
            peak = max(peak, pa.total_allocated_bytes() - before)
            yield batch

    assert write_table(watched(), tmp_path / "t.parquet") == 2_000_000
    assert peak < 8 * 2**20


def test_standard_output_is_csv(capfdbinary):
    write_table([pa.table({"x": [1, 2]})], "-")
    assert capfdbinary.readouterr().out == b'"x"\n1\n2\n'


def test_row_18_formulas_are_defused_in_csv_only(tmp_path):
    cells = ["=cmd()", "+1", "@x", "\tx", "-2+3", "-", "plain", "a=b"]
    table = pa.table({"=name": cells, "n": pa.array([-1.5] * 8)})
    write_table([table], tmp_path / "t.csv")
    text = (tmp_path / "t.csv").read_text()
    for cell in ("=cmd()", "+1", "@x", "\tx", "-2+3", "=name"):
        assert f'"\'{cell}"' in text
    for kept in ('"-",', '"plain",', '"a=b",', ",-1.5"):
        assert kept in text
    write_table([table], tmp_path / "raw.csv", formulas=True)
    assert '"=cmd()"' in (tmp_path / "raw.csv").read_text()
    write_table([table], tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet").column("=name").to_pylist() == cells
    category = pa.table({"c": pa.array(cells).dictionary_encode()})
    write_table([category], tmp_path / "c.csv")
    assert '"\'=cmd()"' in (tmp_path / "c.csv").read_text()


def test_csv_tells_null_from_empty_text_and_writes_all_types(tmp_path):
    table = pa.table(
        {
            "s": ["", None],
            "wait": pa.array([1500, None], pa.duration("ms")),
            "f": pa.array([0.5, None], pa.float16()),
            "money": pa.array([decimal.Decimal("1.10"), None]),
            "t": pa.array([MOMENT, None]),
        }
    )
    write_table([table], tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[1].startswith('"",1.5,0.5,1.10,2020-02-29 12:30:15')
    assert lines[2] == ",,,,"


def test_unknown_suffix_and_no_batches(tmp_path):
    with pytest.raises(ArtifactError) as caught:
        write_table([pa.table({"x": [1]})], tmp_path / "t.xlsx")
    assert ".parquet" in caught.value.hint
    with pytest.raises(ArtifactError, match="nothing to write"):
        write_table([], tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_files_are_private(tmp_path):
    write_text(tmp_path / "t.json", "{}")
    assert (tmp_path / "t.json").stat().st_mode & 0o777 == 0o600


def test_row_67_existing_files_links_and_folders_are_left_alone(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"old")
    with pytest.raises(ArtifactError) as caught:
        write_bytes(path, b"new")
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"old"
    link = tmp_path / "link.parquet"
    link.symlink_to(path)
    with pytest.raises(ArtifactError, match="symbolic link"):
        write_bytes(link, b"new", force=True)
    assert path.read_bytes() == b"old"
    with pytest.raises(ArtifactError, match="folder"):
        write_bytes(tmp_path, b"new", force=True)
    with pytest.raises(ArtifactError, match="does not exist"):
        write_bytes(tmp_path / "none" / "t.csv", b"new")
    write_bytes(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_failure_while_batches_are_made_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"old")

    def batches():
        yield pa.table({"x": [1]})
        raise RuntimeError("the model stopped")

    with pytest.raises(RuntimeError):
        write_table(batches(), path, force=True)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["t.parquet"]


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.arrow"])
def test_row_64_full_disk_leaves_the_old_file(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"old")
    table = pa.table({"x": np.random.default_rng(0).normal(size=100_000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(ArtifactError, match="could not be written"):
            write_table([table], path, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [name]


def test_row_66_second_writer_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    begun, done = threading.Event(), threading.Event()

    def first():
        with replacing(path) as temporary:
            temporary.write_bytes(b"first")
            begun.set()
            done.wait(10)

    writer = threading.Thread(target=first)
    writer.start()
    begun.wait(10)
    with pytest.raises(ArtifactError, match="another process"):
        write_bytes(path, b"second", force=True)
    done.set()
    writer.join()
    assert path.read_bytes() == b"first"
    write_bytes(path, b"third", force=True)
    assert os.listdir(tmp_path) == ["t.csv"]


def test_row_66_a_killed_writer_does_not_block_the_next(tmp_path):
    path = tmp_path / "t.csv"
    code = (
        "import os, sys\nfrom synthehr.io import replacing\n"
        "with replacing(sys.argv[1]):\n    os.kill(os.getpid(), 9)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert not path.exists()
    (tmp_path / ".synthehr-another.part").write_bytes(b"somebody else's")
    with replacing(tmp_path / "at work.csv"):
        write_bytes(path, b"next")
    assert path.read_bytes() == b"next"
    assert sorted(os.listdir(tmp_path)) == [".synthehr-another.part", "at work.csv", "t.csv"]


def test_row_66_a_name_as_long_as_a_folder_allows_is_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".csv")
    write_bytes(path, b"x")
    assert os.listdir(tmp_path) == [path.name]


def test_reading_needs_no_pandas_for_parquet_without_its_metadata(tmp_path):
    write_table([pa.table({"x": [1, 2], "s": ["a", "b"]})], tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").pandas_types is None
