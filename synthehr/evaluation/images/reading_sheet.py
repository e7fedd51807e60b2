"""A blinded quiz for experts: real and synthetic images mixed, one at a time, in a single page.

Which is which stands in a key beside the page, never in it. The page holds images of real
patients: it is for readers who may see them.
"""

from __future__ import annotations

import csv
import io
import secrets
from os import PathLike
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from synthehr.errors import InputError
from synthehr.evaluation import words
from synthehr.evaluation.html import environment, interactive_policy, style
from synthehr.evaluation.images.pictures import png, strip_of
from synthehr.evaluation.images.records import ImageRecords
from synthehr.io.atomic import check_target, write_text
from synthehr.seeds import generator, settled

EACH = 50
"""Real, and synthetic, images of a quiz; fewer make for wide intervals."""
REASONS = ("texture or noise", "anatomy", "edges or artefacts", "contrast", "a guess")
KEY_COLUMNS = ("quiz", "item", "origin")


def key_of(path: str | PathLike[str]) -> Path:
    """Name the key that goes with a quiz: `quiz.html` has `quiz-key.csv`."""
    return Path(path).with_name(Path(path).stem + "-key.csv")


def write_reading_sheet(
    real: ImageRecords,
    synthetic: ImageRecords,
    path: str | PathLike[str],
    *,
    each: int = EACH,
    seed: int | None = None,
    force: bool = False,
) -> Path:
    """Write a quiz of real and synthetic images, and its key beside it.

    Real images are of different patients, and, where labels are known, of the classes that the
    synthetic ones have.

    Parameters
    ----------
    real, synthetic : ImageRecords
        The images that are drawn from; take real ones that the model never saw, if there are any.
    path : path
        Where to write the page; the key goes to `key_of(path)`.
    each : int
        Real, and synthetic, images.
    seed : int, optional
        Seed of the choice and the order; fresh by default.
    force : bool
        Overwrite existing files.

    Returns
    -------
    Path
        The key: a CSV file with the columns quiz, item and origin.

    Raises
    ------
    InputError
        If there are too few images, or their sizes differ.
    """
    key = key_of(path)
    for target in (Path(path), key):
        check_target(target, force)
    if real.pixels.shape[1:] != synthetic.pixels.shape[1:]:
        raise InputError(
            "real and synthetic images have different sizes or channels, which gives them away",
            hint="read both in the same way",
        )
    rng = generator(settled(seed))
    chosen = _chosen(real, synthetic, each, rng)
    order = rng.permutation(2 * each)
    origins = np.repeat(["real", "synthetic"], each)[order]
    pixels = np.concatenate([real.unit(chosen[0]), synthetic.unit(chosen[1])])[order]
    quiz = secrets.token_hex(6)
    rows = [(quiz, str(item + 1), str(origin)) for item, origin in enumerate(origins)]
    write_text(path, _page(quiz, pixels), force=force)
    write_text(key, as_csv(KEY_COLUMNS, rows), force=force)
    return key


def _chosen(
    real: ImageRecords, synthetic: ImageRecords, each: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw rows of both: synthetic ones at random, real ones of as many of each class."""
    for name, images in (("real patients", real.n_patients), ("synthetic images", len(synthetic))):
        if images < each:
            raise InputError(
                f"there are {images} {name}, and a quiz takes {each}",
                hint="give more images, or ask for fewer",
            )
    fake = rng.permutation(len(synthetic))[:each]
    order = rng.permutation(len(real))
    order = order[np.sort(np.unique(real.who[order], return_index=True)[1])]
    if real.labels is None or synthetic.labels is None:
        return order[:each], fake
    wanted = np.bincount(synthetic.labels[fake], minlength=1)
    labels = real.labels[order]
    same = np.concatenate([order[labels == label][:n] for label, n in enumerate(wanted)])
    rest = order[~np.isin(order, same)]
    return np.concatenate([same, rest])[:each].astype(np.int64), fake


def _page(quiz: str, pixels: NDArray[np.float32]) -> str:
    css, script = style("report.css", "quiz.css", "internal.css"), style("quiz.js")
    size = pixels.shape[2:]
    times = max(1, round(384 / max(size)))
    return (
        environment()
        .get_template("quiz.html.j2")
        .render(
            css=Markup(css),
            height=size[0] * times,
            policy=interactive_policy(css, script),
            quiz=quiz,
            reasons=REASONS,
            script=Markup(script),
            sources=[png(strip_of(image[None])) for image in pixels],
            watermark=words.WATERMARK,
            width=size[1] * times,
        )
    )


def as_csv(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Write rows as CSV text."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return target.getvalue()
