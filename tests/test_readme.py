"""The README is executed: consoles against the demo's data, Python as it stands, `make` by -n.

A console's output must read as the README shows it, with any number for a number, and any
lines for a line of three dots.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest

from synthehr.demo import simulate, simulate_visits, write_scans

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST = 200
DOTS = "\0"


class Block(NamedTuple):
    """A fenced block."""

    language: str
    text: str


def blocks() -> list[Block]:
    """All fenced blocks, in order."""
    return [Block(*match.groups()) for match in FENCE.finditer(README.read_text())]


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the output below it."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = re.sub(r"\\\n\s*", "", piece).partition("\n")
        yield command, output


def pattern(shown: str) -> re.Pattern[str]:
    """A pattern for output: free in its numbers, its spaces and its lines of three dots."""
    text = re.sub(r"^\s*(\.\.\.|…)\s*$", DOTS, shown.strip(), flags=re.MULTILINE)
    words = []
    for word in text.split():
        word = re.escape(re.sub(r"\d[\d,.]*", "#", word)).replace(r"\#", r"-?\d[\d,.]*")
        words.append(r".*" if word == re.escape(DOTS) else word)
    return re.compile(r"\s*".join(words), re.DOTALL)


def test_the_tests_that_the_privacy_page_names_are_there() -> None:
    page = (ROOT / "docs" / "concept" / "privacy.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 40
    assert {name for name in named if f"def {name}(" not in tests} == set()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("readme")
    (place / "demo").mkdir()
    # Fewer would not surely show their bounds through the noise of `--discover`.
    pq.write_table(simulate(2000, seed=0), place / "demo" / "cohort.parquet")
    pq.write_table(simulate_visits(60, seed=0), place / "demo" / "visits.parquet")
    write_scans(place / "demo" / "scans", 80, seed=0)
    return place


def test_it_is_short() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST


def test_every_block_is_of_a_kind_that_is_executed() -> None:
    assert {block.language for block in blocks()} == {"console", "python", "sh"}


LONG = ("release",)
"""Commands that take as long as a fit and a report together."""


def consoles() -> list[tuple[str, str]]:
    """All commands of the consoles, in order, with what is shown below them."""
    return [pair for b in blocks() if b.language == "console" for pair in commands(b.text)]


def test_consoles_show_what_happens(folder: Path) -> None:
    quick = [pair for pair in consoles() if shlex.split(pair[0])[1] not in LONG]
    for command, shown in quick:
        check_console(folder, command, shown)
    assert len(quick) >= 3


@pytest.mark.slow
def test_long_consoles_show_what_happens(folder: Path) -> None:
    for command, shown in consoles():
        if shlex.split(command)[1] in LONG:
            check_console(folder, command, shown)


def check_console(folder: Path, command: str, shown: str) -> None:
    words = shlex.split(command)
    assert words[0] == "synthehr", command
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    if shown.strip():
        assert pattern(shown).fullmatch(done.stdout.strip()), f"{command}\n{done.stdout}"


def test_python_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in blocks():
        if block.language == "python":
            exec(compile(block.text, "README.md", "exec"), names)
    assert names


def test_make_targets_exist() -> None:
    shell = "\n".join(block.text for block in blocks() if block.language == "sh")
    lines = [line.partition("#")[0].strip() for line in shell.splitlines()]
    for line in filter(None, lines):
        assert line.startswith("make "), line
        done = subprocess.run(
            ["make", "-n", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, line


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert link.startswith("https://") or (ROOT / link).exists(), link


@pytest.mark.parametrize(
    ("shown", "said", "agrees"),
    [
        ("fitted in 3.2 s", "fitted in 12.75 s", True),
        ("fitted in 3.2 s", "trained in 3.2 s", False),
        ("first\n...\nlast 4", "first\nmany\nlines\nlast 1,000", True),
        ("first\n...\nlast", "first\nmany\nlines", False),
    ],
)
def test_the_comparison_can_fail(shown: str, said: str, agrees: bool) -> None:
    assert bool(pattern(shown).fullmatch(said)) == agrees
