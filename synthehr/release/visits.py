"""A folder to hand over, of visits: as `synthehr.release.records`, in the layout that came in.

The visits are in it only if every gate holds; the report always is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.gates import check_claim, release_failures
from synthehr.release.folder import (
    DATA,
    Tell,
    conclude,
    dictionary,
    is_release,
    publish,
    refuse_figures,
    sign,
)

if TYPE_CHECKING:
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.io.visits import Layout, VisitTable
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema
    from synthehr.sequence_synthesizer import SequenceSynthesizer

IN_ONE_FILE = ("long", "wide")
FOLDER = "synthetic"
"""Where the visits go, in a layout of several files."""


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
    from synthehr.io.folder import check_folder, replacing_folder
    from synthehr.io.visits import read_visits
    from synthehr.seeds import settled

    check_folder(folder, "a release", is_release, force)
    refuse_figures(privacy, limits, target)
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
    for warning in prepared.warnings:
        tell(f"warning: {warning}")
    tell(f"fitting {prepared.patients:,} patients")
    synthesizer.train(prepared)
    ledger = None if privacy is None else check_claim(synthesizer.record, privacy)
    seed = settled(synthesizer.seed)
    with replacing_folder(folder, "a release", is_release, force=force) as draft:
        tell("drawing patients")
        drawn = _drawn(synthesizer, real, n, seed)
        record = {**synthesizer.record, "sample_seed": seed}
        record["sampled_patients"] = len(drawn.offsets()) - 1
        if ledger is None:
            page, failures = _judged(draft, real, drawn, synthesizer, target, limits or {}, tell)
        else:
            schema, failures = synthesizer.schema, ()
            page = publish(draft, drawn.table, schema, synthesizer.record, ledger, tell)
        if not failures:
            _hand_over(draft, drawn, synthesizer, with_model)
        sums = sign(draft)
    conclude(folder, page, sums, failures, tell)
    return {"output": str(folder), "files": sums, "record": record}


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


def _judged(
    draft: Path,
    real: VisitTable,
    drawn: VisitTable,
    synthesizer: SequenceSynthesizer,
    target: str | None,
    limits: Mapping[str, float],
    tell: Tell,
) -> tuple[str, tuple[str, ...]]:
    """Write the report; give its page, and what keeps the visits from being released."""
    tell("comparing them with the real ones")
    found = _compared(real, drawn.table, synthesizer, target)
    for name, why in found.results.not_measurable:
        tell(f"warning: {name} was not measured: {why}")
    found.to_html(draft / "report.html")
    found.to_json(draft / "report.json")
    return "report.html", release_failures(found, limits)


def _hand_over(
    draft: Path, drawn: VisitTable, synthesizer: SequenceSynthesizer, with_model: bool
) -> None:
    """Write the visits in their layout, and what explains them."""
    from synthehr.io import write_table
    from synthehr.io.visits import write_visits

    write_visits(drawn, draft / (DATA if drawn.layout in IN_ONE_FILE else FOLDER))
    write_table([_explained(synthesizer)], draft / "data_dictionary.csv")
    if with_model:
        synthesizer.save(draft / "model.synthehr")


def _compared(
    real: VisitTable, drawn: pa.Table, synthesizer: SequenceSynthesizer, target: str | None
) -> VisitEvaluation:
    """Report on the draft, beside the patients who were held out."""
    from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
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
    )


def _explained(synthesizer: SequenceSynthesizer) -> pa.Table:
    """Make the data dictionary; of time nothing but gaps is learned."""
    encoder = synthesizer.artifact.encoder
    parts = (encoder.static, encoder.visits)
    columns = [
        pair for part in parts for pair in zip(part.modelled, part.columns, strict=True)
        if pair[0] != encoder.time
    ]  # fmt: skip
    return dictionary(synthesizer.schema, columns)
