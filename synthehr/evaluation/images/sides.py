"""Which images stand for what: synthetic ones, those they were made from, and unseen real ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthehr.errors import InputError
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.manifold import K
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.results import SMALLEST
from synthehr.evaluation.task import generator_of

FEWEST = 20
"""Images, and patients, of each side without whom nothing is measured."""
MOST_TRAINED, MOST_SYNTHETIC, MOST_UNSEEN = 20_000, 10_000, 5_000

assert FEWEST > 2 * K


@dataclass(frozen=True)
class Sides:
    """The images of an evaluation.

    Attributes
    ----------
    trained : ImageRecords
        Real images that the synthetic ones were made from, or one half of the patients.
    unseen : ImageRecords
        Real images of other patients: held out, or the other half.
    synthetic : ImageRecords
        The synthetic images.
    held_out : bool
        Whether unseen images were held out.
    seed : int
        Each part has generators of its own.
    """

    trained: ImageRecords
    unseen: ImageRecords
    synthetic: ImageRecords
    held_out: bool
    seed: int

    @property
    def labelled(self) -> bool:
        """Whether all images have labels."""
        return all(side.labels is not None for side in self.each)

    @property
    def masked(self) -> bool:
        """Whether all images have masks."""
        return all(side.masks is not None for side in self.each)

    @property
    def each(self) -> tuple[ImageRecords, ImageRecords, ImageRecords]:
        """Trained, unseen and synthetic images."""
        return self.trained, self.unseen, self.synthetic

    @property
    def n(self) -> int:
        """Synthetic images that are compared, and as many trained ones."""
        return min(len(self.trained), len(self.synthetic))

    def equal(self) -> Sides:
        """Give as many synthetic as trained images, drawn at random."""
        rng = self.rng("equal")
        return Sides(
            self.trained.some(self.n, rng),
            self.unseen,
            self.synthetic.some(self.n, rng),
            self.held_out,
            self.seed,
        )

    def rng(self, part: str) -> np.random.Generator:
        """Return the generator of a part, always at its start."""
        return generator_of(self.seed, "images", *part.encode())

    def net_seed(self) -> int:
        """Give the seed of nets that are trained: one for all, so that they differ by images."""
        return int(self.rng("nets").integers(2**31))


def sides_of(
    real: ImageRecords,
    synthetic: ImageRecords,
    holdout: ImageRecords | None,
    seed: int,
    clock: Clock,
) -> Sides:
    """Say which images stand for what, and leave out what would take too long.

    Raises
    ------
    InputError
        If there are too few images or patients, their sizes differ, a patient is real and held
        out, or the synthetic images are the real ones.
    """
    given = {"real": real, "synthetic": synthetic}
    given |= {} if holdout is None else {"held-out": holdout}
    for name, images in given.items():
        fewest = 2 * FEWEST if holdout is None and name == "real" else FEWEST
        if images.n_patients < fewest:
            raise InputError(
                f"there are {name} images of {images.n_patients} patients; {fewest} are needed",
                hint="give more images; without a column of patients each is one's own",
            )
        if images.pixels.shape[1:] != real.pixels.shape[1:]:
            raise InputError(
                f"{name} images have another size or other channels than the real ones",
                hint="give synthetic images as they were drawn, beside images read the same way",
            )
    _check_apart(real, synthetic, holdout)
    rng = generator_of(seed, "halves")
    trained, unseen = real, holdout
    if unseen is None:
        who = real.who
        second = rng.permutation(real.n_patients)[who] >= real.n_patients // 2
        trained, unseen = real.take(~second), real.take(second)
    kept = []
    for part, images, most in (
        ("real images", trained, MOST_TRAINED),
        ("held-out images", unseen, MOST_UNSEEN),
        ("synthetic images", synthetic, MOST_SYNTHETIC),
    ):
        clock.cap(part, min(most, len(images)), len(images), "images")
        kept.append(images.some(most, rng))
    return Sides(*kept, held_out=holdout is not None, seed=seed)


def named(real: ImageRecords) -> tuple[str, ...]:
    """Name the classes; one of fewer real patients than a report may show has only a number."""
    who = real.who
    held = [
        real.labels is not None and len(np.unique(who[real.labels == k])) >= SMALLEST
        for k in range(len(real.class_names))
    ]
    return tuple(
        name if often else f"rare class {k}"
        for k, (name, often) in enumerate(zip(real.class_names, held, strict=True))
    )


def _check_apart(real: ImageRecords, synthetic: ImageRecords, holdout: ImageRecords | None) -> None:
    if real.pixels.shape == synthetic.pixels.shape and (
        real.pixels is synthetic.pixels or np.array_equal(real.pixels, synthetic.pixels)
    ):
        raise InputError(
            "the synthetic images are the real ones",
            hint="name the images that were drawn from the model, in the second place",
        )
    if holdout is None or holdout.patients is None or real.patients is None:
        return
    shared = np.intersect1d(real.patients, holdout.patients)
    if len(shared):
        raise InputError(
            f"{len(shared)} patients have real and held-out images",
            hint="hold whole patients out before fitting, and give the rest as real",
        )
