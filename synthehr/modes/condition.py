"""Conditions on the records to draw: what `--given` and `given=` mean.

::

    conditions := condition ("," condition)*
    condition  := name "=" choice ("|" choice)*
    choice     := "null" | value | low ":" high | low ":" | ":" high

Names and values that hold one of ``= , | :`` or that start with a quote stand in single or
double quotes, doubled inside: ``"blood pressure"=120:140, drug='a, b'``. A quoted "null" is
a text. Range ends belong to the range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from synthehr.errors import ConditionError

_HINT = "write it as in --given 'sex=F, age=60:80, unit=a|b, diagnosis=null'"
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"]|"")*"|'(?:[^']|'')*')"""
    r"""|(?P<mark>[=,|:])|(?P<bare>[^=,|:"'\s][^=,|:]*))\s*"""
)


@dataclass(frozen=True)
class Null:
    """The cell is null."""


@dataclass(frozen=True)
class Value:
    """The cell equals a value.

    Attributes
    ----------
    value : object
        A level, number or date.
    typed : bool
        False where `value` is a text from a command line that stands for a value.
    """

    value: object
    typed: bool = True


@dataclass(frozen=True)
class Range:
    """The cell lies between two values, both included; None is an open end.

    Attributes
    ----------
    low, high : object or None
        The ends.
    text : str or None
        The whole text from a command line, where it came from one: a level may hold a colon.
    """

    low: object | None
    high: object | None
    text: str | None = None


Choice = Null | Value | Range


@dataclass(frozen=True)
class Condition:
    """One column and what its cell may be.

    Attributes
    ----------
    column : str
        Name of the column.
    choices : tuple of Choice
        The cell satisfies one of them.
    """

    column: str
    choices: tuple[Choice, ...]


Conditions = tuple[Condition, ...]


class _Token(NamedTuple):
    text: str
    kind: str


def parse(text: str) -> Conditions:
    """Read conditions from one line of text.

    Raises
    ------
    ConditionError
        If the line cannot be read, or names a column twice.

    Examples
    --------
    >>> parse("age=60:, diagnosis=null")[1]
    Condition(column='diagnosis', choices=(Null(),))
    """
    tokens = list(_tokens(text))
    conditions = tuple(_condition(part) for part in _split(tokens, ","))
    return _once(conditions)


def from_mapping(given: Mapping[str, object]) -> Conditions:
    """Read conditions from Python values.

    Parameters
    ----------
    given : mapping of str to object
        None is null, a pair (low, high) a range with None as an open end, a list or a set the
        choices, anything else the value itself.

    Raises
    ------
    ConditionError
        If a list is empty.
    """
    return tuple(Condition(name, _choices(name, wish)) for name, wish in given.items())


def means(choice: Value, level: str | int | float | bool) -> bool:
    """Whether a choice is this level: by type, or as the text of a command line."""
    if choice.typed or isinstance(level, str):
        return bool(level == choice.value) and isinstance(level, bool) == isinstance(
            choice.value, bool
        )
    text = str(choice.value).strip().lower()
    if isinstance(level, bool):
        return text in (("true", "yes", "1") if level else ("false", "no", "0"))
    try:
        return float(text) == level
    except ValueError:
        return False


def _choices(name: str, wish: object) -> tuple[Choice, ...]:
    if isinstance(wish, tuple):
        if len(wish) != 2:
            raise ConditionError(
                f"the condition on {name} is a tuple of {len(wish)}",
                hint="a tuple is a range (low, high); give choices as a list",
            )
        return (Range(*wish),)
    if isinstance(wish, Set) or (isinstance(wish, Sequence) and not isinstance(wish, str | bytes)):
        ordered = sorted(wish, key=repr) if isinstance(wish, Set) else wish
        found = tuple(choice for item in ordered for choice in _choices(name, item))
        if not found:
            raise ConditionError(
                f"the condition on {name} has no choices", hint="list at least one value"
            )
        return found
    return (Null(),) if wish is None else (Value(wish),)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            _refuse("a quote is not closed" if text[place:].strip() else "it is empty")
        kind = str(match.lastgroup)
        found = match[kind]
        if kind == "quoted":
            quote = found[0]
            found = found[1:-1].replace(quote * 2, quote)
        yield _Token(found.rstrip() if kind == "bare" else found, kind)
        place = match.end()


def _split(tokens: list[_Token], mark: str) -> Iterator[list[_Token]]:
    part: list[_Token] = []
    for token in tokens:
        if token == _Token(mark, "mark"):
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _condition(tokens: list[_Token]) -> Condition:
    if len(tokens) < 3 or tokens[0].kind == "mark" or tokens[1] != _Token("=", "mark"):
        _refuse("each condition must read name=value")
    choices = tuple(_choice(part) for part in _split(tokens[2:], "|"))
    return Condition(tokens[0].text, choices)


def _choice(tokens: list[_Token]) -> Choice:
    operands = [token for token in tokens if token.kind != "mark"]
    marks = [token for token in tokens if token.kind == "mark"]
    if not operands or any(mark.text != ":" for mark in marks):
        _refuse("each condition must read name=value")
    whole = "".join(token.text for token in tokens)
    if len(marks) == 1 and len(operands) <= 2:
        ends: list[str | None] = [None, None]
        at = tokens.index(marks[0])
        if len(operands) == 2 and at != 1:
            _refuse("two values stand side by side")
        for place, token in enumerate(tokens):
            if token.kind != "mark":
                ends[0 if place < at else 1] = token.text
        return Range(ends[0], ends[1], whole)
    if len(operands) > 1 and not marks:
        _refuse("two values stand side by side")
    if tokens == [_Token("null", "bare")]:
        return Null()
    return Value(whole, typed=False)


def _once(conditions: Conditions) -> Conditions:
    names = [condition.column for condition in conditions]
    for name in names:
        if names.count(name) > 1:
            raise ConditionError(
                f"column {name} has two conditions", hint="join them with |: unit=a|b"
            )
    return conditions


def _refuse(what: str) -> NoReturn:
    raise ConditionError(f"the conditions cannot be read: {what}", hint=_HINT)
