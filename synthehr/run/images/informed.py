"""What an attacker learns who has the model file: whether an image was among those learned."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.errors import ConfigError, InputError
from synthehr.evaluation.metric import Metric, bootstrap
from synthehr.evaluation.scores import auroc_of
from synthehr.evaluation.task import figure
from synthehr.io.images import ImageSource
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.preparation import split_rows
from synthehr.run.images.reading import seen
from synthehr.split import patients_of

LEAST = 20
"""Held-out images below which nothing can be said."""


def membership_by_model(artifact: ImageArtifact, source: ImageSource) -> Metric:
    """Try to tell learned images from held-out ones by the model itself.

    Generators: by what the critic makes of an image; autoencoders: by how well it is rebuilt
    (Hayes et al. 2019, arXiv:1705.07663).

    Parameters
    ----------
    artifact : ImageArtifact
        The fitted model.
    source : ImageSource
        The images that it was fitted on, those held out among them.

    Returns
    -------
    Metric
        Area under the curve; 0.5 if the model tells nothing. The interval is over patients.

    Raises
    ------
    ConfigError
        If the model cannot tell, or is differentially private: nobody was held out then.
    InputError
        If these are not the images of the fit, or too few were held out.
    """
    record = artifact.record
    if record.get("privacy") is not None:
        raise ConfigError(
            "nobody was held out of a differentially private fit",
            hint="its ledger says what it gives away: synthehr inspect",
        )
    if len(source) < record["records"]:
        raise InputError(
            f"there are {len(source)} images, and the model was fitted on {record['records']}",
            hint="give the images that were fitted",
        )
    fitted, aside = split_rows(source, record["holdout"], record["seed"], record["split"])
    if len(aside) < LEAST or len(fitted) + len(aside) != record["records"]:
        raise InputError(
            f"{len(aside)} images were held out, and {LEAST} are the least to attack",
            hint="give the images that were fitted, or hold out more of them: --holdout 0.2",
        )
    rows = np.concatenate([fitted, aside])
    scores = artifact.model.familiarity(*seen(artifact, source.take(rows)))
    if scores is None:
        raise ConfigError(
            "this model cannot tell how familiar images are",
            hint="the other models of images can",
        )
    member = np.arange(len(rows)) < len(fitted)
    found = bootstrap(
        auroc_of(member, scores.numpy().astype(np.float64)),
        _owners(source.records, source.patient, rows),
        np.random.default_rng(0),
    )
    said = (
        f"AUROC of telling {len(fitted)} learned from {len(aside)} held-out images by the model "
        "file; 0.5 where it tells nothing."
    )
    return figure("privacy", "membership_by_model", found, 0.5, "lower", said)[0]


def _owners(table: pa.Table, patient: str | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    patients = patients_of(table, patient)
    return np.arange(len(rows)) if patients is None else patients[rows]
