"""The command line, run in this process."""

from __future__ import annotations

import signal
from typing import NamedTuple

import pytest

from synthehr.cli import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Done:
    """Run a command and return its exit code and what it said."""
    before = signal.getsignal(signal.SIGTERM)
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return Done(left.value.code, said.out, said.err)


def refused(done: Done) -> str:
    """Check the form of an error and return its sentence."""
    assert done.code == 2, done.err
    assert "Traceback" not in done.err
    first, blank, hint, *rest = done.err[done.err.index("error: ") :].split("\n")
    assert blank == ""
    assert hint.startswith("hint: ") and len(hint) > 10
    assert rest == [""]
    assert "unexpected" not in first
    return first.removeprefix("error: ")
