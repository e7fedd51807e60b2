"""What commands do for visits of patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthehr.commands.console import put_json, say
from synthehr.commands.reading import read_table
from synthehr.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.commands.filling import Filling
    from synthehr.io import Source


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
    parity: str | None,
    seed: int | None,
    *,
    force: bool,
    json: bool,
    quiet: bool,
) -> None:
    """Draw patients with their visits and write them in the layout that was fitted."""
    import pyarrow as pa

    from synthehr.artifact import load_sequences
    from synthehr.io.visits import VisitTable, check_visits_target, write_visits
    from synthehr.run.ruling import Repairs
    from synthehr.run.visits.drawing import asked_of_patients, draw_patients
    from synthehr.seeds import settled

    if parity is not None:
        raise ConfigError("--parity cannot be asked of visits", hint="leave it out")
    artifact, chosen, repairs = load_sequences(model), settled(seed), Repairs()
    record, schema = artifact.record, artifact.schema
    check_visits_target(output, record["layout"], force=force)
    asked = asked_of_patients(artifact, patients, given)
    table = pa.concat_tables(draw_patients(artifact, asked, chosen, repairs))
    patient, time = artifact.encoder.patient, artifact.encoder.time
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
    say(f"{drawn:,} patients with {table.num_rows:,} visits, seed {chosen}", quiet=quiet)
    if rules := len(artifact.rules.rules):
        say(
            f"{rules} rules kept: {repairs.values:,} visits had values drawn anew, "
            f"{repairs.records:,} patients were drawn anew",
            quiet=quiet,
        )
    if output == "-":
        return
    if json:
        told = {"output": output, "patients": drawn, "visits": table.num_rows}
        told |= {"rules": rules, "values_redrawn": repairs.values}
        put_json(told | {"patients_redrawn": repairs.records, "seed": chosen})
    how = f"--patient {patient} --time {time}"
    say(f"wrote {output}\nnext: synthehr report REAL {output} {how}", quiet=quiet)


def impute_visits(model: Path, source: Source, wanted: Filling) -> None:
    """Fill the nulls of visits from a model file, given what is known before and after."""
    import pyarrow as pa

    from synthehr.io import write_table
    from synthehr.run.imputing import DRAW
    from synthehr.sequence_synthesizer import SequenceSynthesizer

    if wanted.max_minutes is not None:
        raise ConfigError("--max-minutes is none of visits", hint="ask for fewer --draws")
    synthesizer = SequenceSynthesizer.load(model)
    filled = synthesizer.impute(
        source.table,
        wanted.draws,
        columns=wanted.columns,
        keep_null=wanted.keep_null,
        seed=wanted.seed,
    )
    if wanted.draws > 1:
        filled = pa.concat_tables(
            each.append_column(DRAW, pa.repeat(pa.scalar(draw, pa.int32()), each.num_rows))
            for draw, each in enumerate(filled, start=1)
        )
    output, seed = wanted.output, synthesizer.last_seed
    written = write_table([filled], output, force=wanted.force, pandas_types=source.pandas_types)
    done = "point estimates" if wanted.draws == 0 else f"{wanted.draws} draws"
    say(f"{written:,} visits, {done}, seed {seed}", quiet=wanted.quiet)
    if wanted.json and output != "-":
        put_json({"output": output, "visits": written, "seed": seed})
    if output != "-":
        say(f"wrote {output}", quiet=wanted.quiet)


def score_visits(
    model: Path, visits: Path, reading: Sequence[str] | None, column: str | None
) -> pa.Table:
    """Say how likely each patient's visits are.

    Raises
    ------
    ConfigError
        If the chances of a column are asked for.
    """
    from synthehr.artifact import load_sequences
    from synthehr.run.visits.asking import log_prob

    if column is not None:
        raise ConfigError(
            "--column is of single records, and the model file is of visits",
            hint="leave it out; `synthehr forecast` and `synthehr impute` say what visits hold",
        )
    return log_prob(load_sequences(model), visit_data([visits], reading))
