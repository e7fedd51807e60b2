"""What commands do for visits of patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table


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
    given: str | None,
    seed: int | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Draw patients with their visits and write them in the layout that was fitted."""
    import pyarrow as pa

    from synthehr.io.visits import VisitTable, check_visits_target, write_visits
    from synthehr.sequence_synthesizer import SequenceSynthesizer

    synthesizer = SequenceSynthesizer.load(model)
    record, schema = synthesizer.record, synthesizer.schema
    check_visits_target(output, record["layout"], force=force)
    table = pa.concat_tables(synthesizer.sample_batches(patients, given, seed))
    patient, time = synthesizer.artifact.encoder.patient, synthesizer.artifact.encoder.time
    visits = VisitTable(
        table,
        patient,
        time,
        tuple(record["static"]),
        record["layout"],
        schema.pandas_types,
        details=record["layout_details"],
    )
    write_visits(visits, output, force=force)
    drawn = len(visits.offsets()) - 1
    say(
        f"{drawn:,} patients with {table.num_rows:,} visits, seed {synthesizer.last_seed}",
        quiet=quiet,
    )
    if output == "-":
        return
    if json:
        told = {"output": output, "patients": drawn, "visits": table.num_rows}
        put_json(told | {"seed": synthesizer.last_seed})
    how = f"--patient {patient} --time {time}"
    say(f"wrote {output}\nnext: synthehr report REAL {output} {how}", quiet=quiet)


def impute_visits(
    model: Path,
    table: Path,
    output: str,
    draws: int,
    columns: str | None,
    keep_null: str | None,
    seed: int | None,
    reading: Sequence[str] | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Fill the nulls of visits from a model file, given what is known before and after."""
    import pyarrow as pa

    from synthehr.commands.options import names
    from synthehr.io import write_table
    from synthehr.run.imputing import DRAW
    from synthehr.sequence_synthesizer import SequenceSynthesizer

    synthesizer = SequenceSynthesizer.load(model)
    data = visit_data([table], reading)
    chosen = None if columns is None else names(columns)
    table_of = data.table if hasattr(data, "table") else data
    filled = synthesizer.impute(
        table_of, draws, columns=chosen, keep_null=names(keep_null or ""), seed=seed
    )
    if draws > 1:
        filled = pa.concat_tables(
            each.append_column(DRAW, pa.array([draw] * each.num_rows, pa.int32()))
            for draw, each in enumerate(filled, start=1)
        )
    types = getattr(data, "pandas_types", None)
    written = write_table([filled], output, force=force, pandas_types=types)
    done = "point estimates" if draws == 0 else f"{draws} draws"
    say(f"{written:,} visits, {done}, seed {synthesizer.last_seed}", quiet=quiet)
    if json and output != "-":
        put_json({"output": output, "visits": written, "seed": synthesizer.last_seed})
    if output != "-":
        say(f"wrote {output}", quiet=quiet)
