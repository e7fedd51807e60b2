"""Arithmetic over columns: ``weight / (height / 100) ** 2``.

Dates, times and durations count in days. A name that is no Python name stands in backticks.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthehr.errors import ConditionError

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_QUOTED = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Formula:
    """An expression and the columns in it.

    Attributes
    ----------
    text : str
        As it was written.
    tree : ast.expr
        The expression, with placeholders for names in backticks.
    names : tuple of (str, str)
        Each placeholder or name, and the column that it means.
    """

    text: str
    tree: ast.expr = field(compare=False, repr=False)
    names: tuple[tuple[str, str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(dict.fromkeys(column for _, column in self.names))

    def value(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Compute it from columns of shape (N,); what cannot be computed is no number."""
        meant = {name: columns[column] for name, column in self.names}
        with np.errstate(all="ignore"):
            return np.asarray(_value(self.tree, meant), dtype=np.float64)


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises
    ------
    ConditionError
        If it is no arithmetic over columns.

    Examples
    --------
    >>> parse_formula("weight / (`height in cm` / 100) ** 2").columns
    ('weight', 'height in cm')
    """
    quoted: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        name = f"_quoted_{len(quoted)}"
        quoted[name] = match[1]
        return name

    try:
        tree = ast.parse(_QUOTED.sub(placeholder, text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _unreadable() from None
    names = [node.id for node in _checked(tree) if isinstance(node, ast.Name)]
    found = {name: quoted.get(name, name) for name in names}
    if not found:
        raise _unreadable()
    return Formula(text, tree, tuple(found.items()))


def _checked(tree: ast.expr) -> list[ast.AST]:
    """List all nodes of an expression that is arithmetic and nothing else."""
    nodes = list(ast.walk(tree))
    plain = (ast.Name, ast.operator, ast.unaryop, ast.expr_context)
    for node in nodes:
        known = (
            (isinstance(node, ast.BinOp) and type(node.op) in _BINARY)
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub))
            or (isinstance(node, ast.Constant) and type(node.value) in (int, float))
            or isinstance(node, plain)
        )
        if not known:
            raise _unreadable()
    return nodes


def _value(node: ast.expr, columns: Mapping[str, NDArray[np.float64]]) -> Any:
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_value(node.left, columns), _value(node.right, columns))
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, columns)
    if isinstance(node, ast.Name):
        return columns[node.id]
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int | float)
    return np.float64(node.value)


def _unreadable() -> ConditionError:
    return ConditionError(
        "a formula is no arithmetic over columns",
        hint="numbers, columns, + - * / ** and parentheses; other names in `backticks`",
    )
