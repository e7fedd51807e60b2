"""A loaded model file of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from synthehr.artifact import load_of
from synthehr.encode.image import ImageEncoder
from synthehr.families import IMAGES
from synthehr.io.images import ImageLayout
from synthehr.models.image_base import ImageModel
from synthehr.schema.table import Schema


class ImageArtifact(NamedTuple):
    """A loaded model file of images; attributes as of `synthehr.artifact.Artifact`."""

    model: ImageModel
    encoder: ImageEncoder
    schema: Schema
    record: dict[str, Any]
    config: Any

    @property
    def layout(self) -> ImageLayout:
        """How the images lay that were fitted."""
        return ImageLayout.from_json(self.record["layout"])


def load_images(path: Path | str, *, model: type[ImageModel] | None = None) -> ImageArtifact:
    """Read a model file of images; parameters and errors as `synthehr.Synthesizer.load`."""
    return load_of(IMAGES, path, model=model)
