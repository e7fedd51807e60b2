"""Settings: frozen values, and how ``--set key=value`` and a TOML file change them."""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from synthehr.errors import ConfigError

Config = TypeVar("Config")

GROUPS = ("model", "train", "encode", "privacy")
"""What comes before the point in ``--set model.width=256``."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained.

    Attributes
    ----------
    steps : int
        Optimiser steps of a whole run; the learning rate's schedule ends there.
    batch_size : int
        Records a step.
    learning_rate : float
        Peak learning rate of AdamW.
    betas : tuple of float
        Decay of AdamW's first and second moment.
    weight_decay : float
        Decoupled weight decay; not applied to biases, norms and embeddings.
    schedule : {"cosine", "linear", "step", "constant"}
        Course of the learning rate after the warm-up.
    warmup : int
        Steps of linear warm-up.
    ema : float
        Decay of the moving average of the weights; 0 keeps the last weights.
    clip : float
        Largest norm of a child's gradient; 0 never clips.
    patience : int
        Evaluations without improvement after which training stops; 0 never stops early.
    evaluations : int
        How often the held-out loss is measured over the whole run.
    precision : {"auto", "float32", "bfloat16"}
        Arithmetic of the forward pass; "auto" takes bfloat16 where the device has it.
    """

    steps: int
    batch_size: int = 512
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Literal["cosine", "linear", "step", "constant"] = "cosine"
    warmup: int = 100
    ema: float = 0.999
    clip: float = 1.0
    patience: int = 0
    evaluations: int = 20
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("steps", "batch_size", "evaluations"):
            if getattr(self, name) < 1:
                raise out_of_range(name, "at least 1")
        for name in ("weight_decay", "warmup", "clip", "patience"):
            if getattr(self, name) < 0:
                raise out_of_range(name, "at least 0")
        if self.learning_rate <= 0:
            raise out_of_range("learning_rate", "above 0")
        if not 0 <= self.ema < 1:
            raise out_of_range("ema", "at least 0 and below 1")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise out_of_range("betas", "at least 0 and below 1")


def out_of_range(name: str, range_: str) -> ConfigError:
    """Make the error of a setting outside its range."""
    return ConfigError(f"the setting {name} is out of range", hint=f"it must be {range_}")


def settings(
    pairs: Iterable[str] = (),
    *,
    groups: Mapping[str, type],
    file: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """Read settings from ``group.key=value`` texts, on top of those of a TOML file.

    Parameters
    ----------
    pairs : iterable of str
        For example ``"model.width=256"``; a later one wins.
    groups : mapping of str to type
        The dataclass of each group, which says what keys there are and their types.
    file : Path, optional
        A TOML file with a table for each group.

    Returns
    -------
    dict of str to dict
        Typed values by group and key; groups without settings are empty.

    Raises
    ------
    ConfigError
        A group or key does not exist, or a value has the wrong type.

    Examples
    --------
    >>> settings(["train.steps=2000"], groups={"train": TrainConfig})
    {'train': {'steps': 2000}}
    """
    found: dict[str, dict[str, Any]] = {group: {} for group in groups}
    nested = {} if file is None else read_toml(file)
    for pair in pairs:
        path, equals, text = pair.partition("=")
        group, point, key = path.strip().partition(".")
        if not equals or not point:
            raise ConfigError(
                "--set takes group.key=value", hint="for example --set model.width=256"
            )
        nested = {**nested, group: {**nested.get(group, {}), key.strip(): text.strip()}}
    for group, values in nested.items():
        if group not in groups:
            raise unknown(group, groups, "group of settings")
        found[group] = typed(groups[group], values, group)
    return found


def read_toml(path: Path) -> dict[str, dict[str, Any]]:
    """Read a TOML file of settings: one table for each group.

    Raises
    ------
    ConfigError
        The file cannot be read, is not TOML, or has a value outside a table.
    """
    try:
        nested = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the settings in {path.name} cannot be read ({type(error).__name__})",
            hint="check the path given to --config",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError(
            f"{path.name} is not a TOML file",
            hint="write [train], and below it lines such as: steps = 2000",
        ) from None
    for group, values in nested.items():
        if not isinstance(values, dict):
            raise ConfigError(
                f"{group} stands outside a table in {path.name}",
                hint=f"the tables are {', '.join(f'[{name}]' for name in GROUPS)}",
            )
    return nested


def apply(config: Config, changes: Mapping[str, Any]) -> Config:
    """Change fields of a frozen dataclass, after the checks of `settings`.

    Raises
    ------
    ConfigError
        A field does not exist, or a value has the wrong type.
    """
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise TypeError("a config is an instance of a dataclass")
    return dataclasses.replace(config, **typed(type(config), changes))


def typed(config: type, values: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """Read values as the types that a dataclass declares, also from text."""
    hints = get_type_hints(config)
    names = [field.name for field in dataclasses.fields(config) if field.init]
    prefix = f"{group}." if group else ""
    changed = {}
    for key, value in values.items():
        if key not in names:
            raise unknown(key, names, "setting", prefix)
        try:
            changed[key] = _read(value, hints[key])
        except ValueError:
            raise ConfigError(
                f"the setting {prefix}{key} has the wrong type",
                hint=f"it must be {_words(hints[key])}",
            ) from None
    return changed


def unknown(key: str, names: Iterable[str], what: str, prefix: str = "") -> ConfigError:
    """Make the error of a name that does not exist, with the nearest that does."""
    names = list(names)
    near = difflib.get_close_matches(key, names, n=1)
    return ConfigError(
        f"there is no {what} {prefix}{key}",
        hint=f"did you mean {prefix}{near[0]}?" if near else f"there are {', '.join(names)}",
    )


def _read(value: Any, kind: Any) -> Any:
    """Read a value as a type; ValueError where it is not one."""
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _read_union(value, choices)
    if origin is Literal:
        for choice in choices:
            if value == choice or (isinstance(value, str) and value == str(choice)):
                return choice
        raise ValueError
    if origin is tuple:
        return _read_tuple(value, choices)
    if kind is bool:
        texts = {"true": True, "false": False}
        found = texts.get(value.lower()) if isinstance(value, str) else value
        if isinstance(found, bool):
            return found
        raise ValueError
    if kind in (int, float):
        return _read_number(value, kind)
    if isinstance(value, kind):
        return value
    raise ValueError


def _read_number(value: Any, kind: type) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    if kind is float:
        return number
    if number != int(number):
        raise ValueError
    return int(value) if isinstance(value, int) else int(number)


def _read_tuple(value: Any, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.strip("[]()").split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    return tuple(_read(part, kind) for part, kind in zip(value, kinds, strict=True))


def _read_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    if NoneType in kinds and (value is None or value == "none"):
        return None
    for kind in kinds:
        if kind is not NoneType:
            try:
                return _read(value, kind)
            except ValueError:
                continue
    raise ValueError


def _words(kind: Any) -> str:
    """Say a type in words."""
    origin, choices = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_words(choice) for choice in choices)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in choices)
    if origin is tuple:
        if choices[-1] is Ellipsis:
            return f"a list of which each is {_words(choices[0])}"
        return f"a list of {len(choices)}, each {_words(choices[0])}"
    plain = {
        int: "an integer",
        float: "a finite number",
        bool: "true or false",
        str: "a text",
        NoneType: "none",
    }
    return plain.get(kind, str(kind))
