"""Runs that are cut off, and taken up again."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from tiny import CPU, Marginals, make, records, weights

from synthehr.config import TrainConfig
from synthehr.errors import ArtifactError
from synthehr.train import train
from synthehr.train.checkpoint import note_of

HERE = Path(__file__).parent
CONFIG = TrainConfig(steps=40, batch_size=64, learning_rate=0.05, warmup=5, evaluations=8)


def fit(
    model: Marginals,
    path: Path,
    *,
    config: TrainConfig = CONFIG,
    seed: int = 1,
    n: int = 600,
    until: int = 40,
) -> None:
    train(
        model,
        records(n),
        records(200, 1),
        config,
        seed=seed,
        runtime=CPU,
        callbacks=[lambda state: state.step == until],
        checkpoint=path,
        checkpoint_every=0.0,
        resume=True,
        note={"seed": 17},
    )


@pytest.mark.slow
def test_killed_at_random_points_it_comes_to_the_same_bytes(tmp_path: Path) -> None:
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    done = subprocess.run(
        [sys.executable, str(HERE / "killed.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    kills, equal = done.stdout.split()
    assert int(kills) == 5
    assert equal == "True"


@pytest.mark.parametrize("ema", [0.999, 0.0])
@pytest.mark.parametrize("until", [1, 13, 39])
def test_a_run_goes_on_to_the_same_bytes(tmp_path: Path, until: int, ema: float) -> None:
    config = dataclasses.replace(CONFIG, ema=ema)
    whole, half, rest = make(), make(), make()
    fit(whole, tmp_path / "whole", config=config)
    fit(half, tmp_path / "parts", config=config, until=until)
    fit(rest, tmp_path / "parts", config=config)
    assert weights(rest) == weights(whole)
    assert rest.seen.item() == 40 * 64


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, second = make(), make()
    fit(first, tmp_path / "run")
    fit(second, tmp_path / "run")
    assert weights(first) == weights(second)
    assert not second.dtypes


def test_the_file_is_data_only_and_private(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fit(make(), path)
    with safe_open(path, framework="np") as file:
        assert any(name.endswith("exp_avg_sq") for name in list(file.keys()))
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["run"]


def test_the_callers_note_is_found_again(tmp_path: Path) -> None:
    assert note_of(tmp_path / "run") == {}
    fit(make(), tmp_path / "run", until=5)
    assert note_of(tmp_path / "run") == {"seed": 17}


def test_refuses_the_checkpoint_of_another_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fit(make(), path, until=20)
    longer = dataclasses.replace(CONFIG, steps=80)
    with pytest.raises(ArtifactError, match="other seed"):
        fit(make(), path, seed=2)
    with pytest.raises(ArtifactError, match="other records"):
        fit(make(), path, n=601)
    with pytest.raises(ArtifactError, match="other training settings") as caught:
        fit(make(), path, config=longer)
    assert "--resume" in caught.value.hint
    with pytest.raises(ArtifactError, match="other model"):
        fit(make(dropout=0.2), path)


@pytest.mark.parametrize("damage", ["cut", "flip", "pickle"])
def test_refuses_a_damaged_checkpoint(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run"
    fit(make(), path, until=20)
    data = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(data[:-10])
    elif damage == "flip":
        data[-3] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(b"\x80\x04" + data)
    with pytest.raises(ArtifactError, match="the checkpoint cannot be used"):
        fit(make(), path)


def test_the_clock_of_a_resumed_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run"
    fit(make(), path, until=20)
    history = train(
        make(),
        records(600),
        records(200, 1),
        CONFIG,
        seed=1,
        runtime=CPU,
        max_minutes=1e-9,
        checkpoint=path,
        resume=True,
    )
    assert (history.stopped_by, history.steps) == ("clock", 20)
