"""Fifty texts and fifty numbers that one patient each holds come out nowhere."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import run
from ward import declared, ward

SECRETS = [f"Secr3t-{i:02}-zq" for i in range(50)]
NUMBERS = [98_765.25 + 1_000 * i for i in range(50)]
QUICK = ["--set", "train.steps=5", "--set", "train.batch_size=64", "--set", "model.width=16"]


def planted() -> pa.Table:
    """Fifty patients of the ward hold a code, and fifty a laboratory value, of their own."""
    table = ward()
    code, lab = table["code"].to_pylist(), table["lab"].to_pylist()
    code[100:150], lab[300:350] = SECRETS, NUMBERS
    table = table.set_column(table.column_names.index("code"), "code", pa.array(code))
    return table.set_column(table.column_names.index("lab"), "lab", pa.array(lab))


def needles() -> dict[str, list[bytes]]:
    """Give each secret in every form in which a file could hold it."""
    found = {text: [text.encode(), text.encode("utf-16-le")] for text in SECRETS}
    for number in NUMBERS:
        found[str(number)] = [
            f"{number:.2f}".encode(),
            f"{number:,.2f}".encode(),
            struct.pack("<d", number),
            struct.pack("<f", number),
        ]
    return found


def given_away(folder: Path, said: str, keep: set[Path]) -> set[str]:
    """Name the secrets that stand in what was said, or in a file of the folder."""
    contents = [
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and path not in keep
    ]
    contents.append(said.encode())
    return {
        name
        for name, forms in needles().items()
        if any(form in content for form in forms for content in contents)
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which everything is written, temporary files too."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    pq.write_table(planted(), tmp_path / "real.parquet")
    declared().write(tmp_path / "schema.json")
    return tmp_path


@pytest.mark.parametrize("private", [False, True])
def test_nothing_that_is_written_or_said_holds_a_secret(
    home: Path, private: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    real, model, drawn = home / "real.parquet", home / "m.synthehr", home / "drawn.parquet"
    fit = ["fit", real, "-o", model, "--seed", 1, "--pii", "surrogate", *QUICK]
    if private:
        fit += ["--epsilon", 4, "--public-rows", 1000, "--schema", home / "schema.json"]
        fit += ["--set", "privacy.rounds=1", "--set", "privacy.round_steps=5"]
    report = ["report", real, drawn, "--model", model, "--target", "died"]
    commands = [
        [*fit, "--json"],
        ["sample", model, "-o", drawn, "--seed", 1],
        ["inspect", model],
        *([] if private else [["inspect", model, "--against", real]]),
        [*report, "-o", home / "r.html", "--json", home / "r.json"],
    ]
    said = ""
    for words in commands:
        done = run(capsys, *words)
        assert done.code == 0, done.err
        said += done.out + done.err
    assert {path.name for path in home.iterdir()} >= {"m.synthehr", "r.html", "r.json"}
    assert given_away(home, said, keep={real}) == set()


def test_no_error_says_a_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = home / "real.parquet"
    narrow = home / "narrow.json"
    declared().write(narrow)
    text = planted().set_column(2, "lab", planted()["code"])
    pq.write_table(text, home / "text.parquet")
    attempts = [
        ["fit", real, "--schema", narrow, *QUICK],
        ["fit", home / "text.parquet", "--schema", narrow, *QUICK],
        ["fit", real, "--patient", "lab", *QUICK],
        ["report", real, home / "text.parquet"],
        ["report", real, real],
    ]
    said = ""
    for words in attempts:
        done = run(capsys, *words)
        assert done.code == 2, done.err
        said += done.out + done.err
    assert given_away(home, said, keep={real, home / "text.parquet"}) == set()


def test_the_search_finds_what_is_there(home: Path) -> None:
    (home / "note.txt").write_text(f"{SECRETS[3]} and more")
    np.save(home / "numbers.npy", np.array(NUMBERS[:2]))
    missed = given_away(home, "", keep={home / "real.parquet"})
    assert missed == {SECRETS[3], str(NUMBERS[0]), str(NUMBERS[1])}
