"""Settings from ``--set`` and from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from synthehr.config import TrainConfig, apply, settings
from synthehr.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Shape:
    width: int = 64
    dropout: float = 0.0
    name: str = "net"
    deep: bool = False
    widths: tuple[int, ...] = (1,)
    gate: Literal["relu", "gelu"] = "relu"
    cut: float | None = None


GROUPS = {"model": Shape, "train": TrainConfig}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("model.width=256", 256),
        ("model.width= 1e3 ", 1000),
        ("model.dropout=0", 0.0),
        ("model.dropout=1e-2", 0.01),
        ("model.name=12", "12"),
        ("model.name=a=b", "a=b"),
        ("model.deep=True", True),
        ("model.widths=[1, 2,3]", (1, 2, 3)),
        ("model.widths=8", (8,)),
        ("model.gate=gelu", "gelu"),
        ("model.cut=none", None),
        ("model.cut=0.5", 0.5),
        ("train.betas=0.5,0.9", (0.5, 0.9)),
    ],
)
def test_a_text_becomes_what_the_field_declares(pair: str, value: object) -> None:
    group, _, rest = pair.partition(".")
    found = settings([pair], groups=GROUPS)[group]
    assert found == {rest.partition("=")[0]: value}
    assert type(next(iter(found.values()))) is type(value)


@pytest.mark.parametrize(
    ("pair", "message", "hint"),
    [
        ("model.widht=256", "no setting model.widht", "did you mean model.width?"),
        ("modle.width=256", "no group of settings modle", "did you mean model?"),
        ("model.zzzz=1", "no setting model.zzzz", "there are width, dropout"),
        ("model.width=wide", "model.width has the wrong type", "an integer"),
        ("model.width=2.5", "wrong type", "an integer"),
        ("model.dropout=nan", "wrong type", "a finite number"),
        ("model.dropout=inf", "wrong type", "a finite number"),
        ("model.deep=1", "wrong type", "true or false"),
        ("model.gate=tanh", "wrong type", "one of relu, gelu"),
        ("model.widths=1,x", "wrong type", "a list of which each is an integer"),
        ("model.cut=x", "wrong type", "a finite number or none"),
        ("train.betas=0.5", "wrong type", "a list of 2"),
        ("model.width", "takes group.key=value", "for example"),
        ("width=3", "takes group.key=value", "for example"),
    ],
)
def test_a_mistake_is_named_and_a_way_out_given(pair: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        settings([pair], groups=GROUPS)
    assert hint in caught.value.hint


def test_toml_below_and_texts_on_top(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[model]\nwidth = 32\nwidths = [4, 5]\ncut = 1\n[train]\nschedule = "step"\n')
    found = settings(["model.width=8", "model.width=16"], groups=GROUPS, file=file)
    assert found == {
        "model": {"width": 16, "widths": (4, 5), "cut": 1.0},
        "train": {"schedule": "step"},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = 3", "steps stands outside a table"),
        ("[train]\nsteps = ", "not a TOML file"),
        ("[train]\nstep = 3", "no setting train.step"),
        ("[train]\nsteps = true", "train.steps has the wrong type"),
        ("[train]\nsteps = [1]", "train.steps has the wrong type"),
    ],
)
def test_a_bad_toml_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        settings(groups=GROUPS, file=file)


def test_a_missing_toml_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.toml cannot be read"):
        settings(groups=GROUPS, file=tmp_path / "run.toml")


def test_apply_changes_a_copy() -> None:
    config = TrainConfig(steps=10)
    assert apply(config, {"steps": "20", "ema": 0}) == TrainConfig(steps=20, ema=0.0)
    assert config.steps == 10
    with pytest.raises(ConfigError, match="no setting epochs"):
        apply(config, {"epochs": 3})


@pytest.mark.parametrize(
    "pair",
    [
        "train.steps=0",
        "train.batch_size=-1",
        "train.evaluations=0",
        "train.learning_rate=0",
        "train.ema=1",
        "train.betas=0.9,1",
        "train.patience=-1",
        "train.clip=-1",
    ],
)
def test_ranges(pair: str) -> None:
    found = settings([pair], groups=GROUPS)["train"]
    with pytest.raises(ConfigError, match="out of range"):
        apply(TrainConfig(steps=10), found)
