"""Whether a net that learns masks from synthetic pairs finds them in real images.

References
----------
Ronneberger et al., 2015, arXiv:1505.04597; Milletari et al., 2016, arXiv:1606.04797
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from synthehr.evaluation.images.nets import LARGEST, orders, squared
from synthehr.evaluation.images.records import ImageRecords
from synthehr.evaluation.images.resampling import around, resamples
from synthehr.evaluation.metric import Estimate, bootstrap

WIDTHS = (8, 16, 32)
STEPS = 250
EPOCHS = 12
BATCH = 16
RATE = 4e-3
CHUNK = 256
DRAWS = 60


class Overlap(NamedTuple):
    """Pixels of each class by image: found and true ones, in both and in either; (N, K - 1)."""

    both: NDArray[np.float64]
    total: NDArray[np.float64]


class SmallUNet(nn.Module):
    """Three levels of two convolutions, and back, each level seeing the one of its size.

    Parameters
    ----------
    channels : int
        Channels of the images.
    classes : int
        Classes of pixels K, background among them.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        before = (channels, *WIDTHS[:-1])
        self.down = nn.ModuleList(_level(a, b) for a, b in zip(before, WIDTHS, strict=True))
        self.up = nn.ModuleList(_level(a + b, a) for a, b in pairwise(WIDTHS))
        self.last = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Turn images (n, C, S, S) into logits (n, K, S, S)."""
        seen = []
        for depth, level in enumerate(self.down):
            images = level(functional.max_pool2d(images, 2) if depth else images)
            seen.append(images)
        found = seen.pop()
        for level in reversed(self.up):
            larger = functional.interpolate(found, scale_factor=2, mode="nearest")
            found = level(torch.cat([seen.pop(), larger], dim=1))
        return self.last(found)


def _level(before: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, width):
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def side_of(images: ImageRecords) -> int:
    """Choose the side at which masks are learned: at most 64, and halved twice without rest."""
    step = 2 ** (len(WIDTHS) - 1)
    return max(step, -(-min(images.side, LARGEST) // step) * step)


def learn_masks(images: ImageRecords, classes: int, seed: int) -> SmallUNet:
    """Train the net on images and masks: as many steps whatever they are.

    Parameters
    ----------
    images : ImageRecords
        N images with masks.
    classes : int
        Classes of pixels K, background among them.
    seed : int
        Seed of weights and order.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = SmallUNet(images.channels, classes)
    rng, side = np.random.default_rng(seed), side_of(images)
    size = min(BATCH, len(images))
    count = min(STEPS, EPOCHS * -(-len(images) // size))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=count)
    net.train()
    for rows in orders(len(images), count, rng, size):
        truth = masks_at(images, rows, side)
        logits = net(squared(images.unit(rows), side))
        optimizer.zero_grad()
        _loss(logits, truth).backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def masks_at(images: ImageRecords, rows: Any, side: int) -> Tensor:
    """Give masks of some images at a side; shape (n, S, S), int64."""
    assert images.masks is not None
    masks = torch.from_numpy(images.masks[rows].astype(np.int64))
    if masks.shape[1:] == (side, side):
        return masks
    shrunk = functional.interpolate(masks[:, None].float(), size=(side, side), mode="nearest-exact")
    return shrunk[:, 0].long()


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross entropy, and 1 - the Dice of each class but background over the batch."""
    shares = logits.softmax(dim=1)[:, 1:]
    known = functional.one_hot(truth, logits.shape[1]).movedim(3, 1)[:, 1:].to(shares.dtype)
    both = (shares * known).sum(dim=(0, 2, 3))
    dice = (2 * both + 1) / (shares.sum(dim=(0, 2, 3)) + known.sum(dim=(0, 2, 3)) + 1)
    return functional.cross_entropy(logits, truth) + 1 - dice.mean()


def overlap(net: SmallUNet, images: ImageRecords, classes: int) -> Overlap:
    """Compare the masks that a net finds with the true ones."""
    side, parts = side_of(images), []
    with torch.inference_mode():
        for start in range(0, len(images), CHUNK):
            rows = slice(start, start + CHUNK)
            found = net(squared(images.unit(rows), side)).argmax(dim=1)
            truth = masks_at(images, rows, side)
            each = [
                torch.stack([(found == k) & (truth == k), found == k, truth == k])
                .sum(dim=(2, 3))
                .numpy()
                for k in range(1, classes)
            ]
            parts.append(np.stack(each, axis=2))
    counts = np.concatenate(parts, axis=1).astype(np.float64)
    return Overlap(counts[0], counts[1] + counts[2])


def dice(found: Overlap, who: NDArray[np.int64], rng: np.random.Generator) -> Estimate:
    """Estimate Dice over all pixels, mean over the classes, with an interval over patients.

    Parameters
    ----------
    found : Overlap
        What a net found in N images.
    who : ndarray of shape (N,), int64
        The patient of each image.
    rng : Generator
        Source of the resampling.
    """

    def figure(weights: NDArray[np.float64] | None) -> float:
        w = np.ones(len(who)) if weights is None else weights
        both, total = w @ found.both, w @ found.total
        known = total > 0
        return float((2 * both[known] / total[known]).mean()) if known.any() else float("nan")

    return bootstrap(figure, who, rng)


def mask_areas(x: ImageRecords, y: ImageRecords, rng: np.random.Generator) -> Estimate:
    """Estimate the KS distance of the shares of images that are not background.

    Parameters
    ----------
    x, y : ImageRecords
        Images with masks.
    rng : Generator
        Source of the resampling.
    """
    shares = [_areas(images) for images in (x, y)]
    draws = [
        _ks(shares[0][rows], shares[1][others])
        for rows, others in zip(
            resamples(x.who, rng, DRAWS), resamples(y.who, rng, DRAWS), strict=True
        )
    ]
    return around(_ks(*shares), np.array(draws))


def _areas(images: ImageRecords) -> NDArray[np.float64]:
    assert images.masks is not None
    return (images.masks != 0).mean(axis=(1, 2))


def _ks(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    every = np.concatenate([x, y])
    below = [np.searchsorted(np.sort(each), every, side="right") / len(each) for each in (x, y)]
    return float(np.abs(below[0] - below[1]).max())
