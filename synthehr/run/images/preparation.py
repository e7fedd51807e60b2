"""What a fit of images needs before its first step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.artifact import model_name
from synthehr.config import TrainConfig, apply
from synthehr.encode.config import EncodeConfig
from synthehr.encode.image import ImageCodes, ImageEncoder, ImageFields
from synthehr.encode.raster import Raster, RasterConfig
from synthehr.encode.table import TableEncoder
from synthehr.errors import ConfigError, InputError
from synthehr.io import Source
from synthehr.io.images import ImageSource
from synthehr.models.image_base import ImageModel, Images
from synthehr.run.choices import Options, image_class
from synthehr.run.memory import check_memory
from synthehr.run.preparation import (
    PrivatePart,
    built_of,
    refuse_privacy_settings,
    settle_schema,
)
from synthehr.schema.column import shown
from synthehr.schema.doubts import doubts
from synthehr.schema.table import Schema
from synthehr.seeds import ENCODER, generator
from synthehr.split import held_out, patients_of

LEAST_IMAGES = 50
"""Fewer images are nothing to learn from."""
FITTED, HELD_OUT = "train", "val"
"""Splits of the data that are learned and that choose the weights; others are left alone."""
_STATES = 8
_ACTIVATIONS = 40


class PrivateImages(NamedTuple):
    """What a fit of images under differential privacy needs besides.

    Attributes
    ----------
    part : PrivatePart
        As of a fit of a table.
    owners : ndarray of shape (N,), int64, or None
        Patient of each image; None where each is one's.
    """

    part: PrivatePart
    owners: NDArray[np.int64] | None


@dataclass(frozen=True, kw_only=True)
class ImagePreparation:
    """Everything that a fit of images needs, before the first step.

    Attributes
    ----------
    source : ImageSource
        What was given, without its images.
    schema : Schema
        What the columns beside the images are; may have none.
    encoder : ImageEncoder
        Fitted on the images that are not held out.
    codes, held_out : Images
        The encoded images.
    model : ImageModel
        Freshly built.
    config : dataclass
        The model's settings.
    training : TrainConfig
        How it is trained.
    raster : RasterConfig
        How images were read.
    patients : int or None
        Number of patients; None where each image is one's.
    options : Options
        What the user chose.
    as_told : bool
        Whether images are held out as the data tell, where they do.
    warnings : tuple of str
        What looks odd; no cell value and no file name is in it.
    private : PrivateImages or None
        For a fit under differential privacy.
    """

    source: ImageSource
    schema: Schema
    encoder: ImageEncoder
    codes: Images
    held_out: Images
    model: ImageModel
    config: Any
    training: TrainConfig
    raster: RasterConfig
    patients: int | None
    options: Options
    as_told: bool
    warnings: tuple[str, ...]
    private: PrivateImages | None = None

    @property
    def images(self) -> int:
        """Number of images; under differential privacy the declared number of patients."""
        if self.private is not None:
            return self.private.part.ledger.public_patients
        return len(self.codes) + len(self.held_out)

    @property
    def batch_size(self) -> int:
        """Images of a batch; under differential privacy patients."""
        return min(self.training.batch_size, self.images - len(self.held_out))

    @property
    def weights(self) -> int:
        """Number of weights of the model."""
        return sum(weight.numel() for weight in self.model.parameters())

    @property
    def memory(self) -> int:
        """Predicted memory in bytes that training takes beyond what is taken now."""
        width = getattr(self.config, "width", 32)
        places = self.encoder.fields.size**2
        return 4 * (_STATES * self.weights + _ACTIVATIONS * self.batch_size * width * places // 4)

    def plan(self) -> dict[str, Any]:
        """Say what the fit is about to do, in JSON values."""
        fields = self.encoder.fields
        return {
            "model": model_name(type(self.model)),
            "weights": self.weights,
            "steps": self.training.steps,
            "batch_size": self.batch_size,
            "fitted_images": self.images - len(self.held_out),
            "held_out_images": len(self.held_out),
            "size": fields.size,
            "channels": fields.channels,
            "modelled_columns": len(fields.columns),
            "memory_mib": self.memory >> 20,
            "seed": self.options.seed,
            "schema": self.schema.to_json(),
            "raster": asdict(self.raster),
            "privacy": None if self.private is None else self.private.part.planned().to_json(),
        }


def prepare_images(
    source: ImageSource, schema: Schema | None, options: Options
) -> ImagePreparation:
    """Split off patients, settle how images are read, encode, and build the model.

    Raises
    ------
    SynthehrError
        If the images, the schema or a setting cannot be used.
    """
    _refuse_what_images_have_not(options)
    known = columns_of(source)
    cls = image_class(options.model, has_columns=known.num_columns > 0)
    table = known if cls.uses_columns else known.select([])
    as_told = options.holdout is None
    fitted, aside = split_rows(source, options.share_held_out, options.seed, as_told)
    patients = _among(source, fitted)
    if len(fitted) < LEAST_IMAGES:
        raise InputError(
            f"there are {len(fitted)} images to learn from, and {LEAST_IMAGES} are the least",
            hint="give more of them",
        )
    raster = apply(RasterConfig(), options.settings.get("encode", {}))
    settled, columns = _columns(table, schema, fitted, patients, options)
    encoder = ImageEncoder(Raster.settle(source.take(fitted), raster), columns)
    codes = images_of(encoder.encode(source.take(fitted)))
    model, config = built_images(cls, encoder.fields, len(codes), options)
    training = cls.train_config(encoder.fields, len(codes), config)
    left_out = () if cls.uses_columns else _left_out(known)
    prepared = ImagePreparation(
        source=source.take(np.zeros(0, dtype=np.int64)),
        schema=settled,
        encoder=encoder,
        codes=codes,
        held_out=images_of(encoder.encode(source.take(aside))),
        model=model,
        config=config,
        training=apply(training, options.settings.get("train", {})),
        raster=raster,
        patients=None if patients is None else len(np.unique(patients)),
        options=options,
        as_told=as_told,
        warnings=(*source.warnings, *doubts(settled, table), *left_out),
    )
    check_memory(prepared.memory, 16)
    return prepared


def refuse_rules(options: Options) -> None:
    """Refuse rules: images keep none.

    Raises
    ------
    ConfigError
        If there are some.
    """
    if options.rules.rules:
        raise ConfigError("images keep no rules", hint="leave out --rules")


def _refuse_what_images_have_not(options: Options) -> None:
    refuse_rules(options)
    refuse_privacy_settings(options)


def columns_of(source: ImageSource) -> pa.Table:
    """Take what is known of each image: all columns but names of files, split and patient."""
    others = {source.records.column_names[0], "split", "mask", source.patient}
    return source.records.select(
        [name for name in source.records.column_names if name not in others]
    )


def _left_out(known: pa.Table) -> tuple[str, ...]:
    names = ", ".join(map(shown, known.column_names))
    told = f"what is known of each image is not learned ({names}): image-cgan draws images by it"
    return (told,) if names else ()


def split_rows(
    source: ImageSource, share: float, seed: int, as_told: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the rows to learn and those to score by; what the data keep for tests is neither.

    Parameters
    ----------
    source : ImageSource
        The images.
    share, seed : float, int
        Of the patients that are held out, where the data do not tell.
    as_told : bool
        Whether to hold out what the data tell, where they do.
    """
    names = source.records.column_names
    splits = np.array(source.records["split"].to_pylist() if "split" in names else [], dtype=object)
    ours, theirs = splits == FITTED, splits == HELD_OUT
    if as_told and ours.any() and theirs.any():
        return np.flatnonzero(ours), np.flatnonzero(theirs)
    rows = np.flatnonzero(ours) if ours.any() else np.arange(len(source))
    aside = held_out(len(rows), _among(source, rows), share, seed)
    return rows[~aside], rows[aside]


