"""The models by name; each is imported when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from synthehr.errors import ConfigError

if TYPE_CHECKING:
    from synthehr.models.base import Model

MODELS: dict[str, str] = {
    "autoregressive": "synthehr.models.autoregressive:Autoregressive",
    "vae": "synthehr.models.vae:VAE",
    "gan": "synthehr.models.gan:GAN",
    "cgan": "synthehr.models.cgan:ConditionalGAN",
    "gain": "synthehr.models.gain:GAIN",
}
"""Where each model's class is, as ``module:Class``."""


def get(name: str) -> type[Model]:
    """Import the class of a model.

    Raises
    ------
    ConfigError
        No model has this name.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        raise ConfigError(
            f"no model is called {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"the models are {', '.join(MODELS)}",
        )
    module, _, class_name = MODELS[name].partition(":")
    return getattr(import_module(module), class_name)
