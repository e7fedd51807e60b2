"""The figures of training images among synthetic ones."""

from __future__ import annotations

from collections.abc import Iterator

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.copies import exact_copies, exact_repeats
from synthehr.evaluation.images.features import Features
from synthehr.evaluation.images.memorisation import QUERIES, Memorised, memorisation
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.sides import Sides
from synthehr.evaluation.metric import Estimate, Metric
from synthehr.evaluation.task import figure


def similarity(
    sides: Sides, features: Features, clock: Clock
) -> tuple[list[Metric], Memorised, ImageRecords]:
    """Look for training images among synthetic ones, in features and in pixels.

    Returns
    -------
    tuple
        The figures, those of pixels with the column "pixels"; what was found in pixels; and the
        synthetic images that were looked at.
    """
    rng = sides.rng("queries")
    unseen, synthetic = sides.unseen.some(QUERIES, rng), sides.synthetic.some(QUERIES, rng)
    clock.cap("nearest training images", len(synthetic), len(sides.synthetic), "synthetic images")
    ours, pixels = (
        memorisation(sides.trained, unseen, synthetic, each, sides.rng("memorised"))
        for each in (features, None)
    )
    rows = [
        *_copies(sides),
        *_memorised(ours, features.name, sides.held_out),
        *(
            metric._replace(column="pixels")
            for metric in _memorised(pixels, "pixels", sides.held_out)
        ),
    ]
    return rows, pixels, synthetic


def _copies(sides: Sides) -> Iterator[Metric]:
    known, rng = sides.trained, sides.rng("repeats")
    copied, base = (exact_copies(each, known) for each in (sides.synthetic, sides.unseen))
    said = "Share of synthetic images that equal a training image, mirrored or not."
    yield _row("exact_copies", copied, base.value, said)
    repeated, base = (exact_repeats(each.some(sides.n, rng)) for each in (sides.synthetic, known))
    said = "Share of synthetic images that another one equals."
    yield _row("exact_repeats", repeated, base.value, said)


def _memorised(found: Memorised, name: str, held_out: bool) -> Iterator[Metric]:
    near = (
        f"nearer in {name} than all but 1 % of training images are to another patient’s, mirror "
        "images included."
    )
    said = f"Share of synthetic images with a training image {near}"
    yield _row("memorised", found.images, found.images_base.value, said)
    said = f"Share of training patients with such an image, by {len(found.nearest)} synthetic ones."
    yield from figure(
        "similarity", "patients_memorised", found.patients, found.patients_base, "lower", said
    )
    said = f"Share of synthetic images with another synthetic one {near}"
    yield _row("near_repeats", found.repeated, found.repeated_base.value, said)
    if held_out:
        said = f"Share nearer in {name} to training than to held-out images of as many patients."
        yield _row("nearer_to_training", found.nearer, 0.5, said)


def _row(name: str, value: Estimate, base: float, said: str) -> Metric:
    return Metric("similarity", name, value.value, base, value.low, value.high, "lower", said)
