"""What synthetic images add to a small training set of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from synthehr.errors import InputError
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.sides import sides_of
from synthehr.evaluation.images.transfer import classes_of, learned, read_by
from synthehr.evaluation.metric import Estimate

SHARES = (0.0, 1.0, 3.0)


class Augmented(NamedTuple):
    """A classifier that was trained on real and synthetic images.

    Attributes
    ----------
    share : float
        Synthetic images for each real one.
    auroc, accuracy : Estimate
        On unseen real images; the intervals are over their patients.
    """

    share: float
    auroc: Estimate
    accuracy: Estimate


def mixed(real: ImageRecords, synthetic: ImageRecords, share: float, seed: int) -> ImageRecords:
    """Add `share` synthetic images for each real one, drawn at random; in random order.

    Raises
    ------
    InputError
        If there are too few synthetic ones, or one side has no labels.
    """
    wanted = round(share * len(real))
    if wanted > len(synthetic):
        raise InputError(
            f"{wanted} synthetic images are needed, and there are {len(synthetic)}",
            hint="draw more, or ask for a smaller share",
        )
    if real.labels is None or synthetic.labels is None:
        raise InputError("not all images have labels", hint="give labels")
    rng = np.random.default_rng(seed)
    added = synthetic.some(wanted, rng) if wanted else synthetic.take(np.zeros(0, dtype=np.int64))
    assert added.labels is not None
    order = rng.permutation(len(real) + len(added))
    return replace(
        real,
        pixels=np.concatenate([real.unit(), added.unit()])[order],
        labels=np.concatenate([real.labels, added.labels])[order],
        patients=None,
        masks=None,
    )


def augmentation_gain(
    real: ImageRecords,
    synthetic: ImageRecords,
    holdout: ImageRecords,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> tuple[Augmented, ...]:
    """Train a small classifier on real images with more and more synthetic ones among them.

    Parameters
    ----------
    real : ImageRecords
        The real training images, with labels.
    synthetic : ImageRecords
        Synthetic images with labels of the same classes.
    holdout : ImageRecords
        Real images of other patients, by which the classifiers are judged.
    shares : sequence of float
        Synthetic images for each real one; 0 is what all others stand beside.
    seed : int
        Of the order and the start of training, the same for all.

    Raises
    ------
    InputError
        If there are too few images, or they do not belong together.
    """
    sides = sides_of(real, synthetic, holdout, seed, Clock(np.inf))
    classes = classes_of(*sides.each)
    found = []
    for share in shares:
        net = learned(mixed(sides.trained, sides.synthetic, share, seed), classes, seed)
        read = read_by(net, sides.unseen, sides.rng("augmentation"))
        found.append(Augmented(share, read.auroc, read.accuracy))
    return tuple(found)
