"""What images are compared by: pixels, a classifier of the real ones, a random net, or one's own.

No net is downloaded, so features are no better than the classifier: its accuracy on real images
that it never saw stands beside every score, and no score compares with one of other features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from synthehr.errors import ConfigError
from synthehr.evaluation.images.nets import CHUNK, ImageClassifier, trained, untrained
from synthehr.evaluation.images.records import ImageRecords

COMPONENTS = 64
MOST_PIXELS = 1024
"""Principal components are those of images shrunk to at most so many numbers."""
TURNS = 4

Plug = Callable[[NDArray[np.float32]], NDArray[Any]]
"""From pixels of shape (n, C, H, W), 0 to 1, to features of shape (n, D)."""


@dataclass(frozen=True)
class Features:
    """A way to compare images: features that vary by 1 a dimension over real training images.

    Attributes
    ----------
    name : str
        Name that scores carry.
    raw : callable
        From images to features of shape (N, D).
    centre : ndarray of shape (D,)
        Mean over real training images.
    scale : float
        Root of their mean variance over dimensions.
    sha256 : str
        Hash of the weights; empty where there are none, or they are not known.
    accuracy, chance : float or None
        Share of unseen real images that the net reads rightly, and of its commonest answer.
    net : ImageClassifier or None
        The net, where it is ours.
    """

    name: str
    raw: Callable[[ImageRecords], NDArray[Any]]
    centre: NDArray[np.float64]
    scale: float
    sha256: str = ""
    accuracy: float | None = None
    chance: float | None = None
    net: ImageClassifier | None = None

    @property
    def width(self) -> int:
        """Number of dimensions D."""
        return len(self.centre)

    def __call__(self, images: ImageRecords) -> NDArray[np.float32]:
        """Give the features of N images; shape (N, D)."""
        return ((self.raw(images) - self.centre) / self.scale).astype(np.float32)


def _scaled(name: str, raw: Callable[[ImageRecords], NDArray[Any]], real: ImageRecords) -> Features:
    found = raw(real).astype(np.float64)
    scale = float(np.sqrt(found.var(axis=0).mean()))
    return Features(name, raw, found.mean(axis=0), scale or 1.0)


def pixels_pca(real: ImageRecords) -> Features:
    """Take the first 64 principal components of the pixels of real training images."""
    axes = _components(shrunk(real, MOST_PIXELS))

    def raw(images: ImageRecords) -> NDArray[np.float32]:
        return shrunk(images, MOST_PIXELS) @ axes

    return _scaled(f"pixels-pca{axes.shape[1]}", raw, real)


def _components(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the principal axes of n images (n, P); shape (P, at most 64)."""
    centred = pixels - pixels.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    return axes[:, ::-1][:, :COMPONENTS]


def shrunk(images: ImageRecords, most: int) -> NDArray[np.float32]:
    """Shrink images by means over areas until each is at most `most` numbers; shape (N, P)."""
    channels, height, width = images.pixels.shape[1:]
    factor = min(1.0, (most / (channels * height * width)) ** 0.5)
    size = (max(1, int(height * factor)), max(1, int(width * factor)))
    parts = []
    for start in range(0, len(images), CHUNK):
        batch = torch.from_numpy(images.unit(slice(start, start + CHUNK)))
        if size != (height, width):
            batch = functional.interpolate(batch, size=size, mode="area")
        parts.append(batch.flatten(1).numpy())
    return np.concatenate(parts) if parts else np.zeros((0, channels * size[0] * size[1]), "f4")


def domain_classifier(real: ImageRecords, unseen: ImageRecords, seed: int) -> Features:
    """Train a small net to tell the classes of real training images, and take its last features.

    Without labels, or with a single class, it learns which way up an image is.

    Parameters
    ----------
    real, unseen : ImageRecords
        Real images to train on, and of other patients to test on.
    seed : int
        Seed of the training.
    """
    labelled = _classes(real) > 1 and unseen.labels is not None
    name = "domain-classifier" if labelled else "domain-rotation"
    learn, test = (real, unseen) if labelled else (turned(real), turned(unseen))
    assert learn.labels is not None and test.labels is not None
    net = trained(learn, learn.labels, max(_classes(learn), _classes(test)), seed)
    right = net.shares(test).argmax(axis=1) == test.labels
    found = _scaled(name, net.features, real)
    return Features(
        found.name,
        found.raw,
        found.centre,
        found.scale,
        sha256=net.digest(),
        accuracy=float(right.mean()),
        chance=float(np.bincount(test.labels).max() / len(test)),
        net=net,
    )


def _classes(images: ImageRecords) -> int:
    if images.labels is None or not len(images):
        return 0
    return len(images.class_names) or int(images.labels.max()) + 1


def turned(images: ImageRecords) -> ImageRecords:
    """Turn the k-th image by k quarters (k half turns of what is not square): labels say how."""
    turns = np.arange(len(images)) % TURNS
    pixels = images.pixels.copy()
    square = pixels.shape[2] == pixels.shape[3]
    for k in range(1, TURNS):
        some = turns == k
        part = images.pixels[some]
        axes = ((), (2,), (3,), (2, 3))[k]
        pixels[some] = np.rot90(part, k, axes=(2, 3)) if square else np.flip(part, axes)
    return ImageRecords(pixels=pixels, labels=turns)


def random_net(real: ImageRecords, seed: int) -> Features:
    """Take the features of the same net with random weights: what needs no training to be seen."""
    net = untrained(real.channels, real.side, 2, seed)
    found = _scaled("random-cnn", net.features, real)
    return Features(found.name, found.raw, found.centre, found.scale, sha256=net.digest(), net=net)


def plugged(name: str, plug: Plug, real: ImageRecords) -> Features:
    """Take features of one's own, such as those of a pretrained net.

    Parameters
    ----------
    name : str
        Name that scores shall carry.
    plug : callable
        From pixels (n, C, H, W), 0 to 1, to features (n, D).
    real : ImageRecords
        Real training images.

    Raises
    ------
    ConfigError
        If it does not give one row of finite numbers an image.
    """

    def raw(images: ImageRecords) -> NDArray[np.float64]:
        parts = []
        for start in range(0, len(images), CHUNK):
            pixels = images.unit(slice(start, start + CHUNK))
            found = np.asarray(plug(pixels))
            bad = found.ndim != 2 or len(found) != len(pixels) or found.dtype.kind not in "iuf"
            if bad or not np.isfinite(found).all():
                raise ConfigError(
                    f"the features {name} are not one row of finite numbers an image",
                    hint="map pixels of shape (n, C, H, W) to an array of shape (n, D)",
                )
            parts.append(found.astype(np.float64))
        return np.concatenate(parts)

    return _scaled(name, raw, real)
