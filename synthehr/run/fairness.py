"""What parity changes: the gap between groups without it and with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, final

import pyarrow as pa

from synthehr.artifact import Artifact
from synthehr.modes.given import Wish
from synthehr.modes.parity import Parity, parity_gap
from synthehr.run.drawing import draw
from synthehr.schema.column import shown

COMPARED = 8192
"""Records that are drawn without parity."""


@final
class ParityGaps:
    """The gap without parity, and that of the records which pass by.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    parity : Parity
        Target and group.
    seed : int
        Of the records without parity.
    """

    def __init__(self, artifact: Artifact, parity: Parity, seed: int) -> None:
        self.parity = parity
        drawn = pa.concat_tables(draw(artifact, Wish(COMPARED), seed)).select(list(parity))
        self.without = parity_gap(parity, drawn)
        self._seen: list[pa.Table] = []

    def watched(self, records: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Pass records on, and remember their groups and targets."""
        for batch in records:
            self._seen.append(batch.select(list(self.parity)))
            yield batch

    @property
    def within(self) -> float:
        """Gap of the records that passed by."""
        return parity_gap(self.parity, pa.concat_tables(self._seen).unify_dictionaries())

    def sentence(self) -> str:
        """Say both gaps."""
        target, group = map(shown, self.parity)
        return (
            f"largest difference in {target} between groups by {group}: {self.within:.3f}, "
            f"without parity {self.without:.3f}"
        )

    def to_json(self) -> dict[str, Any]:
        """Give both gaps as JSON values."""
        return {**self.parity._asdict(), "gap": self.within, "gap_without": self.without}
