"""A small convolutional classifier, the same wherever an evaluation has to learn from images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from synthehr.evaluation.images.records import ImageRecords

LARGEST = 64
"""Larger images are shrunk to this side."""
WIDTHS = (16, 48, 96, 64)
FEATURES = WIDTHS[-1]
BATCH = 64
STEPS = 500
"""Training steps, or fewer: no image is seen more than `EPOCHS` times."""
EPOCHS = 30
RATE = 3e-3
SHIFT = 1 / 14
"""Share of the side by which training images are moved at most."""
CHUNK = 512


@dataclass(frozen=True)
class ImageClassifier:
    """A trained net.

    Attributes
    ----------
    body, head : Module
        From pixels (n, C, S, S) to features (n, 64), and from those to logits (n, K).
    side : int
        The side S to which images are brought.
    """

    body: nn.Sequential
    head: nn.Linear
    side: int

    def features(self, images: ImageRecords) -> NDArray[np.float32]:
        """Give the features before the last layer; shape (N, 64)."""
        return self._through(images, self.body)

    def shares(self, images: ImageRecords) -> NDArray[np.float64]:
        """Give the probability of each class; shape (N, K)."""
        logits = self._through(images, nn.Sequential(self.body, self.head))
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float64)
        return exponents / exponents.sum(axis=1, keepdims=True)

    def digest(self) -> str:
        """Hash the weights, as hexadecimal SHA-256."""
        state = {**self.body.state_dict(), **self.head.state_dict(prefix="head.")}
        digest = hashlib.sha256()
        for name, weights in state.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(weights.numpy()).tobytes())
        return digest.hexdigest()

    def _through(self, images: ImageRecords, net: nn.Module) -> NDArray[np.float32]:
        found = [np.zeros((0, self.head.in_features), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(images), CHUNK):
                batch = squared(images.unit(slice(start, start + CHUNK)), self.side)
                found.append(net(batch).numpy())
        return np.concatenate(found[1:] or found)


def squared(pixels: NDArray[np.float32], side: int) -> Tensor:
    """Bring images (n, C, H, W) to (n, C, side, side), by means over areas; centred at 0."""
    batch = torch.from_numpy(np.ascontiguousarray(pixels))
    if batch.shape[2:] != (side, side):
        batch = functional.interpolate(batch, size=(side, side), mode="area")
    return ((batch - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)


def untrained(channels: int, side: int, classes: int, seed: int) -> ImageClassifier:
    """Make the net with random weights; equal seeds give equal weights.

    Parameters
    ----------
    channels : int
        Channels C of the images.
    side : int
        Longer side of the images; the net sees at most `LARGEST`.
    classes : int
        Number of classes K.
    seed : int
        Seed of the weights.
    """
    side = min(side, LARGEST)
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        before = channels
        for depth, width in enumerate(WIDTHS):
            stride = 1 if depth == 0 and side <= LARGEST * 5 // 8 else 2
            layers += [
                nn.Conv2d(before, width, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            before = width
        body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        head = nn.Linear(FEATURES, classes)
    return ImageClassifier(body.eval(), head.eval(), side)


def trained(
    images: ImageRecords,
    labels: NDArray[np.int64],
    classes: int,
    seed: int,
) -> ImageClassifier:
    """Train the net to tell classes apart: as many steps whatever the images are.

    Parameters
    ----------
    images : ImageRecords
        N training images.
    labels : ndarray of shape (N,), int64
        Their classes.
    classes : int
        Number of classes K.
    seed : int
        Seed of weights, order and shifts.
    """
    made = untrained(images.channels, images.side, classes, seed)
    rng = np.random.default_rng(seed)
    count = steps(len(images))
    weights = [*made.body.parameters(), *made.head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=count)
    made.body.train()
    for rows in orders(len(images), count, rng):
        batch = shifted(squared(images.unit(rows), made.side), rng)
        loss = functional.cross_entropy(made.head(made.body(batch)), torch.from_numpy(labels[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    made.body.eval()
    return made


def steps(n: int) -> int:
    """Count the training steps with n images."""
    return min(STEPS, EPOCHS * -(-n // BATCH))


def orders(
    n: int, count: int, rng: np.random.Generator, batch: int = BATCH
) -> list[NDArray[np.int64]]:
    """Draw the rows of each of count batches, epoch by epoch."""
    size = min(batch, n)
    epochs = -(-count * size // n)
    order = np.concatenate([rng.permutation(n) for _ in range(epochs)])
    return [order[k * size : (k + 1) * size] for k in range(count)]


def shifted(batch: Tensor, rng: np.random.Generator) -> Tensor:
    """Move the images of a batch a little, edges repeated; no flips, which anatomy forbids."""
    side = batch.shape[-1]
    most = round(SHIFT * side)
    if most == 0:
        return batch
    down, right = (int(k) for k in rng.integers(0, 2 * most + 1, 2))
    padded = functional.pad(batch, (most,) * 4, mode="replicate")
    return padded[..., down : down + side, right : right + side]
