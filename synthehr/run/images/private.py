"""The way of images in a fit under differential privacy; that of tables is `synthehr.run.private`.

The unit is the patient with all images. Public are also how images lie, their type, size and
limits. Columns are measured as those of a table are, and learned from that alone; how images look
is learned by DP-SGD, or from one noisy mean (`synthehr.run.images.embedded`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.config import TrainConfig, apply
from synthehr.encode.image import ImageEncoder, ImageFields
from synthehr.encode.raster_config import RasterConfig
from synthehr.encode.table import TableEncoder
from synthehr.io import Source
from synthehr.io.images import ImageSource
from synthehr.models.image_base import ImageModel
from synthehr.privacy.config import PrivacyConfig
from synthehr.privacy.embedding import refuse_drowned
from synthehr.privacy.ledger import Entry
from synthehr.privacy.measure import domains_of, measure, questions
from synthehr.privacy.pairs import PairMarginals, measure_pairs
from synthehr.privacy.plan import Budget, Plan, planned, private_training
from synthehr.privacy.steps import refuse_few_steps
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
from synthehr.run.images.declared import (
    fitted_images,
    public_raster,
    refuse_model,
    said_of_images,
    without_marks,
)
from synthehr.run.images.preparation import (
    ImagePreparation,
    PrivateImages,
    built_images,
    columns_of,
    images_of,
    refuse_rules,
)
from synthehr.run.images.private_training import rehearse_images
from synthehr.run.memory import check_memory
from synthehr.run.preparation import PrivatePart
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, generator
from synthehr.split import patients_of


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
    refuse_model(cls)
    check_options(options, cls)
    raster = public_raster(source, apply(RasterConfig(), options.settings.get("encode", {})))
    privacy = privacy_config(options.settings.get("privacy", {}), cls)
    source = fitted_images(source)
    table = columns_of(source) if cls.uses_columns else pa.table({})
    whole = _settled(table, schema, options)
    if not options.privacy.discover:
        domains_of(whole, table.schema)
    owners = _owners(source)
    counted = table if table.num_columns else source.records
    settled, budget, ledger = declared(whole, counted, owners, options.privacy)
    training = _training(cls, budget, privacy, options)
    domains = domains_of(settled, table.schema)
    plan = planned(
        budget,
        privacy,
        questions=questions(domains, False),
        with_pairs=len(domains) > 1,
        steps=training.steps,
        batch_size=training.batch_size,
        looks=1,
        once="mean embedding of images" if cls.looks_once else "",
    )
    check_number(len(source) if owners is None else int(owners.max()) + 1, budget)
    measured = _measured(table, settled, owners, budget, plan, options)
    encoder = ImageEncoder(raster, measured.encoder)
    model, config = built_images(cls, encoder.fields, budget.patients, options)
    if cls.looks_once:
        refuse_drowned(budget, plan.training.noise_multiplier, model.width_of_mean)
    looks = 1 if cls.looks_once else rehearse_images(model, encoder.fields)
    images = images_of(encoder.encode(source))
    part = PrivatePart(
        plan=replace(plan, looks=looks),
        config=privacy,
        ledger=replace(ledger, public=(*ledger.public, *said_of_images(raster))).charged(
            *measured.entries
        ),
        made_up=measured.made_up,
        pairs=measured.pairs,
    )
    prepared = ImagePreparation(
        source=without_marks(source, raster),
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
        as_told=options.holdout is None,
        warnings=(),
        private=PrivateImages(part, owners),
    )
    check_memory(prepared.memory, 16)
    return prepared


def _training(
    cls: type[ImageModel], budget: Budget, privacy: PrivacyConfig, options: Options
) -> TrainConfig:
    """Choose how to train from what is public, and refuse a budget that allows too few steps."""
    chosen = options.settings.get("train", {})
    if cls.looks_once:
        fields = ImageFields(1, 0, 1, 255, ())
        return apply(cls.train_config(fields, budget.patients, cls.Config()), chosen)
    usual = {**cls.private_settings.get("train", {}), **chosen}

    def batch_size(patients: int) -> int:
        most = private_training(replace(budget, patients=patients), {}).batch_size
        wanted = usual.get("batch_size", most)
        return wanted if "batch_size" in chosen else min(most, wanted)

    refuse_few_steps(budget, batch_size, 1 - privacy.marginals)
    return private_training(budget, {**usual, "batch_size": batch_size(budget.patients)})


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
