"""Training a model of images under differential privacy: in steps, or from one noisy mean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from synthehr.encode.image import ImageFields
from synthehr.models.base import NOTHING_GIVEN
from synthehr.models.image_base import ImageBatch, ImageModel, Images
from synthehr.privacy.allowed import REHEARSED, made_up_codes
from synthehr.privacy.embedding import noisy_sum
from synthehr.privacy.ledger import Ledger
from synthehr.privacy.matching import match
from synthehr.privacy.rows import MakeBatch, RowSlots, rehearse_rows
from synthehr.run.images.preparation import (
    ImagePreparation,
    PrivateImages,
)
from synthehr.run.private import accounted_training
from synthehr.seeds import TRAINING, derived
from synthehr.train import Callback, History, Runtime, train
from synthehr.train.runtime import mix

ASKED = 4096
"""Columns that are drawn for images to be asked for."""


def train_private_images(
    prepared: ImagePreparation, runtime: Runtime, callbacks: Sequence[Callback]
) -> tuple[History, Ledger]:
    """Match the columns to what was measured, and learn the images.

    Raises
    ------
    TrainingError
        If records were looked at more or less often than the ledger says.
    """
    private, model = prepared.private, prepared.model
    assert private is not None
    part, seed = private.part, derived(prepared.options.seed, TRAINING)
    columns, fields = model.columns, prepared.encoder.fields.columns
    asked = torch.zeros((ASKED, 2, 0), dtype=torch.int64)
    if columns is not None:
        match(
            columns,
            fields,
            part.pairs,
            torch.from_numpy(part.made_up),
            rounds=part.config.rounds,
            steps=part.config.round_steps,
            drawn=2 * part.ledger.public_patients,
            learning_rate=2e-3,
            seed=mix(seed, 0),
            runtime=runtime,
            callbacks=callbacks,
        )
        columns.cpu()
        asked = columns.sample(ASKED, NOTHING_GIVEN, torch.Generator().manual_seed(mix(seed, 1)))
    how = _by_mean if model.looks_once else _by_steps
    return how(prepared, private, asked, seed, runtime, callbacks), part.planned()


def _by_steps(
    prepared: ImagePreparation,
    private: PrivateImages,
    asked: Tensor,
    seed: int,
    runtime: Runtime,
    callbacks: Sequence[Callback],
) -> History:
    """Learn the images with DP-SGD, drawing others for columns that are nobody's."""
    part, images = private.part, prepared.codes.to(runtime.device)
    slots = RowSlots(
        images.tensors,
        private.owners,
        part.plan.training.rate,
        part.plan.slots,
        part.config.max_shown,
        partial(private_batch, asked.to(runtime.device), prepared.training.batch_size),
    )
    return accounted_training(
        prepared.model,
        images,
        images.nobody(),
        slots,
        part.plan,
        prepared.training,
        clip=part.config.clip,
        seed=seed,
        runtime=runtime,
        callbacks=callbacks,
    )


def _by_mean(
    prepared: ImagePreparation,
    private: PrivateImages,
    asked: Tensor,
    seed: int,
    runtime: Runtime,
    callbacks: Sequence[Callback],
) -> History:
    """Release a noisy mean of what images contribute, and learn from nothing else."""
    model, images, part = prepared.model, prepared.codes, private.part
    contributions = partial(model.contributions, images)
    multiplier = part.plan.training.noise_multiplier
    total = noisy_sum(contributions, len(images), private.owners, multiplier)
    model.settle(total / part.ledger.public_patients)
    nobody, asked = images.nobody().to(runtime.device), asked.to(runtime.device)
    nothing = private_batch(asked, 1, nobody.tensors, asked.new_zeros(0).bool(), runtime.generator)

    def draw(step: int, generator: torch.Generator) -> ImageBatch:
        return nothing._replace(generator=generator, asked=asked)

    return train(
        model,
        nobody,
        nobody,
        prepared.training,
        seed=seed,
        runtime=runtime,
        callbacks=callbacks,
        draw=draw,
    )


def private_batch(
    asked: Tensor,
    drawn: int,
    tensors: Sequence[Tensor],
    filled: Tensor,
    generator: torch.Generator,
) -> ImageBatch:
    """Make a batch of images and of columns that are nobody's, to draw others for.

    Parameters
    ----------
    asked : Tensor of shape (A, 2, D), int64
        Columns to choose from.
    drawn : int
        How many of them are chosen.
    tensors : sequence of two Tensor
        Of `Images`.
    filled : Tensor of shape (B,), bool
        Which images are there.
    generator : torch.Generator
        Chooses, and is the batch's source of randomness.
    """
    device = asked.device
    chosen = torch.randint(len(asked), (drawn,), generator=generator, device=device)
    everything = torch.arange(len(filled), device=device)
    batch = Images(tensors[0], tensors[1]).take(everything, generator)
    return batch._replace(filled=filled, asked=asked[chosen])


def rehearse_images(model: ImageModel, fields: ImageFields) -> int:
    """Rehearse a step of a model of images, see `synthehr.privacy.rows.rehearse_rows`.

    Returns
    -------
    int
        How often a step looks at its patients.

    Raises
    ------
    ConfigError
        Differential privacy would not hold.
    """
    random = torch.Generator().manual_seed(0)
    shape = (REHEARSED, fields.channels, fields.size, fields.size)
    kind = torch.uint8 if fields.top == 255 else torch.int16
    pixels = torch.randint(fields.top + 1, shape, generator=random).to(kind)
    codes = made_up_codes(fields.columns, REHEARSED)
    make: MakeBatch = partial(private_batch, codes, REHEARSED)
    return rehearse_rows(model, lambda batch: model.losses(batch, 0), (pixels, codes), make)
