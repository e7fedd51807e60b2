"""Membership attacks by one who holds the model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.artifact import Artifact

if TYPE_CHECKING:
    from synthehr.evaluation.task import Informed, Which


def loss_attack(
    artifact: Artifact, real: pa.Table, holdout: pa.Table, synthetic: pa.Table
) -> dict[str, Informed]:
    """Guess that likelier records were trained on.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    real, holdout, synthetic : Table
        What it was fitted on, what was held out, and what was drawn from it.

    Returns
    -------
    dict of str to callable
        The attack by its name, see `synthehr.evaluation.evaluate`; empty where the model knows
        no likelihood.
    """
    tables = {"real": real, "holdout": holdout, "synthetic": synthetic}
    if likelihoods(artifact, real.slice(0, 2)) is None:
        return {}

    def scores(which: Which, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        found = likelihoods(artifact, tables[which].take(pa.array(rows)))
        return np.zeros(len(rows)) if found is None else found

    return {"loss": scores}


def likelihoods(artifact: Artifact, table: pa.Table) -> NDArray[np.float64] | None:
    """Log-likelihoods of records under a model, (N,); None where it knows none."""
    codes = torch.from_numpy(artifact.encoder.encode(table)).long()
    losses = artifact.model.record_losses(codes)
    return None if losses is None else -losses.double().numpy()
