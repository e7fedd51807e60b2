"""The frame of every release: what is fitted is drawn, judged, explained, signed and handed over.

What was drawn is in the folder only if every gate holds; the report always is. Of a fit under
differential privacy the gate is the ledger, and the report is the releasable one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from synthehr.errors import ConfigError, GateError
from synthehr.gates import check_claim, release_failures

if TYPE_CHECKING:
    from synthehr.encode.categorical import CategoricalColumn
    from synthehr.encode.numeric import NumericColumn
    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.evaluation.longitudinal.report import VisitEvaluation
    from synthehr.evaluation.report import Report
    from synthehr.privacy.config import Privacy
    from synthehr.schema.table import Schema

    Evaluation = Report | VisitEvaluation | ImageEvaluation

DATA, FOLDER = "synthetic.parquet", "synthetic"
"""What was drawn: one file, or a layout of several."""
SUMS = "SHA256SUMS"
RELEASE = "a release"

Tell = Callable[[str], None]


class Draft(NamedTuple):
    """What was drawn into a draft of the folder.

    Attributes
    ----------
    place : Path
        The file or folder, which is taken away where a gate fails.
    counted : mapping of str to int
        How much it is, for the run record.
    learned : tuple of (name, column)
        Columns whose levels and ranges the model learned.
    columns : callable
        Gives what was drawn as a table, of images what is known of them.
    report : callable
        Compares it with real ones; it is given the run record.
    """

    place: Path
    counted: Mapping[str, int]
    learned: Sequence[tuple[str, NumericColumn | CategoricalColumn]]
    columns: Callable[[], pa.Table]
    report: Callable[[Mapping[str, Any]], Evaluation]


def is_release(folder: Path) -> bool:
    """Say whether a folder is an earlier release."""
    return (folder / SUMS).is_file()


def begin(
    folder: Path,
    privacy: Privacy | None,
    limits: Mapping[str, float] | None,
    target: str | None,
    *,
    force: bool,
) -> None:
    """Refuse a folder that holds something else, and gates that no ledger knows.

    Raises
    ------
    ArtifactError
        If the folder cannot be made.
    ConfigError
        Naming the option that would make a private release hang on more than its ledger.
    """
    from synthehr.io.folder import check_folder

    check_folder(folder, RELEASE, is_release, force)
    if privacy is None:
        return
    for name, value in (("--fail-under", limits), ("--target", target)):
        if value:
            raise ConfigError(
                f"{name} does not go with --epsilon: what is released would hang on figures of "
                "records that nobody charged for",
                hint="leave it out, and look at the figures with `synthehr report`, for yourself",
            )


def hand_over(
    folder: Path,
    synthesizer: Any,
    prepared: Any,
    draw: Callable[[Path, int], Draft],
    *,
    privacy: Privacy | None,
    limits: Mapping[str, float] | None,
    with_model: bool,
    force: bool,
    tell: Tell,
) -> dict[str, Any]:
    """Train what was prepared, and write the folder in one move.

    Parameters
    ----------
    folder : Path
        The folder to make; checked by `begin`.
    synthesizer, prepared : Synthesizer and Preparation, or those of visits or images
        Not trained yet.
    draw : callable
        Draws into a draft of the folder, by a seed.
    privacy, limits, with_model, force, tell
        As of `synthehr.release.records.release`.

    Returns
    -------
    dict
        Folder, files with their SHA-256, and the run record.

    Raises
    ------
    GateError
        If a gate fails: the folder then holds the report alone. If a private fit spent more
        than was asked for: there is no folder then.
    """
    from synthehr.io import write_table
    from synthehr.io.folder import replacing_folder
    from synthehr.seeds import settled

    for warning in prepared.warnings:
        tell(f"warning: {warning}")
    tell("fitting")
    synthesizer.train(prepared)
    ledger = None if privacy is None else check_claim(synthesizer.record, privacy)
    seed = settled(synthesizer.seed)
    with replacing_folder(folder, RELEASE, is_release, force=force) as draft:
        tell("drawing")
        drawn = draw(draft, seed)
        record = {**synthesizer.record, "sample_seed": seed, **drawn.counted}
        if ledger is None:
            tell("comparing with the real ones")
            page, failures = "report.html", _judged(draft, drawn.report(record), limits or {}, tell)
        else:
            page, failures = _publish(draft, drawn.columns(), synthesizer, ledger, tell), ()
        if failures:
            shutil.rmtree(drawn.place) if drawn.place.is_dir() else drawn.place.unlink()
        else:
            explained = _dictionary(synthesizer.schema, drawn.learned)
            write_table([explained], draft / "data_dictionary.csv")
            if with_model:
                synthesizer.save(draft / "model.synthehr")
        sums = _sign(draft)
    _conclude(folder, page, sums, failures, tell)
    return {"output": str(folder), "files": sums, "record": record}


def _judged(
    draft: Path, found: Evaluation, limits: Mapping[str, float], tell: Tell
) -> tuple[str, ...]:
    """Write the report, and say what keeps the draft from being released."""
    for part, why in found.results.not_measurable:
        tell(f"warning: {part} was not measured: {why}")
    found.to_html(draft / "report.html")
    found.to_json(draft / "report.json")
    return release_failures(found, limits)


def _dictionary(
    schema: Schema, columns: Iterable[tuple[str, NumericColumn | CategoricalColumn]]
) -> pa.Table:
    """Say of each column what a reader has to know, one row a column.

    Levels and ranges are those the model learned: enough patients hold each.
    """
    from synthehr.modes.given import learned

    known = dict(columns)
    rows = [
        {
            "column": column.name,
            "kind": column.kind,
            "role": column.role,
            "type": column.arrow_type,
            "unit": column.unit or "",
            "null": "yes" if column.nullable else "no",
            "values": learned(known[column.name]) if column.name in known else "",
        }
        for column in schema.columns
        if column.role != "drop"
    ]
    return pa.Table.from_pylist(rows)


def _publish(
    draft: Path, drawn: pa.Table, synthesizer: Any, ledger: Mapping[str, Any], tell: Tell
) -> str:
    """Write what may stand beside the records of a private fit, and name what to read.

    Where there are no columns beside images, that is the ledger alone.
    """
    from synthehr.io import write_text
    from synthehr.privacy.stated import warning_of
    from synthehr.release.releasable import releasable

    if warning := warning_of(ledger["epsilon"]):
        tell(f"warning: {warning}")
    tell("\n".join(ledger["claim"]))
    text = json.dumps(ledger, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(draft / "ledger.json", text + "\n")
    if not drawn.num_columns:
        return "ledger.json"
    releasable(drawn, synthesizer.schema, synthesizer.record).to_html(draft / "releasable.html")
    return "releasable.html"


def _sign(folder: Path) -> dict[str, str]:
    """Write the SHA-256 of every file beside them, as `sha256sum --check` reads it."""
    from synthehr.io import write_text

    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sums[path.relative_to(folder).as_posix()] = digest
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))
    return sums


def _conclude(
    folder: Path, page: str, sums: Mapping[str, str], failures: Sequence[str], tell: Tell
) -> None:
    """Tell what was written.

    Raises
    ------
    GateError
        If a gate failed, so that no records are in the folder.
    """
    if failures:
        raise GateError(
            f"no records were released: {'; '.join(failures)}",
            hint=f"read {folder / page}; train longer, or change a limit with "
            "--fail-under name=value",
        )
    tell(f"wrote {folder}: {', '.join(sums)}\nnext: read {folder / page}")
