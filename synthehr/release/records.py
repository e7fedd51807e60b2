"""A folder to hand over: synthetic records, report, data dictionary and checksums.

The records are in it only if every gate holds; the report always is. Of a fit under
differential privacy the gate is the ledger, and the report is the releasable one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synthehr.release.folder import DATA, Draft, Tell, begin, hand_over

if TYPE_CHECKING:
    import pyarrow as pa

    from synthehr.evaluation.report import Report
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema
    from synthehr.synthesizer import Synthesizer


def release(
    table: Any,
    folder: Path,
    synthesizer: Synthesizer,
    *,
    schema: Path | Schema | None = None,
    patient: str | None = None,
    target: str | None = None,
    n: int | None = None,
    max_minutes: float | None = None,
    on_text: Literal["refuse", "drop"] = "refuse",
    pii: Literal["drop", "keep", "surrogate"] | None = None,
    privacy: Privacy | None = None,
    rules: Rules | Path | None = None,
    limits: Mapping[str, float] | None = None,
    with_model: bool = False,
    force: bool = False,
    tell: Tell = lambda text: None,
) -> dict[str, Any]:
    """Fit, sample, report, and write the folder in one move.

    Parameters
    ----------
    table : path or table
        The real records.
    folder : Path
        The folder to make.
    synthesizer : Synthesizer
        Not fitted yet.
    schema, patient, max_minutes, on_text, pii, privacy, rules
        As in `Synthesizer.fit`.
    target : str, optional
        The column to predict in the report.
    n : int, optional
        How many records; by default as many as are given to the fit.
    limits : mapping of str to float, optional
        Gates that go before the defaults, see `synthehr.gates.release_failures`.
    with_model : bool
        Whether the model file is put into the folder.
    force : bool
        Whether an earlier release in the folder is replaced.
    tell : callable
        Is told how far the work is.

    Returns
    -------
    dict
        Folder, files with their SHA-256, and the run record.

    Raises
    ------
    ConfigError
        If figures are to be gates of a release under differential privacy.
    GateError
        If a gate fails: the folder then holds the report and no records. If a private fit spent
        more than was asked for: there is no folder then.
    """
    from synthehr.io import read, write_table

    begin(folder, privacy, limits, target, force=force)
    source = read(table)
    prepared = synthesizer.prepare(
        source,
        schema,
        patient,
        max_minutes=max_minutes,
        on_text=on_text,
        pii=pii,
        privacy=privacy,
        rules=rules,
    )

    def draw(draft: Path, seed: int) -> Draft:
        records, types = synthesizer.sample_batches(n, seed=seed), synthesizer.schema.pandas_types
        place, encoder = draft / DATA, synthesizer.artifact.encoder
        return Draft(
            place,
            {"sampled_records": write_table(records, place, pandas_types=types)},
            tuple(zip(encoder.modelled, encoder.columns, strict=True)),
            lambda: read(place).table,
            lambda record: _compared(source.table, place, synthesizer, target, record, with_model),
        )

    return hand_over(
        folder,
        synthesizer,
        prepared,
        draw,
        privacy=privacy,
        limits=limits,
        with_model=with_model,
        force=force,
        tell=tell,
    )


def _compared(
    table: pa.Table,
    synthetic: Path,
    synthesizer: Synthesizer,
    target: str | None,
    record: Mapping[str, Any],
    with_model: bool,
) -> Report:
    """Report on the draft; it is attacked by the model file only if that is handed over."""
    from synthehr.evaluation.evaluate import evaluate
    from synthehr.io import read
    from synthehr.run.informed import loss_attack
    from synthehr.split import as_fitted

    schema = synthesizer.schema
    fitted, held_out = as_fitted(table, schema.patient, synthesizer.record)
    attacked = with_model and held_out.num_rows > 0
    known = {}
    if attacked:
        known = loss_attack(synthesizer.artifact, fitted, held_out, read(synthetic).table)
    return evaluate(
        fitted,
        synthetic,
        holdout=held_out if held_out.num_rows else None,
        schema=schema,
        target=target,
        record=record,
        informed=known,
        rules=synthesizer.artifact.rules,
    )
