"""What an evaluation of images found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import Cap, NotMeasurable


class FeatureRecord(NamedTuple):
    """What scores were measured in.

    Attributes
    ----------
    name : str
        Name that scores carry.
    width : int
        Number of features.
    sha256 : str
        Hash of the weights; empty where there are none, or they are not known.
    accuracy, chance : float or None
        Share of unseen real images that the net reads rightly, and of its commonest answer.
    """

    name: str
    width: int
    sha256: str
    accuracy: float | None
    chance: float | None


class Sheet(NamedTuple):
    """Images in rows, to be looked at.

    Attributes
    ----------
    name : str
        What is shown.
    captions : tuple of str
        One a row, or none.
    images : tuple of ndarray of shape (columns, C, H, W), float32
        One row each, 0 to 1.
    real : bool
        Whether real images are shown.
    """

    name: str
    captions: tuple[str, ...]
    images: tuple[NDArray[np.float32], ...]
    real: bool


@dataclass(frozen=True, kw_only=True)
class ImageResults:
    """All that was found.

    Attributes
    ----------
    rows : tuple of Metric
        The figures; `column` names the features of those that are not in the first ones.
    features : tuple of FeatureRecord
        What was compared; figures without a `column` are in the first.
    sheets : tuple of Sheet
        Images to look at.
    caps : tuple of Cap
        What was subsampled.
    not_measurable : tuple of NotMeasurable
        Parts without figures, and why.
    images, patients : tuple of int
        Images and patients, of the real, the synthetic and the held-out side (0 without).
    shape : tuple of int
        Channels, height and width.
    class_names : tuple of str
        Names of the classes.
    ceiling_from : {"holdout", "halves"}
        Whether synthetic images compare with held-out patients, or with half of the real ones.
    seed : int
        Seed of everything random.
    seconds : float
        Wall time of the evaluation.
    """

    rows: tuple[Metric, ...]
    features: tuple[FeatureRecord, ...]
    sheets: tuple[Sheet, ...]
    caps: tuple[Cap, ...]
    not_measurable: tuple[NotMeasurable, ...]
    images: tuple[int, int, int]
    patients: tuple[int, int, int]
    shape: tuple[int, ...]
    class_names: tuple[str, ...]
    ceiling_from: str
    seed: int
    seconds: float

    def facts(self) -> dict[str, Any]:
        """Lay out what is neither a figure nor an image."""
        which = ("real", "synthetic", "holdout")
        return {
            "images": dict(zip(which, self.images, strict=True)),
            "patients": dict(zip(which, self.patients, strict=True)),
            "shape": list(self.shape),
            "class_names": list(self.class_names),
            "ceiling_from": self.ceiling_from,
        }
