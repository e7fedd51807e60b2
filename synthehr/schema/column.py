"""One column of a table, as a frozen value, and how its name is printed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

Kind = Literal[
    "numeric", "integer", "boolean", "categorical", "ordinal", "datetime", "date",
    "duration", "id", "constant", "text",
]  # fmt: skip
Role = Literal["feature", "patient", "time", "drop"]
Answer = Literal["drop", "keep", "surrogate"]
Level = str | int | float | bool
Bounds = tuple[float, float] | tuple[str, str]

KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)
ANSWERS: tuple[str, ...] = get_args(Answer)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of the table.

    Attributes
    ----------
    name : str
        As in the table, unchanged.
    kind : Kind
        What the cells mean. A time of day is a "duration" since midnight.
    role : Role
        "patient" marks whose record it is, "time" when it was taken; "drop" leaves the
        column out of everything.
    arrow_type : str
        Arrow type as printed by Arrow; empty where the schema came from elsewhere and
        takes the table's type.
    pandas_type : str or None
        pandas dtype to restore, where the table came from pandas.
    nullable : bool
        Whether cells may be null.
    levels : tuple or None
        Levels declared by the user, ascending for ordinal columns. Never inferred: a
        level held by few patients must not enter a schema file.
    bounds : tuple of two floats, of two ISO 8601 dates, or None
        Smallest and largest value declared by the user, in the unit of the column.
    unit : str or None
        Unit of the values, such as "mmol/L".
    reason : str
        Why kind and role were guessed.
    identifier : str or None
        What kind of direct identifier the column may be, such as "email".
    pii : {"drop", "keep", "surrogate"} or None
        The user's answer to that suspicion: leave out, model as it is, or replace by
        made-up ids.
    """

    name: str
    kind: Kind
    role: Role = "feature"
    arrow_type: str = ""
    pandas_type: str | None = None
    nullable: bool = False
    levels: tuple[Level, ...] | None = None
    bounds: Bounds | None = None
    unit: str | None = None
    reason: str = ""
    identifier: str | None = None
    pii: Answer | None = None

    @property
    def is_suspicious(self) -> bool:
        """Whether the column may identify a person and the user has not answered yet."""
        asked = self.role in ("feature", "time")
        return asked and self.identifier is not None and self.pii is None

    def answered(self, answer: Answer) -> Column:
        """Return the column with the user's answer to the suspicion, and what follows from it."""
        if answer == "drop":
            return replace(self, pii=answer, role="drop")
        if answer == "surrogate":
            return replace(self, pii=answer, kind="id")
        return replace(self, pii=answer)


def shown(name: str) -> str:
    """Print a column's name on one line: quoted where it must be, and at most 60 characters."""
    plain = name.isprintable() and name == name.strip() and name != ""
    text = name if plain and " " not in name else ascii(name)
    return text if len(text) <= 60 else f"{text[:57]}..."


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Say which known name was probably meant, or list a few."""
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {shown(close[0])}?"
    return "the first are " + ", ".join(shown(each) for each in known[:5])
