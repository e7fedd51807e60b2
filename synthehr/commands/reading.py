"""Reading tables as `--read key=value` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from synthehr.io import Source


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes
    ----------
    encoding : str or None
        Encoding of a CSV file; UTF-8 by default.
    delimiter : str or None
        Delimiter of a CSV file; found by default.
    nulls : tuple of str
        Texts that mean null in a CSV file, beside the empty cell.
    decimal : {".", ","} or None
        Decimal mark of a CSV file; found by default.
    dayfirst : bool or None
        Whether 01/02/2020 is in February in a CSV file; found by default, or refused.
    infinity : {"refuse", "null"}
        What to do with infinite cells.
    """

    encoding: str | None = None
    delimiter: str | None = None
    nulls: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    dayfirst: bool | None = None
    infinity: Literal["refuse", "null"] = "refuse"


def read_table(path: Path, pairs: Sequence[str] | None) -> Source:
    """Read a table as the user said.

    Raises
    ------
    ConfigError
        A key does not exist, or a value has the wrong type.
    InputError
        The table cannot be read.
    """
    from synthehr.config import apply, settings
    from synthehr.io import read

    named = [f"read.{pair}" for pair in pairs or ()]
    how = apply(Reading(), settings(named, groups={"read": Reading})["read"])
    return read(
        path,
        encoding=how.encoding,
        delimiter=how.delimiter,
        nulls=("", *how.nulls),
        decimal=how.decimal,
        dayfirst=how.dayfirst,
        infinity=how.infinity,
    )
