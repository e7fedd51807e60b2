"""A folder to hand over, of visits: as `synthehr.release.records`, in the layout that came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.release.folder import DATA, FOLDER, Draft, Tell, begin, hand_over

if TYPE_CHECKING:
    from synthehr.encode.categorical import CategoricalColumn
    from synthehr.encode.numeric import NumericColumn
    from synthehr.encode.sequence import SequenceEncoder
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.io.visits import Layout, VisitTable
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema
    from synthehr.sequence_synthesizer import SequenceSynthesizer

IN_ONE_FILE = ("long", "wide")


def release_visits(
    data: Any,
    folder: Path,
    synthesizer: SequenceSynthesizer,
    *,
    schema: Path | Schema | None = None,
    patient: str | None = None,
    time: str | None = None,
    format: Layout | None = None,
    static: Sequence[str] | None = None,
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
    """Fit, draw patients, report, and write the folder in one move.

    Parameters
    ----------
    data : path or table, two of them, or a folder
        The real visits.
    folder : Path
        The folder to make.
    synthesizer : SequenceSynthesizer
        Not fitted yet.
    schema, patient, time, format, static, max_minutes, on_text, pii, privacy, rules
        As in `SequenceSynthesizer.fit`.
    n : int, optional
        How many patients; by default as many as are given to the fit.
    target, limits, with_model, force, tell
        As in `synthehr.release.records.release`.

    Returns
    -------
    dict
        Folder, files with their SHA-256, and the run record.

    Raises
    ------
    ConfigError
        If figures are to be gates of a release under differential privacy.
    InputError
        If too few patients would be held out.
    GateError
        If a gate fails: the folder then holds the report and no visits. If a private fit spent
        more than was asked for: there is no folder then.
    """
    from synthehr.evaluation.longitudinal.evaluate import FEWEST
    from synthehr.io.visits import read_visits, write_visits

    begin(folder, privacy, limits, target, force=force)
    real = read_visits(data, patient=patient, time=time, format=format, static=static)
    prepared = synthesizer.prepare(
        real,
        schema,
        static=static,
        max_minutes=max_minutes,
        on_text=on_text,
        pii=pii,
        privacy=privacy,
        rules=rules,
    )
    if privacy is None and len(prepared.held_out) < FEWEST:
        raise InputError(
            f"{len(prepared.held_out)} patients are held out, and visits are compared with "
            f"those of {FEWEST} at least",
            hint="give more patients; a tenth of them is held out",
        )

    def draw(draft: Path, seed: int) -> Draft:
        visits = _drawn(synthesizer, real, n, seed)
        place = draft / (DATA if visits.layout in IN_ONE_FILE else FOLDER)
        write_visits(visits, place)
        return Draft(
            place,
            {"sampled_patients": len(visits.offsets()) - 1},
            _learned(synthesizer.artifact.encoder),
            lambda: visits.table,
            lambda record: _compared(real, visits.table, synthesizer, target, with_model),
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


def _drawn(
    synthesizer: SequenceSynthesizer, real: VisitTable, n: int | None, seed: int
) -> VisitTable:
    from synthehr.io.visits import VisitTable

    return VisitTable(
        pa.concat_tables(synthesizer.sample_batches(n, seed=seed)),
        real.patient,
        real.time,
        tuple(synthesizer.record["static"]),
        real.layout,
        synthesizer.schema.pandas_types,
        details=real.details,
    )


def _compared(
    real: VisitTable,
    drawn: pa.Table,
    synthesizer: SequenceSynthesizer,
    target: str | None,
    with_model: bool,
) -> VisitEvaluation:
    """Report on the draft; it is attacked by the model file only if that is handed over."""
    from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
    from synthehr.run.visits.informed import loss_attack
    from synthehr.split import patients_as_fitted

    record = synthesizer.record
    fitted, held_out = patients_as_fitted(real.table, real.offsets(), record)
    return evaluate_visits(
        fitted,
        drawn,
        patient=real.patient,
        time=real.time,
        held_out=held_out if held_out.num_rows else None,
        target=target,
        schema=synthesizer.schema,
        rules=synthesizer.artifact.rules,
        unruled=record.get("drawn_without_rules"),
        informed=loss_attack(synthesizer.artifact) if with_model else None,
    )


def _learned(
    encoder: SequenceEncoder,
) -> tuple[tuple[str, NumericColumn | CategoricalColumn], ...]:
    """Give the learned columns; of time nothing but gaps is learned."""
    parts = (encoder.static, encoder.visits)
    columns = [pair for part in parts for pair in zip(part.modelled, part.columns, strict=True)]
    return tuple(pair for pair in columns if pair[0] != encoder.time)
