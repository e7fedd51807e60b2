"""A fit under differential privacy: what it needs, what it refuses, and what it writes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import refused, run
from ward import CODES, PATIENTS, PRIVACY, SETTINGS, declared, fitted_privately, private, ward

from synthehr import Privacy, Schema, Synthesizer, load
from synthehr.artifact import read_metadata
from synthehr.artifact import save as save_artifact
from synthehr.errors import ConfigError, InputError, SynthehrError
from synthehr.privacy.ledger import Ledger
from synthehr.split import as_fitted


def spent(synthesizer: Synthesizer) -> dict[str, Any]:
    return synthesizer.record["privacy"]


def with_settings(**train: Any) -> Synthesizer:
    return Synthesizer(seed=1, settings={**SETTINGS, "train": {**SETTINGS["train"], **train}})


def test_the_ledger_in_the_file_adds_up_to_what_was_asked(tmp_path: Path) -> None:
    fitted_privately().save(tmp_path / "m.synthehr")
    written = read_metadata(tmp_path / "m.synthehr").content["record"]["privacy"]
    ledger = Ledger.from_json(written)
    assert 0.9 * PRIVACY.epsilon < ledger.epsilon <= PRIVACY.epsilon
    assert (ledger.delta, ledger.public_patients) == (PRIVACY.delta, PATIENTS)
    assert [entry.what for entry in ledger.entries] == [
        "one-way marginals of 5 columns",
        "two-way marginals of 10 pairs of columns",
        "training",
        "batches without room",
    ]
    assert ledger.entries[2].mechanism.times == SETTINGS["train"]["steps"]
    assert written["claim"] == list(ledger.claim())


def test_it_samples_with_the_data_gone_and_in_the_tables_types(tmp_path: Path) -> None:
    fitted_privately().save(tmp_path / "m.synthehr")
    drawn = load(tmp_path / "m.synthehr").sample(300, seed=1)
    table = pa.Table.from_pandas(drawn, preserve_index=False)
    assert table.column_names == ward().column_names
    assert set(drawn["code"].dropna()) <= set(CODES)
    assert drawn["age"].dropna().between(18, 95).all()
    assert drawn["admitted"].dropna().astype(str).between("2020-01-01", "2021-12-31").all()
    assert not set(drawn["mrn"]) & set(ward()["mrn"].to_pylist())
    assert load(tmp_path / "m.synthehr").sample(seed=1).shape[0] == PATIENTS


@pytest.mark.parametrize("n", [PATIENTS - 1, PATIENTS + 1])
def test_one_patient_more_or_less_changes_no_setting(n: int) -> None:
    ours = fitted_privately().record
    theirs = private().fit(ward(n), declared(), privacy=PRIVACY).record
    assert ours == theirs


def test_the_noise_hangs_on_no_seed() -> None:
    again = private().fit(ward(), declared(), privacy=PRIVACY)
    one, two = (each.artifact.model.state_dict() for each in (fitted_privately(), again))
    assert one.keys() == two.keys()
    assert not all(torch.equal(one[name], two[name]) for name in one)


def test_what_is_not_declared_is_named() -> None:
    bare = declared().with_columns(
        *(replace(declared()[name], bounds=None, levels=None) for name in ("age", "lab", "code"))
    )
    with pytest.raises(ConfigError, match="the bounds of age, lab and the levels of code") as error:
        private().fit(ward(), bare, privacy=PRIVACY)
    assert "--discover" in (error.value.hint or "")
    with pytest.raises(ConfigError, match="needs a schema"):
        private().fit(ward(), privacy=PRIVACY)


def test_what_lies_outside_is_put_inside_without_a_word() -> None:
    table = ward()
    age = table["age"].to_numpy().copy()
    age[0] = 4_321
    code = table["code"].to_pylist()
    code[0] = "SECRET"
    table = table.set_column(1, "age", pa.array(age)).set_column(3, "code", pa.array(code))
    synthesizer = private().fit(table, declared(), privacy=PRIVACY)
    assert max(synthesizer.sample(200, seed=1)["age"].drop_null().to_pylist()) <= 95
    assert "SECRET" not in json.dumps(synthesizer.artifact.encoder.state()[0])


def test_a_patient_with_many_records_is_one_patient() -> None:
    table = pa.concat_tables([ward(), ward(400, 1), ward(200, 2)])
    synthesizer = private().fit(table, declared(role="patient"), privacy=PRIVACY)
    visits = synthesizer.artifact.encoder.visits
    assert visits is not None
    assert float(visits.sizes @ visits.shares) == pytest.approx(1.6, abs=0.3)
    assert synthesizer.record["records"] == pytest.approx(1_600, abs=300)
    assert synthesizer.record["patients"] == PATIENTS
    assert spent(synthesizer)["public_patients"] == PATIENTS
    drawn = synthesizer.sample(500, seed=1)
    assert len(set(drawn["mrn"].to_pylist())) < 450


def test_too_few_patients_are_refused_with_what_could_work() -> None:
    with pytest.raises(ConfigError, match=r"1,000 patients are too few for ε = 0\.05") as error:
        private().fit(ward(), declared(), privacy=replace(PRIVACY, epsilon=0.05))
    words = (error.value.hint or "").split()
    enough = float(words[1])
    assert 0.05 < enough < 5
    private().prepare(ward(), declared(), privacy=replace(PRIVACY, epsilon=enough))


def test_more_patients_than_declared_are_refused() -> None:
    with pytest.raises(InputError, match="more than 1,050 patients"):
        private().fit(ward(1_200), declared(), privacy=PRIVACY)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 0.0}, "--epsilon must be above 0"),
        ({"epsilon": float("nan")}, "--epsilon must be above 0"),
        ({"epsilon": float("inf")}, "--epsilon must be above 0"),
        ({"delta": 0.0}, "--delta must lie between"),
        ({"delta": 1e-3}, "--delta must lie between"),
        ({"public_rows": 0}, "--public-rows must be 1 or more"),
    ],
)
def test_budgets_that_make_no_sense_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        private().fit(ward(), declared(), privacy=replace(PRIVACY, **change))


@pytest.mark.parametrize("setting", ["patience", "clip", "precision"])
def test_settings_that_look_at_records_are_refused_by_name(setting: str) -> None:
    value = "float32" if setting == "precision" else 3
    with pytest.raises(ConfigError, match=f"train.{setting} does not go with --epsilon"):
        with_settings(**{setting: value}).fit(ward(), declared(), privacy=PRIVACY)


def test_ways_of_ending_that_look_at_records_or_the_clock_are_refused() -> None:
    with pytest.raises(ConfigError, match="--holdout does not go"):
        private().fit(ward(), declared(), holdout=0.2, privacy=PRIVACY)
    with pytest.raises(ConfigError, match="--max-minutes does not go"):
        private().fit(ward(), declared(), max_minutes=1.0, privacy=PRIVACY)
    prepared = private().prepare(ward(), declared(), privacy=PRIVACY)
    with pytest.raises(ConfigError, match="--resume does not go"):
        private().train(prepared, resume=True)


@pytest.mark.parametrize("model", ["vae", "gan", "cgan", "gain"])
def test_every_model_can_be_private(model: str) -> None:
    synthesizer = private(model=model).fit(ward(), declared(), privacy=PRIVACY)
    training = spent(synthesizer)["entries"][2]
    assert (training["what"], training["times"]) == ("training", 10)
    assert synthesizer.sample(100, seed=1).num_rows == 100


@pytest.mark.parametrize(
    ("model", "setting", "value"),
    [("gan", "group", 8), ("gan", "penalty", 0.1), ("cgan", "group", 2)],
)
def test_what_mixes_records_is_refused_by_name(model: str, setting: str, value: float) -> None:
    settings = {**SETTINGS, "model": {setting: value}}
    with pytest.raises(ConfigError, match=rf"model\.{setting} must be"):
        Synthesizer(model, seed=1, settings=settings).fit(ward(), declared(), privacy=PRIVACY)


def test_a_claim_that_training_does_not_bear_out_is_not_written(tmp_path: Path) -> None:
    artifact = fitted_privately().artifact
    longer = artifact._replace(record={**artifact.record, "steps": 11})
    with pytest.raises(ConfigError, match="updated 11 times, and 10 are accounted for"):
        save_artifact(tmp_path / "m.synthehr", longer)
    ledger = {**spent(fitted_privately()), "epsilon": 0.5}
    cheaper = artifact._replace(record={**artifact.record, "privacy": ledger})
    with pytest.raises(ConfigError, match="do not add up"):
        save_artifact(tmp_path / "m.synthehr", cheaper)
    assert not (tmp_path / "m.synthehr").exists()


def test_training_that_looks_once_too_often_is_not_kept() -> None:
    prepared = private().prepare(ward(), declared(), privacy=PRIVACY)
    more = replace(prepared, training=replace(prepared.training, steps=11))
    with pytest.raises(SynthehrError, match="looked at 11 times, and 10 are accounted"):
        private().train(more)


def test_the_file_does_not_say_how_many_there_were() -> None:
    record = private().fit(ward(PATIENTS - 7), declared(), privacy=PRIVACY).record
    whole_number = rf"(?<![\d.]){PATIENTS - 7}(?!\.?\d)"
    assert re.search(whole_number, json.dumps(record)) is None
    assert re.search(whole_number.replace(str(PATIENTS - 7), str(PATIENTS)), json.dumps(record))
    fitted, aside = as_fitted(ward(PATIENTS - 7), None, record)
    assert (fitted.num_rows, aside.num_rows) == (PATIENTS - 7, 0)


def test_the_made_up_table_is_near_the_real_one() -> None:
    drawn = fitted_privately().artifact.encoder
    age = drawn.columns[drawn.field_index("age")]
    place = drawn.field_index("died")
    assert drawn.fields[place].shares.max() == pytest.approx(
        1 - np.mean(ward()["died"].to_numpy(zero_copy_only=False)), abs=0.1
    )
    assert age.field.size > 5


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, schema, model = tmp_path / "t.parquet", tmp_path / "s.json", tmp_path / "m.synthehr"
    pq.write_table(ward(), table)
    declared().write(schema)
    words = ["fit", table, "-o", model, "--epsilon", 4, "--public-rows", PATIENTS, "--seed", 1]
    words += ["--set", "train.steps=5", "--set", "train.batch_size=64", "--set", "model.width=16"]
    words += ["--set", "privacy.rounds=0", "--set", "privacy.round_steps=5"]
    assert "needs a schema" in refused(run(capsys, *words))
    done = run(capsys, *words, "--schema", schema, "--json")
    assert done.code == 0, done.err
    assert "one-way marginals of 5 columns" in done.err
    assert "differentially private" in done.err
    assert json.loads(done.out)["privacy"]["delta"] == 1e-4
    shown = run(capsys, "inspect", model)
    assert "all together" in shown.out
    assert "(3." in shown.out and ", 0.0001)-differentially private" in shown.out
    assert "needs --epsilon" in refused(run(capsys, "fit", table, "--delta", 1e-6, "--force"))
    assert "by chance" in refused(run(capsys, "inspect", model, "--against", table))
    again = run(capsys, *words, "--schema", schema, "--force")
    assert "fitted privately before (privacy-ledger.json lists 1)" in again.err
    assert "ε = 7." in again.err
    (tmp_path / "privacy-ledger.json").write_text("{}")
    assert "no list of private fits" in refused(run(capsys, *words, "--schema", schema, "--force"))
    plan = run(capsys, *words, "--schema", schema, "--dry-run", "--json", "--force")
    assert json.loads(plan.out)["privacy"]["entries"][2]["times"] == 5


def test_a_setting_of_privacy_needs_an_epsilon() -> None:
    synthesizer = Synthesizer(seed=1, settings={"privacy": {"clip": 0.5}})
    with pytest.raises(ConfigError, match="--set privacy needs --epsilon"):
        synthesizer.fit(ward())
    assert Privacy(epsilon=1.0).discover is False


def test_every_type_comes_back_as_it_went_in() -> None:
    n, rng = 800, np.random.default_rng(0)
    whole = rng.integers(1, 60, n)
    table = pa.table({
        "int8": pa.array(whole, pa.int8()),
        "uint16": pa.array(whole, pa.uint16()),
        "float32": pa.array(whole / 4, pa.float32(), mask=rng.random(n) < 0.2),
        "decimal": pa.array([Decimal(int(x)) / 4 for x in whole], pa.decimal128(9, 2)),
        "date": pa.array(18_000 + whole, pa.int32()).cast(pa.date32()),
        "zoned": pa.array(whole * 86_400 + 1_500_000_000).cast(pa.timestamp("s", "UTC")),
        "clock": pa.array(whole * 60, pa.int32()).cast(pa.time32("s")),
        "length": pa.array(whole * 1_000, pa.int64()).cast(pa.duration("ms")),
        "dictionary": pa.array(rng.choice(["x", "y"], n)).dictionary_encode(),
        "code": pa.array(rng.choice([3, 5, 9], n)),
        "flag": pa.array(rng.random(n) < 0.3),
        "email": pa.array([f"p{i}@hospital.example" for i in range(n)]),
    })  # fmt: skip
    bounds: dict[str, list[Any]] = {
        "int8": [0, 60], "uint16": [0, 60], "float32": [0, 15], "decimal": [0, 15],
        "date": ["2019-01-01", "2020-01-01"], "zoned": ["2017-07-01", "2017-10-01"],
        "clock": [0, 3_600], "length": [0, 60_000],
    }  # fmt: skip
    kinds = {"date": "date", "zoned": "datetime", "clock": "duration", "length": "duration"}
    columns: list[dict[str, Any]] = [
        {"name": name, "kind": kinds.get(name, "numeric"), "bounds": ends}
        for name, ends in bounds.items()
    ]
    columns += [
        {"name": "dictionary", "kind": "categorical", "levels": ["x", "y"]},
        {"name": "code", "kind": "categorical", "levels": [3, 5, 9]},
        {"name": "flag", "kind": "boolean"},
        {"name": "email", "kind": "id", "identifier": "email", "pii": "surrogate"},
    ]
    schema = Schema.from_json({"format": "synthehr schema", "version": 1, "columns": columns})
    drawn = (
        private()
        .fit(table, schema, privacy=Privacy(epsilon=8.0, delta=1e-4, public_rows=n))
        .sample(200, seed=1)
    )
    assert drawn.schema.equals(table.schema)
    for name in table.column_names:
        assert drawn[name].null_count < 150
