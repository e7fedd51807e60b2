"""How well a fit went, in three figures that take a moment to compute."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthehr.encode.fields import Field, Fields

Codes = NDArray[np.integer]


@dataclass(frozen=True)
class HeldOut:
    """Figures on the records that were set aside.

    Attributes
    ----------
    records : int
        How many they are.
    loss : float or None
        The model's held-out loss: nats a record for models with a likelihood.
    independent : float
        Nats a record of independent marginals, the floor that a model has to beat.
    shape, shape_ceiling : float
        Mean over columns of 1 - KS (ordered) or 1 - TV (levels) of sampled, and of fitted,
        records against these.
    """

    records: int
    loss: float | None
    independent: float
    shape: float
    shape_ceiling: float


def independent_loss(fields: Fields, codes: Codes, n_fitted: int) -> float:
    """Score records by the product of the fitted marginals, in nats a record.

    Parameters
    ----------
    fields : Fields
        The D columns with the shares of the fitted records.
    codes : ndarray of shape (M, 2, D)
        Tokens and parts.
    n_fitted : int
        Records that the shares were counted on; each token gets half a record more.
    """
    total = 0.0
    for place, field in enumerate(fields):
        token, part = codes[:, 0, place], codes[:, 1, place]
        smoothed = (field.shares * n_fitted + 0.5) / (n_fitted + 0.5 * field.size)
        total -= np.log(smoothed[token]).mean()
        if field.has_parts and field.part_shares is not None:
            held = np.round(field.shares * n_fitted)[:, None]
            counts = field.part_shares * held + 0.5
            within = counts / (held + 0.5 * field.parts[:, None])
            total -= np.where(field.parts[token] > 1, np.log(within[token, part]), 0.0).mean()
    return float(total)


def shape(fields: Fields, first: Codes, second: Codes) -> float:
    """Agree two sets of records column by column, in [0, 1]."""
    return float(
        np.mean(
            [
                _agreement(field, first[:, :, place], second[:, :, place])
                for place, field in enumerate(fields)
            ]
        )
    )


def _agreement(field: Field, first: Codes, second: Codes) -> float:
    width = int(field.parts.max(initial=1))
    cells = [
        np.bincount(
            codes[:, 0].astype(np.int64) * width + codes[:, 1], minlength=field.size * width
        )
        / max(1, len(codes))
        for codes in (first, second)
    ]
    difference = cells[0] - cells[1]
    if field.positions is None:
        return 1.0 - 0.5 * float(np.abs(difference).sum())
    return 1.0 - float(np.abs(np.cumsum(difference)).max())
