"""Rules that every record keeps, as a person writes them in a TOML file.

::

    [[rule]]
    order = ["diastolic", "systolic"]       # never descending; strict = true: ascending

    [[rule]]
    if = "sex=M"                            # conditions as of --given; without `if`: always
    then = "pregnant=no|null"

    [[rule]]
    together = ["ward", "building"]         # only combinations that records hold,
    allowed = [["A1", "north"]]             # or these

    [[rule]]
    column = "bmi"                          # not learned, but computed
    formula = "weight / (height / 100) ** 2"
    decimals = 1

    [[rule]]
    column = "dose"
    increment = 0.5

Rules over the visits of a patient are in `synthehr.modes.rules_over_time`. A cell that is null
keeps every rule but those with conditions that speak of null.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from synthehr.errors import ConditionError, ConfigError
from synthehr.modes.condition import Conditions, parse
from synthehr.modes.formula import Formula, parse_formula
from synthehr.modes.rules_over_time import TimeBody, last_visit, never_falls, never_rises
from synthehr.schema.column import Level, shown

LONGEST_NAME = 120


@dataclass(frozen=True)
class Order:
    """Columns whose values never descend, or always ascend."""

    columns: tuple[str, ...]
    strict: bool = False


@dataclass(frozen=True)
class Implication:
    """Where all of some conditions hold, all of others do, too."""

    when: Conditions
    then: Conditions

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it speaks of."""
        return tuple(dict.fromkeys(each.column for each in (*self.when, *self.then)))


@dataclass(frozen=True)
class Together:
    """Columns of which only some combinations of levels occur; None: not yet learned."""

    columns: tuple[str, ...]
    allowed: tuple[tuple[Level, ...], ...] | None = None


