"""The one call that measures synthetic images."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.features import (
    Features,
    Plug,
    domain_classifier,
    pixels_pca,
    plugged,
    random_net,
)
from synthehr.evaluation.images.likeness import likeness
from synthehr.evaluation.images.parts import diverse, masks, utility
from synthehr.evaluation.images.pictures import neighbours, samples, suspects
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.report import ImageEvaluation
from synthehr.evaluation.images.results import FeatureRecord, ImageResults
from synthehr.evaluation.images.sides import Sides, named, sides_of
from synthehr.evaluation.images.similarity import similarity
from synthehr.seeds import settled


def evaluate_images(
    real: ImageRecords,
    synthetic: ImageRecords,
    holdout: ImageRecords | None = None,
    *,
    features: Plug | None = None,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> ImageEvaluation:
    """Compare synthetic images with real ones, every figure beside what real ones score.

    Synthetic images are compared with held-out ones; without them real patients are split, and
    one half is what synthetic and, for the floor, the other half are compared with. Nets are
    trained on the training side only.

    Parameters
    ----------
    real : ImageRecords
        The images that the synthetic ones were made from.
    synthetic : ImageRecords
        The synthetic images.
    holdout : ImageRecords, optional
        Images of other real patients.
    features : callable, optional
        From pixels of shape (n, C, H, W), 0 to 1, to features (n, D): what figures without a
        name beside them are measured in, in place of the domain classifier. Its attribute
        `name`, or else its name, is the one that scores carry; an attribute `sha256` is kept.
    seed : int, optional
        Seed of every split, net and resample; 0 by default.
    progress : callable, optional
        Is told which part begins.

    Returns
    -------
    ImageEvaluation

    Raises
    ------
    InputError
        If there are too few images or patients, or they do not belong together.
    ConfigError
        If `features` does not give one row of finite numbers an image.
    """
    clock, chosen = Clock(np.inf), 0 if seed is None else settled(seed)
    tell = progress or (lambda text: None)
    whole = sides_of(real, synthetic, holdout, chosen, clock)
    equal = whole.equal()
    tell("a classifier of real images")
    domain = domain_classifier(whole.trained, whole.unseen, whole.net_seed())
    ladder = list(_ladder(whole, domain, features))
    rows = []
    for k, each in enumerate(ladder):
        tell(f"distances in features {each.name}")
        rows += likeness(each, equal, column=each.name if k else None)
    rows += diverse(equal)
    rows += utility(whole, equal, domain, clock, tell)
    rows += masks(whole, equal, clock, tell)
    tell("nearest training images")
    copies, found, shown = similarity(whole, ladder[0], clock)
    rows += copies
    sheets = (
        *samples(whole, named(real)),
        neighbours(whole, ladder[0], shown),
        suspects(whole, found, shown),
    )
    sets = (real, synthetic, holdout)
    results = ImageResults(
        rows=tuple(sorted(rows, key=lambda metric: metric.column is not None)),
        features=tuple(
            FeatureRecord(each.name, each.width, each.sha256, each.accuracy, each.chance)
            for each in ladder
        ),
        sheets=sheets,
        caps=tuple(clock.caps),
        not_measurable=tuple(clock.not_measurable),
        images=_counts([0 if each is None else len(each) for each in sets]),
        patients=_counts([0 if each is None else each.n_patients for each in sets]),
        shape=real.pixels.shape[1:],
        class_names=named(real),
        ceiling_from="halves" if holdout is None else "holdout",
        seed=chosen,
        seconds=clock.spent,
    )
    return ImageEvaluation(results)


def _ladder(whole: Sides, domain: Features, plug: Plug | None) -> Iterator[Features]:
    """Give all features, those that count most first."""
    if plug is not None:
        name = getattr(plug, "name", None) or getattr(plug, "__name__", "plug-in")
        yield plugged(str(name), plug, whole.trained)
    yield domain
    yield pixels_pca(whole.trained)
    yield random_net(whole.trained, whole.net_seed())


def _counts(numbers: list[int]) -> tuple[int, int, int]:
    return numbers[0], numbers[1], numbers[2]
