"""The models by name; each is imported when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.models.base import Model
    from synthehr.models.image_base import ImageModel
    from synthehr.models.sequence_base import SequenceModel

MODELS: dict[str, str] = {
    "autoregressive": "synthehr.models.autoregressive:Autoregressive",
    "vae": "synthehr.models.vae:VAE",
    "gan": "synthehr.models.gan:GAN",
    "cgan": "synthehr.models.cgan:ConditionalGAN",
    "gain": "synthehr.models.gain:GAIN",
}
"""Where each model's class is, as ``module:Class``."""


SEQUENCE_MODELS: dict[str, str] = {
    "lstm": "synthehr.models.lstm:LSTM",
    "lstm-gan": "synthehr.models.lstm_gan:LSTMGAN",
}
"""Likewise the models of visits."""


IMAGE_MODELS: dict[str, str] = {
    "image-ae": "synthehr.models.image_ae:ImageAutoencoder",
    "image-vae": "synthehr.models.image_vae:ImageVAE",
    "image-gan": "synthehr.models.image_gan:ImageGAN",
    "image-cgan": "synthehr.models.image_cgan:ConditionalImageGAN",
    "image-merf": "synthehr.models.image_merf:ImageMERF",
    "cyclegan": "synthehr.models.cyclegan:CycleGAN",
}
"""Likewise the models of images."""


def get(name: str) -> type[Model]:
    """Import the class of a model of tables.

    Raises
    ------
    ConfigError
        No model has this name.
    """
    if name in SEQUENCE_MODELS:
        raise ConfigError(
            f"the model {name} learns visits",
            hint="say which columns name patient and time: --patient id --time day",
        )
    if name in IMAGE_MODELS:
        raise ConfigError(
            f"the model {name} learns images", hint="give a folder of images, or --image-column"
        )
    return _found(name, MODELS)


def get_sequence(name: str) -> type[SequenceModel]:
    """Import the class of a model of visits.

    Raises
    ------
    ConfigError
        No model of visits has this name.
    """
    if name in MODELS or name in IMAGE_MODELS:
        raise ConfigError(
            f"the model {name} does not learn visits",
            hint=f"with --time the models are {', '.join(SEQUENCE_MODELS)}",
        )
    return _found(name, SEQUENCE_MODELS)


def get_image(name: str) -> type[ImageModel]:
    """Import the class of a model of images.

    Raises
    ------
    ConfigError
        No model of images has this name.
    """
    if name in MODELS or name in SEQUENCE_MODELS:
        raise ConfigError(
            f"the model {name} does not learn images",
            hint=f"the models of images are {', '.join(IMAGE_MODELS)}",
        )
    return _found(name, IMAGE_MODELS)


def _found(name: str, models: dict[str, str]) -> Any:
    if name not in models:
        near = difflib.get_close_matches(name, models, n=1)
        raise ConfigError(
            f"no model is called {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"the models are {', '.join(models)}",
        )
    module, _, class_name = models[name].partition(":")
    return getattr(import_module(module), class_name)
