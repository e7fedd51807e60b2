"""The columns beside images: their model, and how it is trained and drawn from."""

from __future__ import annotations

from collections.abc import Iterator

from synthehr.encode.fields import Fields
from synthehr.models.autoregressive import Autoregressive
from synthehr.models.base import Batch, Loss, Model
from synthehr.models.image_base import ImageBatch, Images

EVERY = 4
"""Steps from one lesson to the next; images need many more steps than a few columns."""
FEW = 8
"""Columns up to which a small network is enough."""


def column_model(columns: Fields) -> Autoregressive | None:
    """Make the model of the columns; None where there are none."""
    if not columns:
        return None
    small = {"width": 64, "blocks": 1} if len(columns) <= FEW else {}
    config = Autoregressive.sized(columns, 1_000, {"factors": 0, **small})
    return Autoregressive.build(columns, config)


def settle_columns(columns: Model | None, images: Images) -> None:
    """Settle the shares of the columns after training; no image is looked at."""
    if columns is not None:
        columns.eval()
        columns.finish(images.codes)


def column_losses(columns: Model | None, batch: ImageBatch, step: int) -> Iterator[Loss]:
    """Yield the losses of the model of the columns.

    There are none under differential privacy: columns are learned from their noisy marginals, so
    that all noise of the steps goes to images.
    """
    if columns is not None and batch.filled is None and step % EVERY == 0:
        lesson = Batch(batch.codes, None, batch.generator)
        for loss in columns.losses(lesson, step):
            yield loss._replace(child="columns")