@dataclass(frozen=True)
class Computed:
    """A column that follows from others by a formula, rounded to some decimals."""

    column: str
    formula: Formula
    decimals: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it speaks of."""
        return (self.column, *self.formula.columns)


@dataclass(frozen=True)
class Increment:
    """A column whose values are multiples of a step."""

    column: str
    step: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)


Body = Order | Implication | Together | Computed | Increment | TimeBody


@dataclass(frozen=True)
class Rule:
    """A rule and what it is called."""

    name: str
    body: Body


@dataclass(frozen=True)
class Rules:
    """All rules of a table.

    Attributes
    ----------
    rules : tuple of Rule
        In the order in which they were written.
    mined : bool
        Whether they were found in records and nobody has vouched for them.
    source : tuple of mapping
        As they were written, in JSON values.
    """

    rules: tuple[Rule, ...] = ()
    mined: bool = False
    source: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @property
    def computed(self) -> tuple[str, ...]:
        """Columns that are not learned, each after those that it follows from.

        Raises
        ------
        ConfigError
            If formulas go round in a circle.
        """
        bodies = [rule.body for rule in self.rules if isinstance(rule.body, Computed)]
        left = {body.column: body for body in bodies}
        found: list[str] = []
        while left:
            ready = [name for name, body in left.items() if not {*left} & {*body.formula.columns}]
            if not ready:
                raise ConfigError(
                    f"the formulas of {', '.join(map(shown, left))} go round in a circle",
                    hint="leave one of them out",
                )
            found += ready
            left = {name: body for name, body in left.items() if name not in ready}
        return tuple(found)

    @property
    def kept_while_drawing(self) -> Rules:
        """Those that speak of drawn columns only."""
        return self._only(lambda rule: not isinstance(rule.body, Computed))

    def about(self, columns: Collection[str]) -> Rules:
        """Those of which all columns are among some."""
        return self._only(lambda rule: {*rule.body.columns} <= {*columns})

    def narrowed(self, columns: Collection[str]) -> Rules:
        """Those, and of orders what they say of some columns alone."""
        narrow = [_narrowed(rule, columns) for rule in self.rules]
        return replace(self, rules=tuple(narrow)).about(columns)

    def _only(self, wanted: Callable[[Rule], bool]) -> Rules:
        pairs = zip(self.rules, self.source, strict=True)
        kept = [(rule, text) for rule, text in pairs if wanted(rule)]
        rules, source = tuple(rule for rule, _ in kept), tuple(text for _, text in kept)
        return replace(self, rules=rules, source=source)

    def with_combinations(self, learned: Mapping[str, Sequence[Sequence[Level]]]) -> Rules:
        """Fill in the combinations that were learned, by the rule's name."""
        rules, source = [], []
        for rule, text in zip(self.rules, self.source, strict=True):
            if rule.name in learned and isinstance(rule.body, Together):
                allowed = tuple(tuple(each) for each in learned[rule.name])
                rule = replace(rule, body=replace(rule.body, allowed=allowed))
                text = {**text, "allowed": [list(each) for each in allowed]}
            rules.append(rule)
            source.append(text)
        return replace(self, rules=tuple(rules), source=tuple(source))

    def to_json(self) -> dict[str, Any]:
        """Give the rules as JSON values; inverse of `from_json`."""
        return {"mined": self.mined, "rule": [dict(text) for text in self.source]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Rules:
        """Check rules that were read.

        Raises
        ------
        ConfigError
            If a rule cannot be read, two have one name, or formulas go round in a circle.
        """
        if not isinstance(content, Mapping) or set(content) - {"rule", "mined"}:
            _refuse("it holds something other than [[rule]]")
        entries = content.get("rule", [])
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            _refuse("each rule must begin with [[rule]]")
        rules = tuple(_rule(entry, number) for number, entry in enumerate(entries, 1))
        names = [rule.name for rule in rules]
        for name in names:
            if names.count(name) > 1:
                _refuse(f"two rules are called {shown(name)}")
        written = tuple(json.loads(json.dumps(entry, default=str)) for entry in entries)
        found = cls(rules, bool(content.get("mined", False)), written)
        _check_computed(found)
        return found

    @classmethod
    def of(cls, rules: Rules | Path | str | None) -> Rules:
        """Take rules, a file of them, or none."""
        if isinstance(rules, str | Path):
            return cls.read(rules)
        return NO_RULES if rules is None else rules

    @classmethod
    def read(cls, path: Path | str) -> Rules:
        """Read a TOML file of rules.

        Raises
        ------
        ConfigError
            If there is none, or it cannot be read.
        """
        try:
            return cls.from_json(tomllib.loads(Path(path).read_text()))
        except OSError:
            raise ConfigError(
                f"there is no readable file {path}", hint="`synthehr rules suggest` writes one"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            _refuse("it is not TOML")


NO_RULES = Rules()


def _narrowed(rule: Rule, columns: Collection[str]) -> Rule:
    if not isinstance(rule.body, Order):
        return rule
    left = tuple(name for name in rule.body.columns if name in columns)
    return replace(rule, body=replace(rule.body, columns=left)) if len(left) > 1 else rule


def _rule(entry: Mapping[str, Any], number: int) -> Rule:
    """Read one rule by the keys that it has."""
    keys = set(entry) - {"name"}
    readers = {
        ("order",): ({"order", "strict"}, _order),
        ("then",): ({"if", "then"}, _implication),
        ("together",): ({"together", "allowed"}, _together),
        ("column", "formula"): ({"column", "formula", "decimals"}, _computed),
        ("column", "increment"): ({"column", "increment"}, _increment),
        ("never_falls",): ({"never_falls"}, never_falls),
        ("never_rises",): ({"never_rises"}, never_rises),
        ("last",): ({"last"}, last_visit),
    }
    for needed, (known, read) in readers.items():
        if set(needed) <= keys <= known:
            try:
                name, body = read(entry)
            except (TypeError, ValueError, ConditionError) as error:
                why = error.message if isinstance(error, ConditionError) else "a value is not fit"
                _refuse(f"rule {number}: {why}")
            chosen = entry.get("name", name)
            return Rule(str(chosen)[:LONGEST_NAME], body)
    _refuse(f"rule {number} has the keys {', '.join(map(shown, sorted(keys))) or 'of none'}")


def _order(entry: Mapping[str, Any]) -> tuple[str, Order]:
    columns = _columns(entry["order"])
    strict = entry.get("strict", False)
    if not isinstance(strict, bool):
        raise TypeError
    return (" < " if strict else " <= ").join(columns), Order(columns, strict)


def _implication(entry: Mapping[str, Any]) -> tuple[str, Implication]:
    when = parse(entry["if"]) if "if" in entry else ()
    name = f"if {entry['if']} then {entry['then']}" if when else entry["then"]
    return name, Implication(when, parse(entry["then"]))


def _together(entry: Mapping[str, Any]) -> tuple[str, Together]:
    columns, allowed = _columns(entry["together"]), entry.get("allowed")
    if allowed is not None:
        allowed = tuple(tuple(each) for each in allowed)
        if any(len(each) != len(columns) for each in allowed) or not allowed:
            raise ValueError
        if not all(isinstance(level, Level) for each in allowed for level in each):
            raise TypeError
    return " with ".join(columns), Together(columns, allowed)


def _computed(entry: Mapping[str, Any]) -> tuple[str, Computed]:
    column, decimals = _text(entry["column"]), entry.get("decimals")
    if decimals is not None and not (type(decimals) is int and 0 <= decimals <= 12):
        raise ValueError
    formula = parse_formula(_text(entry["formula"]))
    return f"{column} = {entry['formula']}", Computed(column, formula, decimals)


def _increment(entry: Mapping[str, Any]) -> tuple[str, Increment]:
    column, step = _text(entry["column"]), float(entry["increment"])
    if not 0 < step < float("inf"):
        raise ValueError
    return f"{column} by {step:g}", Increment(column, step)


def _columns(value: Any) -> tuple[str, ...]:
    columns = tuple(_text(each) for each in value)
    if isinstance(value, str) or len(columns) < 2 or len({*columns}) < len(columns):
        raise ValueError
    return columns


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _check_computed(rules: Rules) -> None:
    names = [rule.body.column for rule in rules.rules if isinstance(rule.body, Computed)]
    if len(rules.computed) < len(names):
        _refuse("a column has two formulas")


def _refuse(what: str) -> NoReturn:
    raise ConfigError(
        f"the rules cannot be read: {what}",
        hint="`synthehr rules suggest` shows how they are written",
    )
