"""What is asked of `synthehr impute`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Filling:
    """What is to be filled, how often, and where it goes; as the options of the same names."""

    output: str
    draws: int
    columns: list[str] | None
    keep_null: list[str]
    max_minutes: float | None
    seed: int | None
    force: bool
    json: bool
    quiet: bool
