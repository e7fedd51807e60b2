"""`synthehr report` on images, and the reading sheet for experts."""

from __future__ import annotations

import base64
import csv
import html
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import refused, run
from lesions import phantoms
from PIL import Image

from synthehr.errors import InputError
from synthehr.evaluation.images.readers import score_readings
from synthehr.evaluation.images.reading_sheet import as_csv, key_of, write_reading_sheet
from synthehr.evaluation.images.records import ImageRecords

N = 60
REAL, SYNTHETIC, UNSEEN = phantoms(N, 1), phantoms(N, 2), phantoms(N, 3)


def saved(images: ImageRecords, path: Path) -> Path:
    np.savez(
        path,
        images=images.pixels[:, 0],
        labels=images.labels,
        class_names=np.array(images.class_names),
    )
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("images")
    return (
        saved(REAL, folder / "real.npz"),
        saved(SYNTHETIC, folder / "synthetic.npz"),
        saved(UNSEEN, folder / "unseen.npz"),
    )


def shown(page: str) -> list[np.ndarray]:
    """Decode the images of a quiz."""
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in sources]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


Capture = pytest.CaptureFixture[str]


def test_the_command_compares_images(
    places: tuple[Path, Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    real, synthetic, unseen = places
    target, figures, quiz = tmp_path / "r.html", tmp_path / "r.json", tmp_path / "quiz.html"
    done = run(
        capsys, "report", real, synthetic, "--holdout", unseen, "-o", target, "--json", figures,
        "--reading-sheet", quiz, "--seed", 1,
    )  # fmt: skip
    found = json.loads(figures.read_text())
    assert found["class_names"] == ["lesion", "well"]
    assert found["images"] == {"real": N, "synthetic": N, "holdout": N}
    assert {"tstr_auroc", "kid", "memorised"} <= set(found["metrics"])
    assert "synthetic images report" in target.read_text()
    assert len(rows_of(key_of(quiz))) == 100
    assert done.code == 0 and "quiz-key.csv" in done.err


def test_the_model_file_adds_an_attack_and_walks(
    places: tuple[Path, Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    real, synthetic = saved(phantoms(90, 4), tmp_path / "real.npz"), places[1]
    model, target, figures = (tmp_path / name for name in ("m.synthehr", "r.html", "r.json"))
    quick = "train.steps=4", "train.evaluations=1", "train.batch_size=16", "model.width=8"
    words = [word for each in quick for word in ("--set", each)]
    assert run(capsys, "fit", real, "-o", model, "--holdout", 0.4, *words).code == 0
    done = run(
        capsys, "report", real, synthetic, "--model", model, "-o", target, "--json", figures
    )  # fmt: skip
    assert done.code == 0
    assert "membership_by_model" in json.loads(figures.read_text())["metrics"]
    assert "From one synthetic image to another" in target.read_text()


def test_wrong_options_are_refused(
    places: tuple[Path, Path, Path], tmp_path: Path, capsys: Capture
) -> None:
    real, synthetic, _ = places
    table = tmp_path / "t.csv"
    table.write_text("a\n1\n")
    for said, arguments in {
        "only the first of the two places": (real, table),
        "--by does not go with images": (real, synthetic, "--by", "sex"),
        "no column": (real, synthetic, "--target", "lable"),
        "no function": (real, synthetic, "--features", "nowhere:none"),
        "--features is for images": (table, table, "--features", "os:getcwd"),
    }.items():
        done = run(capsys, "report", *arguments, "-o", tmp_path / "r.html")
        assert said in refused(done)


def test_a_quiz_mixes_as_many_of_both_and_keeps_the_key_out(tmp_path: Path) -> None:
    path = tmp_path / "quiz.html"
    key = write_reading_sheet(REAL, SYNTHETIC, path, each=20, seed=3)
    page, rows = html.unescape(path.read_text()), rows_of(key)
    images = shown(page)
    assert len(images) == len(rows) == 40
    known = {each.tobytes() for each in REAL.pixels[:, 0]}
    assert [row["origin"] == "real" for row in rows] == [
        np.ascontiguousarray(each).tobytes() in known for each in images
    ]
    assert sum(row["origin"] == "real" for row in rows) == 20
    assert {row["quiz"] for row in rows} == set(re.findall(r'data-quiz="(\w+)"', page))
    assert "Internal report" in page and "connect-src" not in page
    assert "default-src 'none'" in page and "https://" not in page
    order = [row["origin"] for row in rows]
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_a_quiz_shows_real_images_of_different_patients_and_the_same_classes(
    tmp_path: Path,
) -> None:
    owned = phantoms(N, 4, per_patient=2)
    write_reading_sheet(owned, SYNTHETIC, tmp_path / "a.html", each=20, seed=1)
    seen = [
        np.ascontiguousarray(each).tobytes() for each in shown((tmp_path / "a.html").read_text())
    ]
    who = [owned.who[k] for k in range(N) if owned.pixels[k, 0].tobytes() in seen]
    assert len(who) == len(set(who)) == 20
    ill = SYNTHETIC.take(np.arange(1, N, 2))
    write_reading_sheet(REAL, ill, tmp_path / "b.html", each=20, seed=1)
    seen = [
        np.ascontiguousarray(each).tobytes() for each in shown((tmp_path / "b.html").read_text())
    ]
    assert REAL.labels is not None
    labels = [REAL.labels[k] for k in range(N) if REAL.pixels[k, 0].tobytes() in seen]
    assert labels == [1] * 20
    with pytest.raises(InputError, match="a quiz takes 40"):
        write_reading_sheet(owned, SYNTHETIC, tmp_path / "c.html", each=40)


def answered(path: Path, key: list[dict[str, str]], answers: list[str], reader: str) -> Path:
    rows = [
        (row["quiz"], reader, row["item"], answer) for row, answer in zip(key, answers, strict=True)
    ]
    path.write_text(as_csv(("quiz", "reader", "item", "answer"), rows))
    return path


def test_answers_are_scored_by_reader(tmp_path: Path) -> None:
    key = write_reading_sheet(REAL, SYNTHETIC, tmp_path / "q.html", each=20, seed=3)
    rows = rows_of(key)
    truth = [row["origin"] for row in rows]
    right = answered(tmp_path / "a.csv", rows, truth, "Ada")
    all_real = answered(tmp_path / "b.csv", rows, ["real"] * 39 + [""], "")
    found = score_readings(key, [right, all_real])
    ada, other = found.readers
    assert (ada.reader, other.reader) == ("Ada", "reader 2")
    assert ada.accuracy.value == 1 and ada.accuracy.low > 0.9
    assert other.answered == 39 and other.sensitivity.value == 0 and other.specificity.value == 1
    assert other.accuracy.low < 0.5 < other.accuracy.high
    assert found.kappa == pytest.approx(0, abs=1e-9)
    assert score_readings(key, [right, right]).kappa == 1
    assert score_readings(key, [right]).kappa is None


def test_answers_of_another_quiz_are_refused(tmp_path: Path) -> None:
    first = write_reading_sheet(REAL, SYNTHETIC, tmp_path / "q.html", each=20, seed=3)
    second = write_reading_sheet(REAL, SYNTHETIC, tmp_path / "r.html", each=20, seed=3)
    rows = rows_of(second)
    strange = answered(tmp_path / "a.csv", rows, ["real"] * 40, "")
    with pytest.raises(InputError, match="40 answers"):
        score_readings(first, [strange])
    vague = answered(tmp_path / "b.csv", rows, ["perhaps"] * 40, "")
    with pytest.raises(InputError, match="neither real nor synthetic"):
        score_readings(second, [vague])
    with pytest.raises(InputError, match="lacks the columns"):
        score_readings(second, [first])
