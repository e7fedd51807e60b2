"""What happens beside the training: progress, and work done every so many seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from synthehr.train.state import Callback, State

REFRESH_SECONDS = 0.2


def every(seconds: float, action: Callable[[State], None]) -> Callback:
    """Make a callback that acts when so many seconds have passed since it last did."""
    last = time.monotonic()

    def callback(state: State) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            action(state)
            last = time.monotonic()

    return callback


@contextmanager
def progress(stream: TextIO | None = None) -> Iterator[Callback]:
    """Context whose callback draws a bar; one that does nothing off a terminal.

    Parameters
    ----------
    stream : text stream, optional
        Where to draw; standard error by default.
    """
    target: TextIO = sys.stderr if stream is None else stream
    if not target.isatty():
        yield lambda state: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("training"), BarColumn(bar_width=20), TextColumn("{task.description}"))
    console = Console(file=target)
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=1.0)

        def draw(state: State) -> None:
            bar.update(task, completed=state.fraction, description=describe(state), refresh=True)

        yield every(REFRESH_SECONDS, draw)


def describe(state: State) -> str:
    """Describe a run in a line: step, held-out loss, and the time that is left at most."""
    words = [f"step {state.step:,} of {state.config.steps:,}"]
    if state.best_held_out is not None:
        words.append(f"held-out loss {state.curve[-1][1]:.4f}")
    left = round(state.seconds * (1.0 / max(state.fraction, 1e-9) - 1.0))
    words.append(f"{left // 60}:{left % 60:02d} left")
    return ", ".join(words)
