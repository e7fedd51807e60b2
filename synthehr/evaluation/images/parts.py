"""What can be learned from synthetic images, and how diverse they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from synthehr.evaluation.clock import Clock
from synthehr.evaluation.images.features import Features
from synthehr.evaluation.images.segmentation import dice, learn_masks, mask_areas, overlap
from synthehr.evaluation.images.sides import Sides
from synthehr.evaluation.images.ssim import diversity, scales_of
from synthehr.evaluation.images.transfer import classes_of, learned, read_by
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.task import figure

Told = Callable[[str], None]


def diverse(equal: Sides) -> Iterator[Metric]:
    """Compare how alike images of a class are."""
    found, base = (
        diversity(each, equal.rng("diversity")) for each in (equal.synthetic, equal.trained)
    )
    if found is None or base is None:
        return
    scales = scales_of(min(equal.synthetic.pixels.shape[2:]))
    said = (
        f"Mean MS-SSIM, {scales} scales, of pairs of a class: above that of real images, "
        "diversity is lost."
    )
    yield from figure("coverage", "ms_ssim", found, base.value, "ceiling", said)


def utility(
    whole: Sides, equal: Sides, domain: Features, clock: Clock, tell: Told
) -> Iterator[Metric]:
    """Train on synthetic and on as many real images, and read unseen real ones.

    Parameters
    ----------
    whole, equal : Sides
        All images, and as many synthetic as trained ones.
    domain : Features
        Those of a classifier that was trained on all real training images.
    clock : Clock
        Is told what cannot be measured.
    tell : callable
        Is told which part begins.
    """
    part, classes = "learning from synthetic images", classes_of(*whole.each)
    labels = equal.synthetic.labels
    if not equal.labelled or labels is None or domain.net is None:
        return clock.give_up(part, "not all images have labels")
    if classes < 2 or len(np.unique(labels)) < 2:
        return clock.give_up(part, "there are no two classes")
    seed = whole.net_seed()
    tell("a classifier of synthetic images")
    made, net = learned(equal.synthetic, classes, seed), domain.net
    if len(equal.trained) < len(whole.trained):
        tell("a classifier of as many real images")
        net = learned(equal.trained, classes, seed)
    ours, best = (read_by(each, whole.unseen, whole.rng("transfer")) for each in (made, net))
    said = (
        f"trained on {len(labels)} synthetic images, read on {len(whole.unseen)} real ones of "
        "unseen patients; the interval does not hold the luck of the training."
    )
    yield from figure(
        "utility", "tstr_auroc", ours.auroc, best.auroc.value, "higher",
        f"AUROC of a small net {said}",
    )  # fmt: skip
    yield from figure(
        "utility", "tstr_accuracy", ours.accuracy, best.accuracy.value, "higher",
        f"Share that a small net reads rightly, {said}",
    )  # fmt: skip
    read, base = (
        read_by(domain.net, side, whole.rng("conditional")).accuracy
        for side in (whole.synthetic, whole.unseen)
    )
    said = "Share of images whose label a small net trained on real ones reads; ceiling: unseen."
    yield from figure(
        "utility", "conditional_correctness", read, base.value, "higher", said
    )  # fmt: skip


def masks(whole: Sides, equal: Sides, clock: Clock, tell: Told) -> Iterator[Metric]:
    """Learn masks from synthetic and from as many real pairs, and find them in unseen images.

    Parameters
    ----------
    whole, equal : Sides
        All images, and as many synthetic as trained ones.
    clock : Clock
        Is told what cannot be measured.
    tell : callable
        Is told which part begins.
    """
    given = [side.masks for side in whole.each if side.masks is not None]
    if not given:
        return None
    if len(given) < len(whole.each):
        return clock.give_up("masks", "not all images have masks")
    classes = 1 + max(int(np.max(each)) for each in given)
    if classes < 2:
        return clock.give_up("masks", "all masks are empty")
    found = []
    for name, side in (("synthetic", equal.synthetic), ("real", equal.trained)):
        tell(f"masks of {name} images")
        net = learn_masks(side, classes, whole.net_seed())
        seen = overlap(net, whole.unseen, classes)
        found.append(dice(seen, whole.unseen.who, whole.rng("dice")))
    said = (
        f"Dice of a small U-Net trained on {len(equal.synthetic)} synthetic pairs, over all pixels "
        f"of {len(whole.unseen)} real images, mean over {classes - 1} classes."
    )
    yield from figure("utility", "mask_dice", found[0], found[1].value, "higher", said)
    areas, base = (
        mask_areas(side, whole.unseen, whole.rng("areas"))
        for side in (equal.synthetic, equal.trained)
    )
    said = "KS of the share of an image that is not background."
    yield from figure("fidelity", "mask_area", areas, base.value, "lower", said)
