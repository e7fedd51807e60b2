"""The way of images in a fit under differential privacy; that of tables is `synthehr.run.private`.

The unit is the patient with all images. Public are also how images lie, their type, size and
limits. Columns are measured as those of a table are, and learned from that alone; how images look
is learned by DP-SGD, or from one noisy mean (`synthehr.run.images.embedded`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthehr.config import apply
from synthehr.encode.image import ImageEncoder, ImageFields
from synthehr.encode.raster import Raster
from synthehr.encode.raster_config import RasterConfig
from synthehr.encode.table import TableEncoder
from synthehr.errors import ConfigError
from synthehr.io import Source
from synthehr.io.images import ImageSource
from synthehr.io.images.source import HOUNSFIELD
from synthehr.models.base import NOTHING_GIVEN
from synthehr.models.image_base import ImageBatch, ImageModel, Images
from synthehr.privacy.allowed import REHEARSED, made_up_codes
from synthehr.privacy.ledger import Entry, Ledger
from synthehr.privacy.matching import match
from synthehr.privacy.measure import domains_of, measure, questions
from synthehr.privacy.pairs import PairMarginals, measure_pairs
from synthehr.privacy.plan import Budget, Plan, planned, private_training
from synthehr.privacy.rows import MakeBatch, RowSlots, rehearse_rows
from synthehr.run.choices import Options, image_class
from synthehr.run.declared import (
    ENCODING,
    check_number,
    check_options,
    declared,
    encoder_of,
    privacy_config,
    settled_schema,
)
from synthehr.run.images.preparation import (
    FITTED,
    ImagePreparation,
    PrivateImages,
    built_images,
    columns_of,
    images_of,
    refuse_rules,
)
from synthehr.run.memory import check_memory
from synthehr.run.preparation import PrivatePart
from synthehr.run.private import accounted_training
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, TRAINING, derived, generator
from synthehr.split import patients_of
from synthehr.train import Callback, History, Runtime
from synthehr.train.runtime import mix

ASKED = 4096
"""Columns that are drawn for images to be asked for."""


class MeasuredColumns(NamedTuple):
    """What was measured of the columns beside images.

    Attributes
    ----------
    encoder : TableEncoder or None
        Fitted on made-up records; None where there are no columns.
    made_up : ndarray of shape (R, 2, D), int16
        These records.
    pairs : PairMarginals
        What was measured of pairs of columns.
    entries : tuple of Entry
        What it cost.
    """

    encoder: TableEncoder | None
    made_up: NDArray[np.int16]
    pairs: PairMarginals
    entries: tuple[Entry, ...]


def prepare_private_images(
    source: ImageSource, schema: Schema | None, options: Options
) -> ImagePreparation:
    """Plan, measure the columns, fit the encoder on what was measured, and build the model.

    Parameters
    ----------
    source : ImageSource
        The images; their layout is taken to be public.
    schema : Schema or None
        What their columns are, with bounds and levels; needed where there are columns.
    options : Options
        What the user chose.

    Raises
    ------
    SynthehrError
        If something is not declared, the budget does not suffice, or a setting or the model
        does not go with differential privacy.
    """
    assert options.privacy is not None
    cls = image_class(options.model, has_columns=columns_of(source).num_columns > 0)
    refuse_rules(options)
    _refuse_model(cls)
    check_options(options, cls)
    raster = public_raster(source, apply(RasterConfig(), options.settings.get("encode", {})))
    privacy = privacy_config(options.settings.get("privacy", {}), cls)
    source = _fitted(source)
    table = columns_of(source) if cls.uses_columns else pa.table({})
    whole = _settled(table, schema, options)
    if not options.privacy.discover:
        domains_of(whole, table.schema)
    owners = _owners(source)
    counted = table if table.num_columns else source.records
    settled, budget, ledger = declared(whole, counted, owners, options.privacy)
    training = private_training(
        budget, {**cls.private_settings.get("train", {}), **options.settings.get("train", {})}
    )
    domains = domains_of(settled, table.schema)
    sizes = {"steps": training.steps, "batch_size": training.batch_size}
    asked = {"questions": questions(domains, False), "with_pairs": len(domains) > 1}
    plan = planned(budget, privacy, looks=1, **asked, **sizes)
    check_number(len(source) if owners is None else int(owners.max()) + 1, budget)
    measured = _measured(table, settled, owners, budget, plan, options)
    encoder = ImageEncoder(raster, measured.encoder)
    model, config = built_images(cls, encoder.fields, budget.patients, options)
    looks = rehearse_images(model, encoder.fields)
    images = images_of(encoder.encode(source))
    part = PrivatePart(
        plan=replace(plan, looks=looks),
        config=privacy,
        ledger=replace(ledger, public=(*ledger.public, *_public(raster))).charged(
            *measured.entries
        ),
        made_up=measured.made_up,
        pairs=measured.pairs,
    )
    prepared = ImagePreparation(
        source=_without_marks(source, raster),
        schema=whole.with_columns(*settled.columns),
        encoder=encoder,
        codes=images,
        held_out=images.nobody(),
        model=model,
        config=config,
        training=training,
        raster=apply(RasterConfig(), options.settings.get("encode", {})),
        patients=None if owners is None else budget.patients,
        options=options,
        warnings=(),
        private=PrivateImages(part, owners),
    )
    check_memory(prepared.memory, 16)
    return prepared


def train_private_images(
    prepared: ImagePreparation, runtime: Runtime, callbacks: Sequence[Callback]
) -> tuple[History, Ledger]:
    """Match the columns to what was measured, and learn the images with DP-SGD.

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
    images = prepared.codes.to(runtime.device)
    slots = RowSlots(
        images.tensors,
        private.owners,
        part.plan.training.rate,
        part.plan.slots,
        part.config.max_shown,
        partial(private_batch, asked.to(runtime.device)),
    )
    history = accounted_training(
        model,
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
    return history, part.planned()


def private_batch(
    asked: Tensor, tensors: Sequence[Tensor], filled: Tensor, generator: torch.Generator
) -> ImageBatch:
    """Make a batch of images and of columns that are nobody's, to draw others for.

    Parameters
    ----------
    asked : Tensor of shape (A, 2, D), int64
        Columns to choose from.
    tensors : sequence of two Tensor
        Of `Images`.
    filled : Tensor of shape (B,), bool
        Which images are there.
    generator : torch.Generator
        Chooses, and is the batch's source of randomness.
    """
    device = asked.device
    chosen = torch.randint(len(asked), (len(filled),), generator=generator, device=device)
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
    make: MakeBatch = partial(private_batch, codes)
    return rehearse_rows(model, lambda batch: model.losses(batch, 0), (pixels, codes), make)


def public_raster(source: ImageSource, config: RasterConfig) -> Raster:
    """Settle how images are read from what was declared; no image is looked at.

    Raises
    ------
    ConfigError
        Naming what would have to be found among the images.
    """
    layout = source.layout
    if not config.size:
        raise ConfigError(
            "with --epsilon the size of images must be declared",
            hint="for example --set encode.size=64",
        )
    ranged = layout.dtype == "uint8" or layout.unit == HOUNSFIELD
    if not (ranged or config.limits or config.windows):
        raise ConfigError(
            f"with --epsilon the limits of {layout.dtype} pixels must be declared",
            hint="for example --set encode.limits=0,4095",
        )
    if source.load_masks is not None and not config.mask_values:
        raise ConfigError(
            "with --epsilon the values of masks must be declared",
            hint="for example --set encode.mask_values=0,1",
        )
    return Raster.settle(source, config)


def _refuse_model(cls: type[ImageModel]) -> None:
    if cls.not_private:
        raise ConfigError(
            f"this model does not go with --epsilon: {cls.not_private}",
            hint="use --model image-vae, image-cgan or image-merf",
        )


def _fitted(source: ImageSource) -> ImageSource:
    """Keep what is to be learned; each image tells by itself whether it is."""
    if "split" not in source.records.column_names:
        return source
    return source.take(np.array(source.records["split"].to_pylist(), dtype=object) == FITTED)


def _owners(source: ImageSource) -> NDArray[np.int64] | None:
    found = patients_of(source.records, source.patient)
    return None if found is None else np.unique(found, return_inverse=True)[1]


def _settled(table: pa.Table, schema: Schema | None, options: Options) -> Schema:
    if not table.num_columns:
        return Schema(())
    return settled_schema(Source(table, {}, ()), schema, replace(options, patient=None))


def _measured(
    table: pa.Table,
    schema: Schema,
    owners: NDArray[np.int64] | None,
    budget: Budget,
    plan: Plan,
    options: Options,
) -> MeasuredColumns:
    """Measure single columns and pairs of them, and fit the encoder on what that says."""
    rows = budget.patients
    if not table.num_columns:
        nothing = PairMarginals((), (), (), 0.0, rows)
        return MeasuredColumns(None, np.zeros((0, 2, 0), dtype=np.int16), nothing, ())
    found = measure(
        table,
        domains_of(schema, table.schema),
        owners,
        rows=rows,
        multiplier=plan.columns.noise_multiplier,
        rng=generator(options.seed, ENCODER),
        with_numbers=False,
    )
    encoder = encoder_of(found.table, None, schema, table.schema, ENCODING)
    several = len(encoder.fields) > 1
    pairs, of_pairs = measure_pairs(
        encoder.encode(table)[:, 0],
        encoder.fields,
        owners,
        rows=rows,
        multiplier=plan.pairs.noise_multiplier if several else 1.0,
    )
    entries = (found.entry, of_pairs) if several else (found.entry,)
    return MeasuredColumns(encoder, encoder.encode(found.table), pairs, entries)


def _public(raster: Raster) -> tuple[str, ...]:
    """Say what was declared of images."""
    return (f"type, channels, limits and size ({raster.size}) of the images",)


def _without_marks(source: ImageSource, raster: Raster) -> ImageSource:
    """Leave out the images, and what files tell of some of them."""
    layout: Any = replace(
        source.layout,
        height=raster.size,
        width=raster.size,
        bits=8 * np.dtype(raster.dtype).itemsize,
        details={},
    )
    return replace(source.take(np.zeros(0, dtype=np.int64)), layout=layout, warnings=())
