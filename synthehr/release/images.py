"""A folder to hand over, of images: as `synthehr.release.records`, in the layout that came in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from synthehr.errors import ConfigError, InputError
from synthehr.release.folder import FOLDER, Draft, Tell, begin, hand_over

if TYPE_CHECKING:
    from synthehr.evaluation.images.report import ImageEvaluation
    from synthehr.image_synthesizer import ImageSynthesizer
    from synthehr.io.images import ImageSource
    from synthehr.modes.constraints import Rules
    from synthehr.privacy.config import Privacy
    from synthehr.run.images.preparation import ImagePreparation
    from synthehr.schema.table import Schema


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
    from synthehr.io.images import ImageSource, read_images, write_images

    begin(folder, privacy, limits, target, force=force)
    source = (
        data if isinstance(data, ImageSource) else read_images(data, labels=labels, patient=patient)
    )
    prepared = synthesizer.prepare(
        source,
        schema,
        max_minutes=max_minutes,
        on_text=on_text,
        pii=pii,
        privacy=privacy,
        rules=rules,
    )
    sides = None if privacy is not None else _sides(source, prepared)

    def draw(draft: Path, seed: int) -> Draft:
        drawn, artifact = synthesizer.sample(n, seed=seed), synthesizer.artifact
        place, table = draft / FOLDER, artifact.encoder.table
        write_images(place, drawn.images, drawn.records, artifact.layout, masks=drawn.masks)

        def report(record: Mapping[str, Any]) -> ImageEvaluation:
            assert sides is not None
            found = _compared(sides, place, target, seed, tell)
            return _attacked(found, synthesizer, source, tell) if with_model else found

        return Draft(
            place,
            {"sampled_images": len(drawn.images)},
            () if table is None else tuple(zip(table.modelled, table.columns, strict=True)),
            lambda: drawn.records,
            report,
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


def _attacked(
    found: ImageEvaluation, synthesizer: ImageSynthesizer, source: ImageSource, tell: Tell
) -> ImageEvaluation:
    """Attack the model file that is handed over, if its model can tell anything."""
    try:
        return found.joined([synthesizer.membership(source)], [])
    except ConfigError as error:
        tell(f"warning: the model file was not attacked: {error.message}")
        return found
