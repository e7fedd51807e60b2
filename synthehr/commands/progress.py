"""A bar on a terminal for work that is done part by part."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def counted(parts: Iterator[T], total: int, label: str) -> Iterator[T]:
    """Pass parts on, and show on a terminal how many are done and how long the rest takes."""
    if not sys.stderr.isatty():
        yield from parts
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(bar_width=20), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(label, total=total)
        for part in parts:
            bar.advance(task)
            yield part
