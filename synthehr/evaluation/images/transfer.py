"""Whether classifiers learn from synthetic images what they learn from real ones.

Train on synthetic, test on real (TSTR), beside the same net trained on as many real images
(TRTR); and whether a net trained on real images reads the label that a synthetic one was made
for.

References
----------
Esteban et al., 2017, arXiv:1706.02633; Ravuri and Vinyals, 2019, arXiv:1905.10887
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from synthehr.evaluation.images.nets import ImageClassifier, trained
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.metric import Estimate, bootstrap
from synthehr.evaluation.scores import mean_auroc_of


class ImageReading(NamedTuple):
    """How well a classifier reads images: intervals over their patients."""

    accuracy: Estimate
    auroc: Estimate


def classes_of(*sets: ImageRecords) -> int:
    """Count the classes that sets of images share."""
    known = [each.labels for each in sets if each.labels is not None and len(each)]
    named = max(len(each.class_names) for each in sets)
    return named or max((int(labels.max()) + 1 for labels in known), default=0)


def learned(images: ImageRecords, classes: int, seed: int) -> ImageClassifier:
    """Train the classifier on labelled images."""
    assert images.labels is not None
    return trained(images, images.labels, classes, seed)


def read_by(net: ImageClassifier, images: ImageRecords, rng: np.random.Generator) -> ImageReading:
    """Score a classifier on labelled images.

    Parameters
    ----------
    net : ImageClassifier
        The classifier.
    images : ImageRecords
        Images with labels that it never saw.
    rng : Generator
        Source of the resampling of patients.
    """
    assert images.labels is not None
    shares = net.shares(images)
    area = mean_auroc_of(images.labels, shares)
    right = (shares.argmax(axis=1) == images.labels).astype(np.float64)
    return ImageReading(
        bootstrap(lambda weights: float(np.average(right, weights=weights)), images.who, rng),
        bootstrap(area, images.who, rng),
    )
