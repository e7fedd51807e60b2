"""What the model file adds to an attack: losses, and shadow models that calibrate them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from commands import refused, run
from evaluated import patients

from synthehr import Synthesizer
from synthehr.errors import ConfigError
from synthehr.evaluation.scores import auroc
from synthehr.gates import assess
from synthehr.io import write_table
from synthehr.run.informed import loss_attack
from synthehr.run.shadows import calibrated, shadow_attacks

NAMES = ["age", "sodium", "pressure", "ward"]
SIDES: tuple[Literal["real", "holdout"], ...] = ("real", "holdout")
OVERFITTED = {
    "model": {
        "dropout": 0.0,
        "width": 64,
        "blocks": 1,
        "frequencies": 3,
        "head_frequencies": 0,
        "own_share": 1.0,
    },
    "train": {"steps": 300, "patience": 0, "weight_decay": 0.0, "batch_size": 64},
}


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return patients(240, 1).select(NAMES)


@pytest.fixture(scope="module")
def overfitted(table: pa.Table) -> Synthesizer:
    return Synthesizer(seed=1, settings=OVERFITTED).fit(table, holdout=0.4)


@pytest.mark.parametrize("model", ["autoregressive", "vae"])
def test_equal_records_have_equal_losses_whatever_stands_around_them(
    table: pa.Table, model: str
) -> None:
    fitted = Synthesizer(model, seed=1, settings={"train": {"steps": 5}}).fit(table)
    artifact = fitted.artifact
    codes = torch.from_numpy(artifact.encoder.encode(table)).long()
    losses = artifact.model.record_losses(codes)
    assert losses is not None and losses.shape == (240,) and losses.isfinite().all()
    some = artifact.model.record_losses(codes[5:20].flip(0))
    assert some is not None
    assert torch.allclose(some.flip(0), losses[5:20], atol=1e-4)
    # the mean estimates what the fit is judged by
    assert losses.mean().item() == pytest.approx(artifact.model.held_out_loss(codes), rel=0.3)


def test_a_model_without_a_likelihood_has_no_loss_attack(table: pa.Table) -> None:
    fitted = Synthesizer("gan", seed=1, settings={"train": {"steps": 2}}).fit(table)
    assert loss_attack(fitted.artifact, table, table, table) == {}


def test_shadow_models_calibrate_what_differs_from_patient_to_patient() -> None:
    rng = np.random.default_rng(0)
    n, k = 2000, 8
    easy, gain = rng.normal(0, 3, n), 1.5
    member = np.arange(n) < n // 2
    inside = np.array([rng.permutation(n) % 2 == 0 for _ in range(k // 2)])
    inside = np.concatenate([inside, ~inside])
    shadows = easy + gain * inside + rng.normal(0, 1, (k, n))
    scores = easy + gain * member + rng.normal(0, 1, n)
    assert auroc(member, scores) < 0.7
    assert auroc(member, calibrated(scores, shadows, inside)) > 0.8
    alone = calibrated(scores, shadows, np.zeros_like(inside))
    assert (alone == 0).all(), "nothing is known of a record that no shadow model was fitted on"


def test_shadow_models_tell_members_of_an_overfitted_model(table: pa.Table) -> None:
    aside = patients(240, 3).select(NAMES)
    # nothing is held out of the fit, so that nothing keeps it from learning by heart
    model = Synthesizer(seed=1, settings=OVERFITTED).fit(table, holdout=0.0)
    synthetic = pa.concat_tables(model.sample_batches(300, seed=1))
    told: list[str] = []
    attacks = shadow_attacks(
        model.artifact, synthetic, table, aside, seed=3, shadows=2, tell=told.append
    )
    assert list(attacks) == ["calibrated density", "calibrated loss"]
    assert len(told) == 2
    member = np.repeat([True, False], 240)
    loss = loss_attack(model.artifact, table, aside, table) | attacks
    areas = {
        name: auroc(member, np.concatenate([attack(side, np.arange(240)) for side in SIDES]))
        for name, attack in loss.items()
    }
    assert areas["calibrated loss"] > max(0.6, areas["loss"] - 0.05), areas
    assert areas["calibrated density"] > 0.4, areas


def test_a_deep_audit_needs_a_model_file(
    table: pa.Table, overfitted: Synthesizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthetic = pa.concat_tables(overfitted.sample_batches(300, seed=1))
    with pytest.raises(ConfigError, match="needs a model file"):
        assess(table, synthetic, audit="deep")
    for name, each in (("real", table), ("synthetic", synthetic)):
        write_table([each], tmp_path / f"{name}.parquet")
    done = run(
        capsys, "report", tmp_path / "real.parquet", tmp_path / "synthetic.parquet",
        "--audit", "deep", "-o", tmp_path / "report.html",
    )  # fmt: skip
    refused(done)
    assert not (tmp_path / "report.html").exists()


def test_the_report_of_a_model_file_has_a_loss_attack(
    table: pa.Table, overfitted: Synthesizer, tmp_path: Path
) -> None:
    overfitted.save(tmp_path / "m.synthehr")
    synthetic = pa.concat_tables(overfitted.sample_batches(300, seed=1))
    report = assess(table, synthetic, model=tmp_path / "m.synthehr")
    names = [result.attack for result in report.results.membership if result.target == "random"]
    assert names[0] == "ensemble" and names[-1] == "loss"
