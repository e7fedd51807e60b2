"""The command line: errors, exit codes, and the list of commands."""

from __future__ import annotations

import os
import signal
import sys
from traceback import walk_tb
from types import FrameType
from typing import final

import typer

from synthehr.commands import (
    demo,
    fit,
    forecast,
    impute,
    inspect,
    rebalance,
    release,
    report,
    rules,
    sample,
    schema,
    score,
    translate,
)
from synthehr.errors import SynthehrError

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

app = typer.Typer(
    name="synthehr",
    help="Synthetic patient tables: learn a table, sample patients, see how faithful and how "
    "exposed they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(schema.schema)
app.command()(fit.fit)
app.command()(sample.sample)
app.command()(impute.impute)
app.command()(forecast.forecast)
app.command()(rebalance.rebalance)
app.command()(score.score)
app.command()(translate.translate)
app.add_typer(rules.app)
app.command()(report.report)
app.command()(inspect.inspect)
app.command()(release.release)
app.command()(demo.demo)


@app.callback(invoke_without_command=True)
def root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    """Synthetic patient tables."""
    if version:
        from synthehr import __version__

        typer.echo(f"synthehr {__version__}")
        raise typer.Exit


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit codes: 0 done; 1 a finding of `inspect --against`; 2 a refusal; 3 a gate failed;
    130 interrupted.
    """
    # Threads that wait by spinning make a fit tens of times slower beside another busy process.
    # So they spin for microseconds and then sleep; read when torch is imported, which is later.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        code = app(args=arguments, prog_name="synthehr", standalone_mode=False)
    except SynthehrError as error:
        code = _refused(error.message, error.hint, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = _unexpected(error)
    sys.exit(code if isinstance(code, int) else 0)


@final
class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or a request to end.

    When a KeyboardInterrupt proper passes through an `exec` of text, as the import of torch has
    many, CPython ends with the signal in place of our exit code, though we caught it.
    """


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _unexpected(error: Exception) -> int:
    """Name the kind of an error and where it arose; its own text could hold a cell."""
    # What the parser raises is public in click and private in the copy that newer typer carries.
    told = getattr(error, "format_message", None)
    if told is not None:
        message = str(told()).rstrip(".")
        command = getattr(getattr(error, "ctx", None), "command_path", "synthehr")
        return _refused(message, f"see `{command} --help`", 2)
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return _refused("the memory does not suffice", "use fewer rows or smaller batches", 2)
    frames = [
        frame.f_globals["__name__"] + f":{line}" for frame, line in walk_tb(error.__traceback__)
    ]
    own = [place for place in frames if place.startswith("synthehr.") and "cli:" not in place]
    place = (own or frames or ["an unknown place"])[-1]
    return _refused(
        f"synthehr hit an unexpected {type(error).__name__} in {place}",
        "this is a bug: please report the line above (it holds no patient's data)",
        2,
    )


def _refused(message: str, hint: str, code: int) -> int:
    print(f"error: {message}\n\nhint: {hint}", file=sys.stderr)
    return code
