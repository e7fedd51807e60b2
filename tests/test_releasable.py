"""What may be published beside private data: a function of ledger, schema and synthetic table."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from commands import refused, run
from test_report import FORBIDDEN, HOSTILE, Page
from ward import CODES, PATIENTS, PRIVACY, declared, fitted_privately, private, ward

from synthehr import Synthesizer
from synthehr.errors import ArtifactError, ConfigError, GateError, InputError
from synthehr.gates import assess, check_claim
from synthehr.privacy.ledger import Ledger
from synthehr.release.records import release
from synthehr.release.releasable import of_file, releasable

SETTINGS = {"train": {"steps": 5}, "model": {"width": 16}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private model file, a table drawn from it, and the real table."""
    path = tmp_path_factory.mktemp("releasable")
    fitted_privately().save(path / "m.synthehr")
    pq.write_table(fitted_privately().sample(400, seed=1), path / "synthetic.parquet")
    pq.write_table(ward(), path / "real.parquet")
    return path


def made(folder: Path, out: Path, capsys: pytest.CaptureFixture[str], real: Path) -> list[bytes]:
    page, values = out / "page.html", out / "values.json"
    words = ["report", real, folder / "synthetic.parquet", "--model", folder / "m.synthehr"]
    done = run(capsys, *words, "--releasable", "-o", page, "--json", values, "--force")
    assert done.code == 0, done.err
    assert "differentially private" in done.err and "vouches" in done.err
    return [page.read_bytes(), values.read_bytes()]


def test_the_real_table_is_not_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.parquet"
    pq.write_table(ward(300, seed=9), other)
    found = [
        made(folder, tmp_path, capsys, real)
        for real in (folder / "real.parquet", other, tmp_path / "missing.parquet")
    ]
    assert all(each == found[0] for each in found)


def test_it_holds_ledger_schema_and_the_synthetic_table(folder: Path) -> None:
    report = of_file(folder / "synthetic.parquet", folder / "m.synthehr")
    told = json.loads(report.to_json())
    ledger = Ledger.from_json(told["ledger"])
    assert told["ledger"]["claim"] == list(ledger.claim())
    assert told["rows"] == 400 and [c["name"] for c in told["columns"]] == ward().column_names
    drawn = pq.read_table(folder / "synthetic.parquet")
    (codes,) = (each for each in told["histograms"] if each["column"] == "code")
    for label, share in zip(codes["labels"], codes["synthetic"], strict=True):
        if label in CODES:
            held = drawn["code"].drop_null().to_pylist()
            assert share == pytest.approx(held.count(label) / len(held), abs=1e-3)
    lab = next(each for each in told["columns"] if each["name"] == "lab")
    assert lab["declared"] == "0 to 50"
    assert lab["null_synthetic"] == pytest.approx(drawn["lab"].null_count / 400, abs=1e-4)
    assert {each["column"] for each in told["histograms"]} == set(ward().column_names) - {"mrn"}
    assert len(told["pairs"]) == 10
    assert not {"metrics", "membership", "disclosure", "record", "seed", "real"} & set(told)
    assert all(set(each) & {"real", "holdout"} == set() for each in told["histograms"])


def test_the_page_shows_no_real_series_and_has_no_watermark(folder: Path) -> None:
    html = of_file(folder / "synthetic.parquet", folder / "m.synthehr").to_html()
    page = Page(html)
    shown = " ".join(page.texts)
    assert page.open == [] and page.count("h1") == 1
    body = html[html.index("</style>") :]
    assert not re.search(r"[fs]-(real|holdout)\b", body)
    assert "f-synthetic" in body
    assert "Internal report" not in html
    assert "No record of a patient was read" in shown
    assert "tests/test_privacy_audit.py" in shown
    for sentence in Ledger.from_json(fitted_privately().record["privacy"]).claim():
        assert sentence in shown
    assert [word for word in FORBIDDEN if word in html.lower()] == []
    assert re.findall(r"https?:|//[a-z]|url\(|@import|xmlns", html) == []
    assert all(a["scope"] for tag, a in page.tags if tag == "th")


def test_hostile_text_in_a_model_file_is_text(folder: Path) -> None:
    record = fitted_privately().record
    schema, table = fitted_privately().schema, pq.read_table(folder / "synthetic.parquet")
    ledger = {**record["privacy"], "public": list(HOSTILE)}
    ledger["entries"] = [
        {**entry, "what": HOSTILE[0]} if entry["what"] != "training" else entry
        for entry in ledger["entries"]
    ]
    named = replace(schema["lab"], unit=HOSTILE[1])
    levels = replace(schema["code"], levels=HOSTILE)
    hostile = {**record, "privacy": ledger, "versions": {"synthehr": HOSTILE[2]}}
    page = Page(releasable(table, schema.with_columns(named, levels), hostile).to_html())
    assert {tag for tag, _ in page.tags} & {"script", "img", "b", "iframe"} == set()
    assert [a for _, a in page.tags if any(name.startswith("on") for name in a)] == []
    assert any(HOSTILE[0] in text for text in page.texts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 0.5}, "do not add up"),
        ({"entries": []}, "do not add up|are accounted for"),
        ({"entries": 3}, "cannot be read"),
        ({"public_patients": 0}, "cannot be read"),
    ],
)
def test_a_ledger_that_does_not_bear_its_claim_is_refused(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    record = fitted_privately().record
    changed = {**record, "privacy": {**record["privacy"], **change}}
    table = pq.read_table(folder / "synthetic.parquet")
    with pytest.raises((ConfigError, ArtifactError), match=said):
        releasable(table, fitted_privately().schema, changed)


def test_a_claim_written_by_hand_is_not_shown(folder: Path) -> None:
    record = fitted_privately().record
    boast = {**record, "privacy": {**record["privacy"], "claim": ["It is safe."], "unit": "row"}}
    table = pq.read_table(folder / "synthetic.parquet")
    found = releasable(table, fitted_privately().schema, boast)
    assert "It is safe." not in found.to_html() + found.to_json()
    assert found.ledger["unit"] == "patient"


def test_a_model_without_a_ledger_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / "plain.synthehr"
    Synthesizer(seed=1, settings=SETTINGS).fit(ward(), declared()).save(plain)
    words = ["report", folder / "real.parquet", folder / "synthetic.parquet", "--releasable"]
    out = ["-o", tmp_path / "out.html"]
    assert "has no ledger" in refused(run(capsys, *words, *out, "--model", plain))
    assert "needs the model file" in refused(run(capsys, *words, *out))
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    "extra",
    [
        ("--fail-under", "shape=0.9"),
        ("--target", "died"),
        ("--audit", "deep"),
        ("--holdout", "h.parquet"),
    ],
)
def test_what_needs_records_does_not_go_with_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: tuple[str, str]
) -> None:
    words = ["report", folder / "real.parquet", folder / "synthetic.parquet", "--releasable"]
    words += ["--model", folder / "m.synthehr", "-o", tmp_path / "out.html"]
    assert "does not go with --releasable" in refused(run(capsys, *words, *extra))


