"""A release of images: the folder they came in, and no image where a gate fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import refused, run

from synthehr import ImageSynthesizer
from synthehr.demo import simulate_scans, write_scans
from synthehr.errors import ConfigError, GateError, InputError
from synthehr.io.images import read_images
from synthehr.release.images import release_images

QUICK = {
    "train": {"steps": 4, "evaluations": 1, "warmup": 1, "batch_size": 16},
    "model": {"width": 8},
}
EASY = {name: 1.0 for name in ("memorised", "patients_memorised", "nearer_to_training")}
EASY |= {"coverage": 0.0, "exact_copies": 1.0}


@pytest.mark.slow
def test_images_come_out_of_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scans(tmp_path / "scans", 480, 0)
    words = ["release", tmp_path / "scans", "-o", tmp_path / "out", "-n", 60, "--seed", 1]
    words += ["--with-model", "--json"]
    for group, settings in QUICK.items():
        for key, value in settings.items():
            words += ["--set", f"{group}.{key}={value}"]
    for name, limit in EASY.items():
        words += ["--fail-under", f"{name}={limit}"]
    done = run(capsys, *words)
    assert done.code == 0, done.err
    files = json.loads(done.out)["files"]
    assert {"report.html", "report.json", "data_dictionary.csv", "model.synthehr"} <= set(files)
    drawn = read_images(tmp_path / "out" / "synthetic")
    assert len(drawn) == 60 and drawn.records["label"].null_count == 0
    private = [*words, "--force", "--epsilon", 8, "--public-rows", 480]
    assert "--fail-under does not go with --epsilon" in refused(run(capsys, *private))


def test_a_failed_gate_keeps_the_images_back(tmp_path: Path) -> None:
    images = simulate_scans(480, 0, size=16)
    synthesizer = ImageSynthesizer(seed=1, settings=QUICK)
    with pytest.raises(GateError, match="no records were released: coverage"):
        release_images(images, tmp_path / "out", synthesizer, n=60, limits=EASY | {"coverage": 1.0})
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["SHA256SUMS", "report.html", "report.json"]
    with pytest.raises(InputError, match="patients are held out"):
        release_images(simulate_scans(120, 0, size=16), tmp_path / "other", synthesizer)
    with pytest.raises(ConfigError, match="rules"):
        release_images(images, tmp_path / "other", synthesizer, rules=tmp_path / "rules.toml")
