"""A folder to hand over: synthetic records, report, data dictionary and checksums.

The records are in it only if every gate holds; the report always is. Of a fit under
differential privacy the gate is the ledger, and the report is the releasable one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from synthehr.errors import ConfigError, GateError
from synthehr.gates import check_claim, release_failures

if TYPE_CHECKING:
    from synthehr.evaluation.report import Report
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema
    from synthehr.synthesizer import Synthesizer

DATA = "synthetic.parquet"
SUMS = "SHA256SUMS"


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
    limits: Mapping[str, float] | None = None,
    with_model: bool = False,
    force: bool = False,
    tell: Callable[[str], None] = lambda text: None,
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
    schema, patient, max_minutes, on_text, pii, privacy
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
    from synthehr.io.folder import check_folder, replacing_folder
    from synthehr.seeds import settled

    check_folder(folder, "a release", _is_release, force)
    _refuse_figures(privacy, limits, target)
    source = read(table)
    prepared = synthesizer.prepare(
        source,
        schema,
        patient,
        max_minutes=max_minutes,
        on_text=on_text,
        pii=pii,
        privacy=privacy,
    )
    for warning in prepared.warnings:
        tell(f"warning: {warning}")
    tell(f"fitting {len(prepared.codes):,} records")
    synthesizer.train(prepared)
    ledger = None if privacy is None else check_claim(synthesizer.record, privacy)
    seed = settled(synthesizer.seed)
    with replacing_folder(folder, "a release", _is_release, force=force) as draft:
        tell("drawing records")
        records, types = synthesizer.sample_batches(n, seed=seed), synthesizer.schema.pandas_types
        drawn = write_table(records, draft / DATA, pandas_types=types)
        record = {**synthesizer.record, "sample_seed": seed, "sampled_records": drawn}
        if ledger is None:
            tell("comparing them with the real ones")
            found = _compared(source.table, draft / DATA, synthesizer, target, record, with_model)
            page, failures = "report.html", release_failures(found, limits or {})
            found.to_html(draft / page)
            found.to_json(draft / "report.json")
        else:
            page, failures = "releasable.html", ()
            _publish(draft, synthesizer, ledger, tell)
        if failures:
            (draft / DATA).unlink()
        else:
            write_table([dictionary(synthesizer)], draft / "data_dictionary.csv")
            if with_model:
                synthesizer.save(draft / "model.synthehr")
        sums = _sign(draft)
    if failures:
        raise GateError(
            f"no records were released: {'; '.join(failures)}",
            hint=f"read {folder / page}; train longer, or change a limit with "
            "--fail-under name=value",
        )
    tell(f"wrote {folder}: {', '.join(sums)}\nnext: read {folder / page}")
    return {"output": str(folder), "files": sums, "record": record}


def dictionary(synthesizer: Synthesizer) -> pa.Table:
    """Say of each column what a reader of the records has to know, one row a column.

    Levels and ranges are those the model learned: enough patients hold each.
    """
    from synthehr.modes.given import learned

    encoder = synthesizer.artifact.encoder
    modelled = dict(zip(encoder.modelled, encoder.columns, strict=True))
    rows = [
        {
            "column": column.name,
            "kind": column.kind,
            "role": column.role,
            "type": column.arrow_type,
            "unit": column.unit or "",
            "null": "yes" if column.nullable else "no",
            "values": learned(modelled[column.name]) if column.name in modelled else "",
        }
        for column in synthesizer.schema.columns
        if column.role != "drop"
    ]
    return pa.Table.from_pylist(rows)


def _refuse_figures(
    privacy: Privacy | None,
    limits: Mapping[str, float] | None,
    target: str | None,
) -> None:
    """Refuse what would make a private release hang on more than its ledger."""
    if privacy is None:
        return
    for name, value in (("--fail-under", limits), ("--target", target)):
        if value:
            raise ConfigError(
                f"{name} does not go with --epsilon: what is released would hang on figures of "
                "records that nobody charged for",
                hint="leave it out, and look at the figures with `synthehr report`, for yourself",
            )


def _publish(
    draft: Path,
    synthesizer: Synthesizer,
    ledger: Mapping[str, Any],
    tell: Callable[[str], None],
) -> None:
    """Write what may stand beside the records of a private fit."""
    from synthehr.io import read, write_text
    from synthehr.privacy.stated import warning_of
    from synthehr.releasable import releasable

    if warning := warning_of(ledger["epsilon"]):
        tell(f"warning: {warning}")
    tell("\n".join(ledger["claim"]))
    text = json.dumps(ledger, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(draft / "ledger.json", text + "\n")
    drawn = read(draft / DATA).table
    releasable(drawn, synthesizer.schema, synthesizer.record).to_html(draft / "releasable.html")


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


def _sign(folder: Path) -> dict[str, str]:
    """Write the SHA-256 of every file beside them, as `sha256sum --check` reads it."""
    from synthehr.io import write_text

    sums = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    return sums


def _is_release(folder: Path) -> bool:
    return (folder / SUMS).is_file()