def _among(source: ImageSource, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Give the patients of some rows, numbered anew."""
    owners = patients_of(source.records, source.patient)
    return None if owners is None else np.unique(owners[rows], return_inverse=True)[1]


def _columns(
    table: pa.Table,
    schema: Schema | None,
    fitted: NDArray[np.int64],
    patients: NDArray[np.int64] | None,
    options: Options,
) -> tuple[Schema, TableEncoder | None]:
    """Settle what the columns are, and learn how to encode them; patients are of the fitted."""
    if not table.num_columns:
        return Schema(()), None
    settled = settle_schema(Source(table, {}, ()), schema, replace(options, patient=None))
    encoder = TableEncoder.fit(
        table.take(pa.array(fitted)),
        settled,
        patients=patients,
        config=EncodeConfig(),
        rng=generator(options.seed, ENCODER),
    )
    return settled, encoder


def images_of(codes: ImageCodes) -> Images:
    """Take codes as tensors, without a copy."""
    return Images(torch.from_numpy(codes.pixels), torch.from_numpy(codes.codes))


def built_images(
    cls: type[ImageModel], fields: ImageFields, n_images: int, options: Options
) -> tuple[ImageModel, Any]:
    """Build the model that was asked for, and give its settings."""
    return built_of(cls, fields, n_images, options)
