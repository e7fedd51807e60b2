"""Drawing images with their columns, block by block.

Block b of 256 images has random numbers of its own, made from the seed and b, so that an image
depends on the seed and its place alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.artifact import Artifact
from synthehr.errors import ConditionError
from synthehr.modes.given import Wish, wished
from synthehr.modes.parity import Parity
from synthehr.run.drawing import padded
from synthehr.run.images.artifact import ImageArtifact
from synthehr.seeds import SAMPLE, derived, generator
from synthehr.train.runtime import find_runtime

BLOCK = 256
"""Images of a block."""


class DrawnImages(NamedTuple):
    """Synthetic images.

    Attributes
    ----------
    images : ndarray of shape (N, C, H, W)
        In the units and the type of the images that were fitted.
    records : pyarrow.Table
        N rows: what is known of each.
    masks : ndarray of shape (N, H, W), or None
        Their masks, where masks were fitted.
    """

    images: NDArray[Any]
    records: pa.Table
    masks: NDArray[Any] | None


def asked_of_images(artifact: ImageArtifact, n: int | None, given: Any) -> Wish:
    """Check what is asked of images against what was learned of their columns.

    Raises
    ------
    ConditionError
        If a condition cannot be read or can never hold, or there are no columns.
    """
    columns, encoder = artifact.model.columns, artifact.encoder.table
    if given is None:
        number = artifact.record["records"] if n is None else n
        if isinstance(number, bool) or number < 1:
            raise ConditionError(
                "the number of images must be 1 or more", hint="for example -n 1000"
            )
        return Wish(number)
    if columns is None or encoder is None or isinstance(given, Parity):
        raise ConditionError(
            "conditions on images speak of columns, and this model has none of them",
            hint="fit images in class folders, or with --labels, by --model image-cgan",
        )
    return wished(Artifact(columns, encoder, artifact.schema, artifact.record, None), n, given)


def draw_images(artifact: ImageArtifact, wish: Wish, seed: int) -> Iterator[DrawnImages]:
    """Draw images with their columns, a block at a time; equal seeds give equal images."""
    encoder, runtime = artifact.encoder, find_runtime("cpu")
    for block, start in enumerate(range(0, wish.n, BLOCK)):
        random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
        given = replace(wish.given, codes=padded(wish.given.codes, start, BLOCK))
        with runtime.autocast(runtime.precision("auto")):
            drawn = artifact.model.sample(BLOCK, random, given)
        here = slice(0, min(BLOCK, wish.n - start))
        images, masks = encoder.raster.decode(drawn.pixels[here].numpy())
        records = _bare(BLOCK)
        if encoder.table is not None:
            numbers = generator(seed, SAMPLE, block)
            codes = drawn.codes.numpy()
            records = encoder.table.decode(codes, numbers, bounds=wish.bounds, first=start)
        yield DrawnImages(images, records.slice(0, here.stop), masks)


def _bare(n: int) -> pa.Table:
    """Make a table of n rows without a column."""
    return pa.table({"row": pa.nulls(n)}).select([])


def together(blocks: Iterator[DrawnImages]) -> DrawnImages:
    """Put blocks together."""
    images, records, masks = zip(*blocks, strict=True)
    bare = not records[0].num_columns
    return DrawnImages(
        np.concatenate(images),
        _bare(sum(map(len, images))) if bare else pa.concat_tables(records),
        None if masks[0] is None else np.concatenate(masks),
    )
