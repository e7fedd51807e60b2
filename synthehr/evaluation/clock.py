"""The time box of an evaluation: what it leaves out, it says."""

from __future__ import annotations

import time
from typing import final

from synthehr.evaluation.results import Cap, NotMeasurable


@final
class Clock:
    """Says how much time is left, and collects what was cut short.

    The clock decides only whether a piece of work is done at all; it never changes a number.

    Parameters
    ----------
    seconds : float
        The time box.

    Attributes
    ----------
    pace : float
        Seconds that boosted trees took for a record, as far as known; to foresee what fits.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.start = time.monotonic()
        self.pace = 0.0
        self.caps: list[Cap] = []
        self.not_measurable: list[NotMeasurable] = []

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.start

    def allows(self, until: float = 1.0, need: float = 0.0) -> bool:
        """Say whether `need` seconds fit before this share of the box is used up."""
        return self.spent + need < until * self.seconds

    def cap(self, part: str, used: int, of: int, unit: str) -> None:
        """Record that a part used fewer than there are; nothing when it used all."""
        if used < of:
            self.caps.append(Cap(part, used, of, unit))

    def give_up(self, part: str, reason: str) -> None:
        """Record that a part has no figures, and why."""
        self.not_measurable.append(NotMeasurable(part, reason))

    def too_late(self, part: str) -> None:
        """Record that the time box left no time for a part."""
        self.give_up(part, f"it does not fit the time box of {self.seconds:g} s")
