"""What synthehr learns: tables, visits and images; what each is encoded, learned and kept by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from synthehr.models import IMAGE_MODELS, MODELS, SEQUENCE_MODELS


@dataclass(frozen=True, eq=False)
class Family:
    """One thing to learn; places are written as ``module:Class`` and imported when needed.

    Attributes
    ----------
    name : str
        In words.
    mark : str
        A key that the state of its encoder has, and none of those listed before it.
    encoder, artifact : str
        Places of the encoder's class and of what a loaded model file is.
    models : mapping of str to str
        Places of its models by name.
    loader : str
        The class of the Python interface.
    """

    name: str
    mark: str
    encoder: str
    artifact: str
    models: Mapping[str, str]
    loader: str


IMAGES = Family(
    "images",
    "raster",
    "synthehr.encode.image:ImageEncoder",
    "synthehr.run.images.artifact:ImageArtifact",
    IMAGE_MODELS,
    "ImageSynthesizer",
)
VISITS = Family(
    "visits",
    "clock",
    "synthehr.encode.sequence:SequenceEncoder",
    "synthehr.artifact:SequenceArtifact",
    SEQUENCE_MODELS,
    "SequenceSynthesizer",
)
TABLES = Family(
    "tables",
    "",
    "synthehr.encode.table:TableEncoder",
    "synthehr.artifact:Artifact",
    MODELS,
    "Synthesizer",
)

FAMILIES = (IMAGES, VISITS, TABLES)


def family_of(content: Mapping[str, Any]) -> Family:
    """Say of which family a model file is, by what it says of itself."""
    encoder = content.get("encoder")
    marks = encoder if isinstance(encoder, Mapping) else ()
    return next((family for family in FAMILIES if family.mark in marks), TABLES)


def place(where: str) -> Any:
    """Import a class by its place."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def synthesizer_of(family: Family) -> Any:
    """Import the class of a family's Python interface."""
    import synthehr

    return getattr(synthehr, family.loader)
