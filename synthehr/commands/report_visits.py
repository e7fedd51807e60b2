"""`synthehr report --time`: visits instead of single records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.evaluation.longitudinal.report import VisitEvaluation


def assess_visits(
    paths: tuple[Path, Path, Path | None],
    reading: Sequence[str] | None,
    *,
    patient: str | None,
    time: str,
    target: str | None,
    by: Sequence[str] | None,
    schema: Path | None,
    seed: int | None,
    unused: Mapping[str, Any],
    tell: Callable[[str], None],
) -> VisitEvaluation:
    """Compare synthetic with real visits.

    Parameters
    ----------
    paths : tuple of path
        The real, the synthetic and, perhaps, the held-out table.
    reading : sequence of str or None
        How tables are read.
    patient, time, target, by, schema, seed
        As for `synthehr.evaluation.longitudinal.evaluate.evaluate_visits`.
    unused : mapping of str to value
        Options that do not go with visits, None where they were not given.
    tell : callable
        Is told what the evaluation found.

    Raises
    ------
    ConfigError
        If an option does not go with --time, or --patient is missing.
    """
    from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
    from synthehr.schema.table import Schema

    for name, value in unused.items():
        if value is not None:
            raise ConfigError(
                f"{name} does not go with --time, which compares visits",
                hint="leave it out; name held-out visits with --holdout",
            )
    if patient is None:
        raise ConfigError(
            "--time needs the column that says whose visit it is", hint="name it with --patient"
        )
    real, synthetic, held_out = (
        None if path is None else read_table(path, reading) for path in paths
    )
    found = evaluate_visits(
        real,
        synthetic,
        patient=patient,
        time=time,
        held_out=held_out,
        target=target,
        by=by,
        schema=None if schema is None else Schema.read(schema),
        seed=seed,
    )
    tell("\n".join(found.summary()))
    return found
