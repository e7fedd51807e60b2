"""Membership attacks on patients with visits, by one who holds the model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.artifact import SequenceArtifact
from synthehr.kernels import compute
from synthehr.run.visits.asking import LOG_PROB, VISITS, likelihoods

if TYPE_CHECKING:
    from synthehr.evaluation.longitudinal.patients import InformedOfPatients


def loss_attack(artifact: SequenceArtifact) -> dict[str, InformedOfPatients]:
    """Guess that patients were trained on whose visits are likelier, one with another.

    Returns
    -------
    dict of str to callable
        The attack by its name, see `synthehr.evaluation.longitudinal.evaluate`.
    """
    name = artifact.encoder.patient

    def scores(table: pa.Table) -> NDArray[np.float64] | None:
        found = likelihoods(artifact, table)
        if found is None:
            return None
        by_visit = found[LOG_PROB].to_numpy().astype(np.float64) / found[VISITS].to_numpy()
        asked = compute.unique(table[name])
        return by_visit[compute.index_in(asked, value_set=found[name]).to_numpy()]

    return {"loss": scores}
