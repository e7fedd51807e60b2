"""How like real images synthetic ones are, in one kind of features, beside other real ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.images.features import Features
from synthehr.evaluation.images.frechet import frechet, frechet_distance
from synthehr.evaluation.images.kernel import BLOCK, MOST, kernel_distance
from synthehr.evaluation.images.manifold import MOST as MOST_PAIRED
from synthehr.evaluation.images.manifold import manifold
from synthehr.evaluation.images.sides import Sides
from synthehr.evaluation.images.sliced import sliced_wasserstein
from synthehr.evaluation.metric import Better, Estimate, Metric, Section
from synthehr.evaluation.task import figure

_SHARES: tuple[tuple[str, Section, Better, str], ...] = (
    ("precision", "fidelity", "higher", "Share of synthetic images within reach of a real one"),
    ("density", "fidelity", "ceiling", "Real images within whose reach a synthetic one lies"),
    ("recall", "coverage", "higher", "Share of real images within reach of a synthetic one"),
    ("coverage", "coverage", "higher", "Share of real images that reach a synthetic one"),
)

_Pair = tuple[NDArray[np.float32], NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.int64]]]
"""Features of two sets of images, and the patient of each image."""


def likeness(features: Features, sides: Sides, *, column: str | None = None) -> list[Metric]:
    """Compare synthetic with unseen real images, and for the floor trained with unseen ones.

    Parameters
    ----------
    features : Features
        What is compared.
    sides : Sides
        The images, as many synthetic as trained ones.
    column : str or None
        What the figures carry as `Metric.column`.
    """
    every = [features(side) for side in sides.each]
    who = [side.who for side in sides.each]
    trained, unseen, synthetic = range(3)

    def rows(side: int, most: int) -> NDArray[np.int64]:
        rng = sides.rng(f"rows {side}")
        return np.sort(rng.permutation(len(every[side]))[:most])

    def pair(side: int, most: int, others: int) -> _Pair:
        a, b = rows(side, most), rows(unseen, others)
        return every[side][a], every[unseen][b], (who[side][a], who[unseen][b])

    n, m = len(every[synthetic]), len(every[unseen])
    told = f"in features {features.name}, {n} images against {m}"
    found: list[Metric] = []

    def add(
        section: Section, name: str, better: Better, value: Estimate, floor: float, said: str
    ) -> None:
        metrics = figure(section, name, value, floor, better, f"{said}, {told}.")
        found.extend(metric._replace(column=column) for metric in metrics)

    far = frechet(*pair(synthetic, n, m), sides.rng("frechet"))
    add("fidelity", "frechet", "lower", far, frechet_distance(*pair(trained, n, m)[:2]),
        "Fréchet distance over the variance of real images")  # fmt: skip
    kernels, base = (
        kernel_distance(*pair(side, MOST, MOST), sides.rng("kernel"))
        for side in (synthetic, trained)
    )
    said = "Kernel distance, unbiased"
    if kernels.blocks > 1:
        said += (
            f", standard deviation {kernels.block_sd:.3g} over {kernels.blocks} blocks of {BLOCK}"
        )
    add("fidelity", "kid", "lower", kernels.distance, base.distance.value, said)
    moved = sliced_wasserstein(*pair(synthetic, n, m), sides.rng("sliced"))
    still = sliced_wasserstein(*pair(trained, n, m), sides.rng("sliced"), draws=0)
    add("fidelity", "sliced_wasserstein", "lower", moved, still.value,
        "Wasserstein distance over random directions")  # fmt: skip
    k = min(n, m, MOST_PAIRED)
    near, best = (
        manifold(real, made, (whose[1], whose[0]), sides.rng("manifold"))
        for made, real, whose in (pair(side, k, k) for side in (synthetic, trained))
    )
    for name, section, better, said in _SHARES:
        value, ceiling = getattr(near, name), getattr(best, name)
        add(section, name, better, value, ceiling.value, f"{said}, {k} of each")
    return found
