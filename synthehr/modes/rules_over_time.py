"""Rules over the visits of a patient, as a person writes them in a TOML file.

::

    [[rule]]
    never_falls = "total_dose"              # from visit to visit; never_rises likewise

    [[rule]]
    last = {state = "dead"}                 # or "state=dead": no visit comes after such a one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synthehr.modes.condition import Conditions, from_mapping, parse


@dataclass(frozen=True)
class Monotone:
    """A column that never falls from visit to visit, or never rises; nulls are passed over."""

    column: str
    falls: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)


@dataclass(frozen=True)
class Last:
    """Conditions that hold at the last visit of a patient, if at any."""

    when: Conditions

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it speaks of."""
        return tuple(dict.fromkeys(each.column for each in self.when))


TimeBody = Monotone | Last


def never_falls(entry: Mapping[str, Any]) -> tuple[str, Monotone]:
    """Read ``never_falls = "column"``."""
    column = _text(entry["never_falls"])
    return f"{column} never falls", Monotone(column)


def never_rises(entry: Mapping[str, Any]) -> tuple[str, Monotone]:
    """Read ``never_rises = "column"``."""
    column = _text(entry["never_rises"])
    return f"{column} never rises", Monotone(column, falls=True)


def last_visit(entry: Mapping[str, Any]) -> tuple[str, Last]:
    """Read ``last = {column = level}``, or conditions as of ``if``."""
    wanted = entry["last"]
    if isinstance(wanted, str):
        return f"{wanted} is last", Last(parse(wanted))
    if not isinstance(wanted, Mapping) or not wanted:
        raise TypeError
    return f"{', '.join(map(_told, wanted.items()))} is last", Last(from_mapping(wanted))


def _told(pair: tuple[str, Any]) -> str:
    column, wish = pair
    return f"{column}={'|'.join(map(str, wish if isinstance(wish, list) else [wish]))}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