def test_the_wrong_table_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = ["report", folder / "real.parquet", folder / "real.parquet", "--releasable"]
    same += ["--model", folder / "m.synthehr", "-o", folder / "out.html"]
    assert "is the real one" in refused(run(capsys, *same))
    table, model = pq.read_table(folder / "synthetic.parquet"), folder / "m.synthehr"
    with pytest.raises(InputError, match="lacks column lab"):
        of_file(table.drop_columns(["lab"]), model)
    with pytest.raises(InputError, match="has column extra"):
        of_file(table.append_column("extra", table["lab"]), model)
    with pytest.raises(InputError, match="no rows"):
        of_file(table.slice(0, 0), model)


def test_the_internal_report_shows_the_ledger_and_takes_held_out_records(folder: Path) -> None:
    found = assess(
        ward(400),
        folder / "synthetic.parquet",
        model=folder / "m.synthehr",
        holdout=ward(200, seed=5),
    )
    assert found.results.rows == (400, 400, 200)
    assert {"loss", "ensemble"} <= {each.attack for each in found.results.membership}
    shown = " ".join(Page(found.to_html()).texts)
    assert "one-way marginals of 5 columns" in shown and "differentially private" in shown
    assert "Internal report" in shown


def test_held_out_records_without_a_column_are_refused(folder: Path) -> None:
    short = ward(200, seed=5).drop_columns(["lab"])
    with pytest.raises(InputError, match="a real table lacks column lab"):
        assess(ward(), folder / "synthetic.parquet", model=folder / "m.synthehr", holdout=short)


def privately(out: Path, **changes: Any) -> dict[str, Any]:
    words = {"schema": declared(), "privacy": PRIVACY, "n": 300, **changes}
    return release(ward(), out, private(), **words)


def test_a_private_release_holds_no_figure_of_records(tmp_path: Path) -> None:
    out = tmp_path / "out"
    told: list[str] = []
    privately(out, tell=told.append)
    assert sorted(path.name for path in out.iterdir()) == [
        "SHA256SUMS",
        "data_dictionary.csv",
        "ledger.json",
        "releasable.html",
        "synthetic.parquet",
    ]
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    ledger = Ledger.from_json(json.loads((out / "ledger.json").read_text()))
    assert ledger.epsilon <= PRIVACY.epsilon
    assert all(sentence in (out / "releasable.html").read_text() for sentence in ledger.claim())
    assert pq.read_table(out / "synthetic.parquet").num_rows == 300
    assert any("differentially private" in line for line in told)
    assert not any(line.startswith("warning") for line in told)


def test_a_private_release_hangs_on_its_ledger_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--fail-under does not go with --epsilon"):
        privately(tmp_path / "out", limits={"shape": 0.5})
    with pytest.raises(ConfigError, match="--target does not go with --epsilon"):
        privately(tmp_path / "out", target="died")
    assert list(tmp_path.iterdir()) == []
    record = fitted_privately().record
    assert check_claim(record, PRIVACY)["epsilon"] <= PRIVACY.epsilon
    for less in ({"epsilon": 1.0}, {"delta": 1e-6}):
        with pytest.raises(GateError, match="was spent"):
            check_claim(record, replace(PRIVACY, **less))
    with pytest.raises(ConfigError, match="are accounted for"):
        check_claim({**record, "steps": 11}, PRIVACY)
    with pytest.raises(GateError, match="no ledger"):
        check_claim({**record, "privacy": None}, PRIVACY)


@pytest.mark.slow
def test_a_private_release_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(ward(), tmp_path / "t.parquet")
    declared().write(tmp_path / "s.json")
    words = ["release", tmp_path / "t.parquet", "-o", tmp_path / "out", "--seed", 1]
    words += ["--schema", tmp_path / "s.json", "--public-rows", PATIENTS, "--with-model"]
    words += ["--set", "train.steps=5", "--set", "train.batch_size=64", "--set", "model.width=16"]
    assert "needs --epsilon" in refused(run(capsys, *words))
    done = run(capsys, *words, "--epsilon", 12)
    assert done.code == 0, done.err
    assert "warning: an ε beyond 10 promises next to nothing" in done.err
    assert (tmp_path / "out" / "model.synthehr").exists()
    again = run(capsys, *words, "--epsilon", 2, "--fail-under", "shape=0.9", "--force")
    assert "--fail-under does not go with --epsilon" in refused(again)
