"""`synthehr report --time`: visits instead of single records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.evaluation.longitudinal.report import VisitEvaluation

UNUSED = ("--model", "--audit deep", "--rules")


def assess_visits(
    real: Path, synthetic: Path, reading: Sequence[str] | None, asked: Mapping[str, Any]
) -> VisitEvaluation:
    """Compare synthetic with real visits.

    Parameters
    ----------
    real, synthetic : path
        The tables, one row a visit.
    reading : sequence of str or None
        How tables are read.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.

    Raises
    ------
    ConfigError
        If an option does not go with --time, or --patient is missing.
    """
    from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
    from synthehr.schema.table import Schema

    for name in UNUSED:
        if asked[name] is not None:
            raise ConfigError(
                f"{name} does not go with --time, which compares visits",
                hint="leave it out; name held-out visits with --holdout",
            )
    if asked["--patient"] is None:
        raise ConfigError(
            "--time needs the column that says whose visit it is", hint="name it with --patient"
        )
    held_out, schema = asked["--holdout"], asked["--schema"]
    return evaluate_visits(
        read_table(real, reading),
        read_table(synthetic, reading),
        patient=asked["--patient"],
        time=asked["--time"],
        held_out=None if held_out is None else read_table(held_out, reading),
        target=asked["--target"],
        by=asked["--by"],
        schema=None if schema is None else Schema.read(schema),
        seed=asked["--seed"],
    )
