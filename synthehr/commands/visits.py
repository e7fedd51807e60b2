"""What commands do for visits of patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError


def learns_visits(tables: Sequence[Path], time: str | None, layout: str | None) -> bool:
    """Whether what is given to `fit` are visits: a time, a layout, two tables, or a folder."""
    return (
        time is not None
        or layout is not None
        or len(tables) > 1
        or (len(tables) == 1 and tables[0].is_dir())
    )


def only_table(tables: Sequence[Path]) -> Path:
    """Give the one table that there is."""
    (table,) = tables
    return table


def visit_data(tables: Sequence[Path], reading: Sequence[str] | None) -> Any:
    """Read tables of visits as the user said; a folder is read by its layout."""
    if len(tables) == 1 and tables[0].is_dir():
        return tables[0]
    sources = [read_table(table, reading) for table in tables]
    return sources[0] if len(sources) == 1 else sources


def sample_visits(
    model: Path,
    patients: int | None,
    output: str,
    seed: int | None,
    asks: Sequence[str],
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Draw patients with their visits and write them in the layout that was fitted."""
    import pyarrow as pa

    from synthehr.io.visits import VisitTable, check_visits_target, write_visits
    from synthehr.sequence_synthesizer import SequenceSynthesizer

    if asks:
        raise ConfigError(
            f"{' and '.join(asks)} cannot be asked of visits", hint="draw patients freely"
        )
    synthesizer = SequenceSynthesizer.load(model)
    record, schema = synthesizer.record, synthesizer.schema
    assert schema.patient is not None and schema.time is not None
    check_visits_target(output, record["layout"], force=force)
    table = pa.concat_tables(synthesizer.sample_batches(patients, seed))
    visits = VisitTable(
        table,
        schema.patient,
        schema.time,
        tuple(record["static"]),
        record["layout"],
        schema.pandas_types,
        details=record["layout_details"],
    )
    write_visits(visits, output, force=force)
    drawn = record["patients"] if patients is None else patients
    say(
        f"{drawn:,} patients with {table.num_rows:,} visits, seed {synthesizer.last_seed}",
        quiet=quiet,
    )
    if output == "-":
        return
    if json:
        told = {"output": output, "patients": drawn, "visits": table.num_rows}
        put_json(told | {"seed": synthesizer.last_seed})
    how = f"--patient {schema.patient} --time {schema.time}"
    say(f"wrote {output}\nnext: synthehr report REAL {output} {how}", quiet=quiet)
