"""Asking a model what it makes of records that are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synthehr.artifact import Artifact
from synthehr.errors import ConfigError
from synthehr.io import read
from synthehr.schema.checks import check


def ask(artifact: Artifact, what: str, data: Any) -> NDArray[np.float32]:
    """Call a method of the model, from codes (N, 2, D), on the records of a table.

    Raises
    ------
    SynthehrError
        The model has no such method, or the table is not like the fitted one.
    """
    answer = getattr(artifact.model, what, None)
    if answer is None:
        raise ConfigError(f"this model has no {what}", hint='fit with model="vae"')
    table = read(data).table
    check(artifact.schema, table)
    codes = torch.from_numpy(artifact.encoder.encode(table)).long()
    with torch.no_grad():
        return answer(codes).numpy()
