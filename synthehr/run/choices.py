"""What a user chooses for a fit, checked before anything is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from synthehr.config import GROUPS, TrainConfig, settings, unknown
from synthehr.encode.config import EncodeConfig
from synthehr.encode.raster import RasterConfig
from synthehr.errors import ConfigError
from synthehr.families import IMAGES, TABLES, VISITS, Family
from synthehr.models import get, get_image, get_sequence
from synthehr.modes.constraints import NO_RULES, Rules
from synthehr.privacy.config import Privacy, PrivacyConfig

if TYPE_CHECKING:
    from torch import nn

    from synthehr.models.base import Model
    from synthehr.models.image_base import ImageModel
    from synthehr.models.sequence_base import SequenceModel


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a user chose for a fit.

    Attributes
    ----------
    model : str or type of a model
        A name in `synthehr.models`, "auto", or a class.
    seed : int
        Seed of everything that is drawn.
    settings : mapping of str to mapping
        The groups ``model``, ``train``, ``encode`` and ``privacy`` of settings that differ from
        the defaults.
    patient : str or None
        The column that names the patient.
    holdout : float or None
        Share of the patients that are set aside; None: a tenth, or none of them under
        differential privacy.
    max_minutes : float or None
        Limit by the clock.
    on_text : {"refuse", "drop"}
        What to do with columns of free text.
    pii : {"drop", "keep", "surrogate"} or None
        What to do with columns that look like direct identifiers.
    privacy : Privacy or None
        The differential privacy of the fit; None: it has none.
    rules : Rules
        Rules that sampled records keep.
    """

    model: str | type[nn.Module] = "auto"
    seed: int = 0
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    patient: str | None = None
    holdout: float | None = None
    max_minutes: float | None = None
    on_text: Literal["refuse", "drop"] = "refuse"
    pii: Literal["drop", "keep", "surrogate"] | None = None
    privacy: Privacy | None = None
    rules: Rules = NO_RULES

    def __post_init__(self) -> None:
        """Check the clock."""
        if self.max_minutes is not None and not self.max_minutes > 0:
            raise ConfigError("--max-minutes must be above 0", hint="for example --max-minutes 5")

    @property
    def share_held_out(self) -> float:
        """Share of the patients that are set aside."""
        if self.holdout is not None:
            return self.holdout
        return 0.1 if self.privacy is None else 0.0


def model_class(model: str | type[nn.Module]) -> type[Model]:
    """Find the class of a model of tables: a name, "auto", or the class itself."""
    if not isinstance(model, str):
        return cast("type[Model]", model)
    return get("autoregressive" if model == "auto" else model)


def sequence_class(model: str | type[nn.Module]) -> type[SequenceModel]:
    """Find the class of a model of visits: a name, "auto", or the class itself."""
    if not isinstance(model, str):
        return cast("type[SequenceModel]", model)
    return get_sequence("lstm" if model == "auto" else model)


def image_class(model: str | type[nn.Module], *, has_columns: bool = True) -> type[ImageModel]:
    """Find the class of a model of images: a name, "auto", or the class itself."""
    if not isinstance(model, str):
        return cast("type[ImageModel]", model)
    usual = "image-cgan" if has_columns else "image-gan"
    return get_image(usual if model == "auto" else model)


def settings_of(
    model: str, pairs: Sequence[str] = (), file: Path | None = None, *, family: Family = TABLES
) -> dict[str, dict[str, Any]]:
    """Read settings for a model from ``group.key=value`` texts and a TOML file.

    Raises
    ------
    ConfigError
        If the model, a group or a key does not exist, or a value has the wrong type.
    """
    find: dict[Family, Any] = {TABLES: model_class, VISITS: sequence_class, IMAGES: image_class}
    groups = {
        "model": find[family](model).Config,
        "train": TrainConfig,
        "encode": RasterConfig if family is IMAGES else EncodeConfig,
        "privacy": PrivacyConfig,
    }
    return settings(pairs, groups=groups, file=file)


def checked(settings: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Refuse groups of settings that do not exist."""
    for group in settings:
        if group not in GROUPS:
            raise unknown(group, GROUPS, "group of settings")
    return settings


def present(device: str | None) -> str | None:
    """Refuse a device that this machine does not have.

    Raises
    ------
    ConfigError
        If there is no such device.
    """
    if device is None:
        return None
    kind, _, number = device.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count()}
    if kind not in counts or (number and not number.isdigit()):
        raise ConfigError(f"there is no device {device}", hint="say cpu, cuda or cuda:1")
    if int(number or 0) >= counts[kind]:
        raise ConfigError(
            f"this machine has {counts[kind]} {kind} devices", hint="train on the CPU: device='cpu'"
        )
    return device
