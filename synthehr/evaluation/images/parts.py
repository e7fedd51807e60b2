"""The parts of an evaluation of images beside how like real ones they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.copies import exact_copies, exact_repeats
from synthehr.evaluation.images.features import Features
from synthehr.evaluation.images.memorisation import QUERIES, Memorised, memorisation
from synthehr.evaluation.images.nets import ImageClassifier
from synthehr.evaluation.images.sides import Sides
from synthehr.evaluation.images.transfer import classes_of, learned, read_by
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.task import figure

Told = Callable[[str], None]


def utility(
    whole: Sides, equal: Sides, domain: Features, clock: Clock, tell: Told
) -> Iterator[Metric]:
    """Train on synthetic and on as many real images, and read unseen real ones."""
    labels = equal.synthetic.labels
    classes = classes_of(*whole.each)
    if not equal.labelled or labels is None or domain.net is None:
        clock.give_up("learning from synthetic images", "not all images have labels")
        return
    if classes < 2 or len(np.unique(labels)) < 2:
        clock.give_up("learning from synthetic images", "there are no two classes")
        return
    seed = whole.net_seed()
    tell("a classifier of synthetic images")
    made = learned(equal.synthetic, classes, seed)
    net: ImageClassifier = domain.net
    if len(equal.trained) < len(whole.trained):
        tell("a classifier of as many real images")
        net = learned(equal.trained, classes, seed)
    ours, best = (read_by(each, whole.unseen, whole.rng("transfer")) for each in (made, net))
    n, m = len(equal.synthetic), len(whole.unseen)
    said = (
        f"trained on {n} synthetic images, read on {m} real ones of unseen patients; "
        "the interval does not hold the luck of the training"
    )
    yield from figure("utility", "tstr_auroc", ours.auroc, best.auroc.value, "higher",
        f"AUROC of a classifier {said}.")  # fmt: skip
    yield from figure("utility", "tstr_accuracy", ours.accuracy, best.accuracy.value, "higher",
        f"Share that a classifier reads rightly, {said}.")  # fmt: skip
    read = read_by(domain.net, whole.synthetic, whole.rng("conditional"))
    base = read_by(domain.net, whole.unseen, whole.rng("conditional"))
    yield from figure("utility", "conditional_correctness", read.accuracy, base.accuracy.value,
        "higher", "Share of synthetic images whose label a classifier trained on real images "
        "reads; beside it, of unseen real ones.")  # fmt: skip


def similarity(sides: Sides, features: Features, clock: Clock) -> tuple[list[Metric], Memorised]:
    """Look for training images among synthetic ones, in features and in pixels."""
    rng = sides.rng("queries")
    unseen, synthetic = sides.unseen.some(QUERIES, rng), sides.synthetic.some(QUERIES, rng)
    clock.cap("nearest training images", len(synthetic), len(sides.synthetic), "synthetic images")
    rows = list(_copies(sides))
    found = memorisation(sides.trained, unseen, synthetic, features, sides.rng("memorised"))
    rows += _memorised(found, features.name, None, sides)
    pixels = memorisation(sides.trained, unseen, synthetic, None, sides.rng("memorised"))
    rows += [
        metric._replace(column="pixels") for metric in _memorised(pixels, "pixels", None, sides)
    ]
    return rows, pixels


def _copies(sides: Sides) -> Iterator[Metric]:
    known = sides.trained
    yield from figure("similarity", "exact_copies", exact_copies(sides.synthetic, known),
        exact_copies(sides.unseen, known).value, "lower",
        "Share of synthetic images that are training images pixel by pixel, mirrored or not.")  # fmt: skip
    n = sides.n
    rng = sides.rng("repeats")
    yield from figure("similarity", "exact_repeats", exact_repeats(sides.synthetic.some(n, rng)),
        exact_repeats(known.some(n, rng)).value, "lower",
        "Share of synthetic images that another synthetic one equals.")  # fmt: skip


def _memorised(found: Memorised, name: str, column: str | None, sides: Sides) -> list[Metric]:
    near = (
        f"nearer in {name} than all but 1 % of training images are to another patient’s, "
        "mirror images included"
    )
    rows = [
        *figure("similarity", "memorised", found.images, found.images_base.value, "lower",
            f"Share of synthetic images with a training image {near}."),
        *figure("similarity", "patients_memorised", found.patients, found.patients_base, "lower",
            f"Share of training patients with such an image, by {len(found.nearest)} synthetic "
            "ones."),
        *figure("similarity", "near_repeats", found.repeated, found.repeated_base.value, "lower",
            f"Share of synthetic images with a synthetic image {near}."),
    ]  # fmt: skip
    if sides.held_out:
        rows += figure("similarity", "nearer_to_training", found.nearer, 0.5, "lower",
            f"Share of synthetic images nearer in {name} to training than to as many held-out "
            "images.")  # fmt: skip
    return [metric._replace(column=column) for metric in rows]
