"""Given images as a fitted model sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from synthehr.errors import InputError
from synthehr.io.images import ImageSource
from synthehr.models.image_base import signed
from synthehr.run.images.artifact import ImageArtifact
from synthehr.run.images.preparation import columns_of
from synthehr.schema.column import shown


def seen(artifact: ImageArtifact, source: ImageSource) -> tuple[Tensor, Tensor]:
    """Encode given images as those that were fitted.

    Returns
    -------
    pixels : Tensor of shape (N, C, H, W), float32
        In [-1, 1].
    codes : Tensor of shape (N, 2, D), int64
        Of their columns; where the source lacks them, what the images' model thinks usual.

    Raises
    ------
    InputError
        If they are of another kind than the fitted ones.
    """
    encoder, layout = artifact.encoder, artifact.layout
    if source.layout.channels != layout.channels:
        raise InputError(
            f"the images have {source.layout.channels} channels, and those that were fitted "
            f"{layout.channels}",
            hint="give images of the same kind",
        )
    pixels = signed(torch.from_numpy(encoder.raster.encode(source)))
    return pixels, known_columns(artifact, source)


def known_columns(artifact: ImageArtifact, source: ImageSource) -> Tensor:
    """Encode the columns of given images; the likeliest record where they are not told."""
    table = artifact.encoder.table
    n = len(source)
    if table is None:
        return torch.zeros((n, 2, 0), dtype=torch.int64)
    columns = columns_of(source)
    missing = [name for name in table.modelled if name not in columns.column_names]
    if not missing:
        return torch.from_numpy(table.encode(source.records)).long()
    if len(missing) < len(table.modelled):
        raise InputError(
            f"{len(missing)} columns beside the images are missing, the first is "
            f"{shown(missing[0])}",
            hint="give all columns that were fitted, or none of them",
        )
    codes = torch.zeros((n, 2, len(table.fields)), dtype=torch.int64)
    for place, field in enumerate(table.fields):
        codes[:, 0, place] = int(field.shares.argmax())
    return codes
