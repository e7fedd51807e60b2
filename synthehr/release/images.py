"""A folder to hand over, of images: as `synthehr.release.records`, in the layout that came in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from synthehr.errors import InputError
from synthehr.gates import check_claim, release_failures
from synthehr.release.folder import (
    Tell,
    conclude,
    dictionary,
    is_release,
    publish,
    refuse_figures,
    sign,
)

if TYPE_CHECKING:
    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.image_synthesizer import ImageSynthesizer
    from synthehr.io.images import ImageSource
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.run.images.preparation import ImagePreparation
    from synthehr.schema.table import Schema

FOLDER = "synthetic"


def release_images(
    data: ImageSource | Path,
    folder: Path,
    synthesizer: ImageSynthesizer,
    *,
    schema: Path | Schema | None = None,
    labels: Path | None = None,
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
    """Fit, draw images, report, and write the folder in one move.

    Parameters
    ----------
    data : path or ImageSource
        The real images.
    folder : Path
        The folder to make.
    synthesizer : ImageSynthesizer
        Not fitted yet.
    schema, labels, patient, max_minutes, on_text, pii, privacy
        As in `ImageSynthesizer.fit`.
    target : str, optional
        The column of classes; by default "label".
    n : int, optional
        How many images; by default as many as are given to the fit.
    rules : Rules or path, optional
        Are refused: images keep none.
    limits, with_model, force, tell
        As in `synthehr.release.records.release`.

    Returns
    -------
    dict
        Folder, files with their SHA-256, and the run record.

    Raises
    ------
    ConfigError
        If rules are to be kept, or figures are to be gates of a release under differential
        privacy.
    InputError
        If too few patients would be held out.
    GateError
        If a gate fails: the folder then holds the report and no images. If a private fit spent
        more than was asked for: there is no folder then.
    """
    from synthehr.io.folder import check_folder, replacing_folder
    from synthehr.io.images import ImageSource, read_images
    from synthehr.seeds import settled

    check_folder(folder, "a release", is_release, force)
    refuse_figures(privacy, limits, target)
    if not isinstance(data, ImageSource):
        data = read_images(data, labels=labels, patient=patient)
    prepared = synthesizer.prepare(
        data,
        schema,
        max_minutes=max_minutes,
        on_text=on_text,
        pii=pii,
        privacy=privacy,
        rules=rules,
    )
    sides = None if privacy is not None else _sides(data, prepared)
    for warning in prepared.warnings:
        tell(f"warning: {warning}")
    tell("fitting images")
    synthesizer.train(prepared)
    ledger = None if privacy is None else check_claim(synthesizer.record, privacy)
    seed = settled(synthesizer.seed)
    with replacing_folder(folder, "a release", is_release, force=force) as draft:
        tell("drawing images")
        drawn = _written(draft / FOLDER, synthesizer, n, seed)
        record = {**synthesizer.record, "sample_seed": seed, "sampled_images": drawn.num_rows}
        page, failures = "report.html", ()
        if sides is not None:
            found = _compared(sides, draft / FOLDER, target, seed, tell)
            if with_model:
                found = found.joined([synthesizer.membership(data)], [])
            failures = _judged(found, draft, limits or {}, tell)
        elif ledger is not None:
            page = publish(draft, drawn, synthesizer.schema, synthesizer.record, ledger, tell)
        _finish(draft, synthesizer, with_model, failed=bool(failures))
        sums = sign(draft)
    conclude(folder, page, sums, failures, tell)
    return {"output": str(folder), "files": sums, "record": record}


def _written(folder: Path, synthesizer: ImageSynthesizer, n: int | None, seed: int) -> pa.Table:
    """Draw images and write them in the layout that was fitted; give their columns."""
    from synthehr.io.images import write_images

    drawn, layout = synthesizer.sample(n, seed=seed), synthesizer.artifact.layout
    write_images(folder, drawn.images, drawn.records, layout, masks=drawn.masks)
    return drawn.records


def _sides(source: ImageSource, prepared: ImagePreparation) -> list[ImageSource]:
    """Give fitted and held-out images.

    Raises
    ------
    InputError
        If too few patients are held out to compare with.
    """
    from synthehr.evaluation.images.sides import FEWEST
    from synthehr.run.images.preparation import split_rows
    from synthehr.split import patients_of

    options = prepared.options
    sides = split_rows(source, options.share_held_out, options.seed, prepared.as_told)
    owners = patients_of(source.records, source.patient)
    held_out = len(sides[1]) if owners is None else len(np.unique(owners[sides[1]]))
    if held_out < FEWEST:
        raise InputError(
            f"{held_out} patients are held out, and images are compared with those of "
            f"{FEWEST} at least",
            hint="give images of more patients; a tenth of them is held out",
        )
    return [source.take(rows) for rows in sides]


def _compared(
    sides: list[ImageSource], synthetic: Path, target: str | None, seed: int, tell: Tell
) -> ImageEvaluation:
    """Report on fitted, synthetic and held-out images."""
    from synthehr.evaluation.images.evaluate import evaluate_images
    from synthehr.evaluation.images.reading import sets_of
    from synthehr.io.images import read_images

    fitted, aside = sides
    real, drawn, unseen = sets_of([fitted, read_images(synthetic), aside], target=target)
    return evaluate_images(real, drawn, unseen, seed=seed, progress=tell)


def _judged(
    found: ImageEvaluation, draft: Path, limits: Mapping[str, float], tell: Tell
) -> tuple[str, ...]:
    """Write the report, and say what keeps the images from being released."""
    for name, why in found.results.not_measurable:
        tell(f"warning: {name} was not measured: {why}")
    found.to_html(draft / "report.html")
    found.to_json(draft / "report.json")
    return release_failures(found, limits)


def _finish(draft: Path, synthesizer: ImageSynthesizer, with_model: bool, *, failed: bool) -> None:
    """Put what explains the images beside them, or take them away."""
    from synthehr.io import write_table

    if failed:
        shutil.rmtree(draft / FOLDER)
        return
    write_table([_explained(synthesizer)], draft / "data_dictionary.csv")
    if with_model:
        synthesizer.save(draft / "model.synthehr")


def _explained(synthesizer: ImageSynthesizer) -> pa.Table:
    table = synthesizer.artifact.encoder.table
    columns = [] if table is None else zip(table.modelled, table.columns, strict=True)
    return dictionary(synthesizer.schema, columns)
