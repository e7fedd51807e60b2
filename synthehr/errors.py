"""Errors a user can act on.

SynthehrError            exit code 2
├── InputError           a file, a table or a cell pattern that cannot be read or modelled
├── SchemaError          the schema is wrong, or does not fit the table
├── ConfigError          an option or a `--set key=value` that does not exist or is out of range
├── ConditionError       a `--given` that cannot be parsed or can never hold
├── ArtifactError        a model file that is damaged, foreign, or cannot be written
├── TrainingError        the loss stopped being a number, or the memory does not suffice
└── GateError            exit code 3: everything worked, and a quality or privacy gate failed

Messages name columns, counts and types. They never contain a cell value.
"""

from __future__ import annotations

from typing import ClassVar


class SynthehrError(Exception):
    """One sentence that says what is wrong, and one hint that says what to do.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence, without any cell value.
    hint : str
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n\nhint: {self.hint}"


class InputError(SynthehrError):
    """A file, a table or a cell pattern that cannot be read or modelled."""


class SchemaError(SynthehrError):
    """The schema is wrong, or does not fit the table."""


class ConfigError(SynthehrError):
    """An option that does not exist or is out of range."""


class ConditionError(SynthehrError):
    """A condition that cannot be parsed or can never hold."""


class ArtifactError(SynthehrError):
    """A model file that is damaged, foreign, or cannot be written."""


class TrainingError(SynthehrError):
    """Training cannot go on: the loss is not a number, or memory is short."""


class GateError(SynthehrError):
    """Everything worked, and a quality or privacy gate failed."""

    exit_code: ClassVar[int] = 3
