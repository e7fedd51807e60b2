"""`synthehr report` on images."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.evaluation.images.features import Plug
    from synthehr.evaluation.images.report import ImageEvaluation

UNUSED = ("--audit deep", "--rules", "--by", "--schema", "--time")


def for_images(real: Path, synthetic: Path, asked: Mapping[str, Any]) -> bool:
    """Say whether a report compares images.

    Parameters
    ----------
    real, synthetic : path
        The two places.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.

    Raises
    ------
    ConfigError
        If only one of the places holds images, or an option of images was given for tables.
    """
    from synthehr.io.images import is_images

    if asked["--image-column"] is not None:
        return True
    found = [is_images(path) for path in (real, synthetic)]
    if found[0] != found[1]:
        which = "first" if found[0] else "second"
        raise ConfigError(
            f"only the {which} of the two places holds images",
            hint="compare images with images, or tables with tables",
        )
    for name in ("--features", "--reading-sheet"):
        if asked[name] is not None and not found[0]:
            raise ConfigError(f"{name} is for images", hint="leave it out for tables")
    return found[0]


def assess_images(
    real: Path,
    synthetic: Path,
    asked: Mapping[str, Any],
    *,
    force: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> ImageEvaluation:
    """Compare synthetic with real images.

    Parameters
    ----------
    real, synthetic : path
        Folders, .npz, DICOM or NIfTI files.
    asked : mapping of str to value
        The options of `synthehr report` by name; None where not given.
    force : bool
        Overwrite existing files.
    tell : callable
        Is told how far the work is, and warnings.

    Raises
    ------
    ConfigError
        If an option does not go with images.
    InputError
        If images cannot be read or do not belong together.
    """
    from synthehr.evaluation.images.evaluate import evaluate_images
    from synthehr.evaluation.images.reading import read_sets
    from synthehr.evaluation.images.reading_sheet import write_reading_sheet

    for name in UNUSED:
        if asked[name] is not None:
            raise ConfigError(
                f"{name} does not go with images",
                hint="leave it out; name held-out images with --holdout",
            )
    plug = None if asked["--features"] is None else plug_of(asked["--features"])
    quiz, seed = asked["--reading-sheet"], asked["--seed"]
    sets = read_sets(
        [path for path in (real, synthetic, asked["--holdout"]) if path is not None],
        patient=asked["--patient"],
        image_column=asked["--image-column"],
        target=asked["--target"],
        tell=tell,
    )
    holdout = sets[2] if len(sets) > 2 else None
    if quiz is not None:
        key = write_reading_sheet(holdout or sets[0], sets[1], quiz, seed=seed, force=force)
        tell(f"wrote {quiz} and its key {key.name}, which readers must not see")
    found = evaluate_images(sets[0], sets[1], holdout, features=plug, seed=seed, progress=tell)
    return found if asked["--model"] is None else _informed(found, real, asked)


def _informed(found: ImageEvaluation, real: Path, asked: Mapping[str, Any]) -> ImageEvaluation:
    """Add what only the model file tells."""
    from synthehr.evaluation.images.pictures import COLUMNS, ROWS, walks
    from synthehr.io.images import read_images
    from synthehr.run.images.artifact import load_images
    from synthehr.run.images.informed import membership_by_model
    from synthehr.run.images.latents import drawn_walks

    artifact = load_images(asked["--model"])
    source = read_images(real, image_column=asked["--image-column"], patient=asked["--patient"])
    metric = membership_by_model(artifact, source)
    walked = drawn_walks(artifact, ROWS, COLUMNS, found.results.seed)
    return found.joined([metric], [walks(walked)])


def plug_of(text: str) -> Plug:
    """Import the function that `module:function` names.

    Raises
    ------
    ConfigError
        If there is none.
    """
    module, _, name = text.partition(":")
    found: Any = None
    with suppress(ImportError, AttributeError, ValueError):
        found = getattr(importlib.import_module(module), name)
    if not callable(found):
        raise ConfigError(
            "--features names no function that can be imported",
            hint="write it as module:function; the module's folder must be on PYTHONPATH",
        )
    return cast("Plug", found)
