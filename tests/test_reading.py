"""How `--read key=value` reaches the reader, from every command that reads a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError, InputError


@pytest.fixture
def visits(tmp_path: Path) -> Path:
    path = tmp_path / "visits.csv"
    lines = ["sex;day;dose", *("männlich;01/02/2020;1,5" for _ in range(20)), "NA;.;2,5"]
    path.write_bytes("\n".join(lines).encode("latin-1"))
    return path


def test_every_key_arrives(visits: Path) -> None:
    pairs = ["encoding=latin-1", "delimiter=;", "nulls=NA,.", "decimal=,", "dayfirst=true"]
    table = read_table(visits, pairs).table
    assert table["sex"].null_count == table["day"].null_count == 1
    assert table["dose"].to_pylist()[-1] == 2.5
    assert {(day.day, day.month) for day in table["day"].to_pylist() if day} == {(1, 2)}


def test_without_them_the_reader_asks(visits: Path) -> None:
    with pytest.raises(InputError) as found:
        read_table(visits, None)
    assert "--read encoding=" in found.value.hint


def test_a_key_that_does_not_exist_is_named(visits: Path) -> None:
    with pytest.raises(ConfigError, match="encodng") as found:
        read_table(visits, ["encodng=latin-1"])
    assert "encoding" in found.value.hint
