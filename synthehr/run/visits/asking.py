"""Asking a model of visits what it makes of patients who are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from synthehr.artifact import SequenceArtifact
from synthehr.errors import ConfigError
from synthehr.run.visits.given import given_visits

VISITS, LOG_PROB = "visits", "log_prob"
"""Columns beside the patient: how many visits there are, and how likely they are, in nats."""


def log_prob(artifact: SequenceArtifact, data: Any) -> pa.Table:
    """Estimate the logarithm of the chance of each patient with all visits, as codes.

    Low for patients unlike those that were fitted; the more visits, the lower, so that patients
    are compared per visit. The estimate is by a few masks, the same for every patient.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    data : path or table, two of them, a folder, or a VisitTable
        The visits, with the columns that were fitted.

    Returns
    -------
    pyarrow.Table
        A row a patient, in the order in which patients are sorted: patient, ``visits`` and
        ``log_prob``, in nats.

    Raises
    ------
    SynthehrError
        The model knows no likelihood, or the visits cannot be read as what was fitted.
    """
    found = likelihoods(artifact, data)
    if found is None:
        raise ConfigError("this model knows no likelihood", hint="fit with --model lstm")
    return found


def likelihoods(artifact: SequenceArtifact, data: Any) -> pa.Table | None:
    """Do as `log_prob`; None where the model knows no likelihood."""
    given = given_visits(artifact, data)
    losses = artifact.model.patient_losses(given.codes)
    if losses is None:
        return None
    starts = given.visits.offsets()
    who = given.visits.table[given.visits.patient].take(pa.array(starts[:-1]))
    return pa.table({
        given.visits.patient: who,
        VISITS: pa.array(np.diff(starts)),
        LOG_PROB: pa.array(-losses.numpy()),
    })  # fmt: skip
