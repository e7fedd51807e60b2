"""Talk goes to stderr, data to stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def say(text: str, *, quiet: bool = False) -> None:
    """Tell the user something, on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def put(text: str) -> None:
    """Give the user what was asked for, on stdout."""
    print(text, flush=True)


def put_json(value: Any) -> None:
    """Give a script what it asked for, on stdout."""
    put(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def beside(path: Path, suffix: str) -> Path:
    """Name an output after an input: same stem, in the working folder."""
    return Path(path.name).with_suffix(suffix)
