"""How unusual images are: what a model that compresses images cannot rebuild."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from synthehr.io.images import ImageSource
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.reading import seen

SMOOTHED = 5
"""Side of the square over which a heat map is averaged."""


class Anomalies(NamedTuple):
    """How unusual images are.

    Attributes
    ----------
    scores : ndarray of shape (N,), float32
        Mean squared error of the rebuilt image, in shares of the range of a pixel.
    share_below : ndarray of shape (N,), float64, or None
        Share of held-out images of the fit that are less unusual, in steps of a twentieth; None
        where too few were held out.
    heat : ndarray of shape (N, H, W), float32
        Absolute error of each place, averaged over its surroundings.
    """

    scores: NDArray[np.float32]
    share_below: NDArray[np.float64] | None
    heat: NDArray[np.float32]


def anomalies(artifact: ImageArtifact, source: ImageSource) -> Anomalies:
    """Score images by how badly they are rebuilt; higher is more unusual.

    Raises
    ------
    ConfigError
        If the model does not compress images.
    """
    pixels, codes = seen(artifact, source)
    rebuilt = artifact.model.rebuild(artifact.model.embed(pixels, codes), codes)
    error = 0.5 * (pixels - rebuilt).abs().mean(1, keepdim=True)
    side = SMOOTHED // 2
    padded = functional.pad(error, (side,) * 4, mode="replicate")
    heat = functional.avg_pool2d(padded, SMOOTHED, stride=1)
    scores = unusual(pixels, rebuilt).numpy()
    usual = artifact.record.get("usual_scores")
    below = None if usual is None else np.searchsorted(np.array(usual), scores) / (len(usual) + 1)
    return Anomalies(scores, below, heat[:, 0].numpy())


def unusual(pixels: Tensor, rebuilt: Tensor) -> Tensor:
    """Mean squared error of rebuilt images, (N,), in shares of the range of a pixel."""
    return torch.square(0.5 * (pixels - rebuilt)).flatten(1).mean(1)
