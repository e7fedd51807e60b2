"""What `synthehr fit` is given to learn: a table, visits, or images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.commands.reading import read_table
from synthehr.commands.visits import visit_data

if TYPE_CHECKING:
    from synthehr.families import Family


@dataclass(frozen=True)
class Learned:
    """What is learned, and how it is read; as the options of the same names."""

    tables: Sequence[Path]
    reading: Sequence[str] | None
    time: str | None
    format: str | None
    static: list[str] | None
    labels: Path | None
    image_column: str | None

    @property
    def family(self) -> Family:
        """Of which family it is."""
        from synthehr.families import IMAGES, TABLES, VISITS
        from synthehr.io.images import is_images

        first = self.tables[0]
        of_images = self.labels is not None or self.image_column is not None
        if self.time is not None or self.format is not None or len(self.tables) > 1:
            return VISITS
        if of_images or is_images(first):
            return IMAGES
        return VISITS if first.is_dir() else TABLES

    def prepared(self, synthesizer: Any, schema: Path | None, common: dict[str, Any]) -> Any:
        """Read it, and do what comes before the first step."""
        from synthehr.families import IMAGES, VISITS
        from synthehr.io.images import read_images

        family = self.family
        if family is VISITS:
            data = visit_data(self.tables, self.reading)
            common |= {"time": self.time, "format": self.format, "static": self.static}
        elif family is IMAGES:
            path, column, who = self.tables[0], self.image_column, common["patient"]
            data = read_images(path, labels=self.labels, image_column=column, patient=who)
        else:
            data = read_table(self.tables[0], self.reading)
        return synthesizer.prepare(data, schema, **common)
