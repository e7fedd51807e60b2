"""Asking a model what it makes of records that are there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from synthehr.artifact import Artifact
from synthehr.errors import ConfigError
from synthehr.io import read
from synthehr.modes.holes import find_holes, known_codes
from synthehr.modes.point import levels_of
from synthehr.run.imputing import BLOCK, token_chances
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


def log_prob(artifact: Artifact, data: Any) -> NDArray[np.float32]:
    """Estimate the logarithm of the chance of each record, as codes; (N,), in nats.

    Low for records unlike those that were fitted: outliers, and errors of entry. The estimate
    is by a few masks, the same for every record, so that records can be compared.

    Raises
    ------
    SynthehrError
        The model knows no likelihood, or the table is not like the fitted one.
    """
    table = read(data).table
    check(artifact.schema, table)
    codes = torch.from_numpy(artifact.encoder.encode(table)).long()
    losses = artifact.model.record_losses(codes)
    if losses is None:
        raise ConfigError(
            "this model knows no likelihood", hint="fit with --model autoregressive or --model vae"
        )
    return -losses.float().numpy()


def predict_proba(artifact: Artifact, data: Any, column: str) -> pd.DataFrame:
    """Say how likely each level of a column is, given whatever else is known of a record.

    Parameters
    ----------
    artifact : Artifact
        The fitted model.
    data : path, or pandas, polars or pyarrow table
        The records, N rows; the column itself, if it is there, is not looked at.
    column : str
        A column of levels, or a number that holds a few values only.

    Returns
    -------
    DataFrame of shape (N, K)
        A column for each level that was learned; levels that few patients hold have together
        what is missing to 1. A cell that is null is taken to have a value that is not known.

    Raises
    ------
    SynthehrError
        The column is not modelled, or has no levels.
    """
    source, encoder = read(data), artifact.encoder
    place = encoder.field_index(column)
    levels = levels_of(encoder.columns[place])
    present = [name for name in source.table.column_names if name != column]
    holes = find_holes(source.table.select(present), encoder)
    random = torch.Generator().manual_seed(0)
    parts = [
        token_chances(artifact.model, encoder.fields, codes, random)[place]
        for codes in known_codes(holes, encoder, 0, source.table.num_rows).split(BLOCK)
    ]
    chances = torch.cat(parts).numpy()
    first = 0 if encoder.fields[place].null is None else 1
    return pd.DataFrame(chances[:, first : first + len(levels)], columns=pd.Index(levels))
