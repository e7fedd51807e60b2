"""Visits under differential privacy: what is charged, refused and kept within bounds."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import refused, run
from torch import Tensor

from synthehr import Privacy, Schema, SequenceSynthesizer
from synthehr.errors import ConfigError, InputError, SynthehrError
from synthehr.models.lstm import LSTM, LSTMConfig
from synthehr.models.sequence_base import SequenceBatch, Sequences
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.ledger import Ledger
from synthehr.privacy.visits import SequenceSlots, rehearse_visits
from synthehr.release.visits import release_visits

PATIENTS = 1_000
MOST = 5
WARDS = ("A", "B", "C")
SETTINGS: dict[str, dict[str, Any]] = {
    "model": {"hidden": 8, "width": 16, "embedding": 4},
    "train": {"steps": 4, "batch_size": 64},
    "privacy": {"rounds": 1, "round_steps": 3, "max_visits": MOST},
}
PRIVACY = Privacy(epsilon=8.0, delta=1e-4, public_rows=PATIENTS)
NAMES = {"patient": "id", "time": "day", "static": ["sex"]}


@cache
def visits(n: int = PATIENTS, seed: int = 0) -> pa.Table:
    """Patients with one to eight visits."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, n)
    who = np.repeat(np.arange(n), counts)
    days = rng.integers(0, 60, len(who)).cumsum()
    days -= np.repeat(days[np.cumsum(counts) - counts], counts)
    lab = np.round(np.repeat(rng.normal(5, 1, n), counts) + rng.normal(0, 0.5, len(who)), 1)
    return pa.table({
        "id": pa.array([f"P{i:05}" for i in who]),
        "day": pa.array(days),
        "sex": pa.array(np.array(["F", "M"])[rng.integers(0, 2, n)][who]),
        "ward": pa.array(np.array(WARDS)[rng.integers(0, 3, len(who))]),
        "lab": pa.array(lab, mask=rng.random(len(who)) < 0.2),
    })  # fmt: skip


def declared(**without: None) -> Schema:
    columns: list[dict[str, Any]] = [
        {"name": "id", "kind": "id", "role": "patient"},
        {"name": "day", "kind": "integer", "role": "time", "bounds": [0, 500]},
        {"name": "sex", "kind": "categorical", "levels": ["F", "M"]},
        {"name": "ward", "kind": "categorical", "levels": list(WARDS)},
        {"name": "lab", "kind": "numeric", "bounds": [0, 10]},
    ]
    for column in columns:
        if column["name"] in without:
            column.pop("bounds", None)
            column.pop("levels", None)
    return Schema.from_json({"format": "synthehr schema", "version": 1, "columns": columns})


def private() -> SequenceSynthesizer:
    return SequenceSynthesizer(seed=1, settings=SETTINGS)


@cache
def fitted() -> SequenceSynthesizer:
    return private().fit(visits(), declared(), privacy=PRIVACY, **NAMES)


def test_all_that_touched_visits_is_on_the_ledger(tmp_path: Path) -> None:
    fitted().save(tmp_path / "m.synthehr")
    ledger = Ledger.from_json(SequenceSynthesizer.load(tmp_path / "m.synthehr").record["privacy"])
    # How many pairs are chosen hangs on which columns keep two levels under the noise.
    assert [re.sub(r"of \d+ pairs", "of pairs", entry.what) for entry in ledger.entries] == [
        "one-way marginals of 2 columns that patients have once, numbers and spans of visits",
        "one-way marginals of 3 columns of visits",
        "two-way marginals of pairs of columns",
        "two-way marginals of pairs of columns of visits",
        "training",
        "batches without room",
    ]
    assert 0.9 * PRIVACY.epsilon < ledger.epsilon <= PRIVACY.epsilon
    assert (ledger.delta, ledger.public_patients) == (PRIVACY.delta, PATIENTS)


def test_a_patient_more_changes_nothing_that_is_told() -> None:
    ours, n = fitted().record, PATIENTS + 1
    theirs = private().fit(visits(n), declared(), privacy=PRIVACY, **NAMES).record
    # The number of visits is a noisy answer, and so is how many columns have two levels left.
    ours, theirs = ({**each, "records": 0} for each in (ours, theirs))
    said = [re.sub(r"of \d+ pairs", "of pairs", json.dumps(each)) for each in (ours, theirs)]
    assert said[0] == said[1]
    assert re.search(rf"(?<![\d.]){n}(?!\.?\d)", json.dumps(theirs)) is None


def test_nothing_beyond_the_declared_comes_out() -> None:
    table = visits()
    lab, ward = table["lab"].to_pylist(), table["ward"].to_pylist()
    lab[0], ward[1] = 4_321.0, "SECRET"
    table = table.set_column(4, "lab", pa.array(lab)).set_column(3, "ward", pa.array(ward))
    synthesizer = private().fit(table, declared(), privacy=PRIVACY, **NAMES)
    drawn = synthesizer.sample(300, seed=1)
    assert drawn.schema == table.schema
    assert set(drawn["ward"].drop_null().to_pylist()) <= set(WARDS)
    assert max(drawn["lab"].drop_null().to_pylist()) <= 10
    frame = drawn.to_pandas()
    gaps = frame.groupby("id")["day"].diff().dropna()
    assert gaps.between(0, 500).all()
    assert (frame.groupby("id")["sex"].nunique() == 1).all()
    assert "SECRET" not in json.dumps(synthesizer.artifact.encoder.state()[0])


@pytest.mark.slow
def test_how_visits_follow_each_other_is_learned_from_windows() -> None:
    table, rng = visits(), np.random.default_rng(0)
    who = np.asarray(table["id"].combine_chunks().dictionary_encode().indices)
    lab = np.clip(np.repeat(rng.uniform(0, 10, who[-1] + 1), np.bincount(who)), 0, 10)
    table = table.set_column(4, "lab", pa.array(np.round(lab, 1)))
    settings = {**SETTINGS, "privacy": {"rounds": 4, "round_steps": 60, "max_visits": MOST}}
    settings["train"] = {"steps": 1, "batch_size": 16}
    synthesizer = SequenceSynthesizer(seed=1, settings=settings)
    generous = replace(PRIVACY, epsilon=100.0)
    drawn = synthesizer.fit(table, declared(), privacy=generous, **NAMES).sample(500, seed=1)
    frame = drawn.to_pandas()
    before = frame.groupby("id")["lab"].shift()
    assert frame["lab"].corr(before) > 0.75


@pytest.mark.slow
def test_numbers_of_visits_are_near_the_real_ones() -> None:
    course = fitted().prepare(visits(), declared(), privacy=PRIVACY, **NAMES).private
    assert course is not None
    real = np.minimum(np.unique(visits()["id"], return_counts=True)[1], MOST)
    lengths = course.course.lengths.double()
    assert int(lengths.max()) <= MOST
    assert float(lengths.mean()) == pytest.approx(real.mean(), abs=0.3)
    assert len(course.course) == PATIENTS


@pytest.mark.slow
def test_what_is_not_declared_is_discovered_at_a_price() -> None:
    schema = declared(day=None, ward=None, sex=None, lab=None)
    asked = replace(PRIVACY, discover=True, public_rows=None)
    prepared = private().prepare(visits(), schema, privacy=asked, **NAMES)
    found, part = prepared.schema, prepared.private
    assert found["day"].bounds is not None
    assert found["day"].bounds[1] >= 64
    assert set(found["ward"].levels or ()) == set(WARDS)
    assert set(found["sex"].levels or ()) == {"F", "M"}
    assert found["lab"].bounds in ((2.0, 8.0), (1.0, 8.0), (2.0, 16.0), (1.0, 16.0))
    assert part is not None
    entries = part.part.ledger.entries
    assert entries[0].what == "number of patients, bounds and levels of 4 columns"
    assert entries[0].steers


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": None}, "needs a schema"),
        ({"static": None}, "which columns patients have once"),
        ({"schema": declared(lab=None, ward=None)}, "the bounds of lab and the levels of ward"),
        ({"schema": declared(day=None)}, "the bounds of day"),
        ({"holdout": 0.1}, "--holdout does not go"),
        ({"max_minutes": 1.0}, "--max-minutes does not go"),
        ({"privacy": replace(PRIVACY, epsilon=0.01)}, "too few for ε"),
    ],
    ids=["schema", "static", "levels", "time", "holdout", "clock", "few"],
)
def test_what_does_not_go_is_refused(change: dict[str, Any], said: str) -> None:
    asked = {"schema": declared(), "privacy": PRIVACY, **NAMES, **change}
    with pytest.raises(ConfigError, match=said):
        private().prepare(visits(), **asked)


@pytest.mark.parametrize(
    ("group", "key", "value", "said"),
    [
        ("model", "dropout", 0.1, "model.dropout must be"),
        ("model", "whole_share", 0.25, "model.whole_share must be"),
        ("model", "head_frequencies", 1, "model.head_frequencies must be"),
        ("train", "patience", 3, "train.patience does not go"),
        ("privacy", "max_visits", 1, "max_visits is out of range"),
    ],
)
def test_settings_that_break_privacy_are_refused(
    group: str, key: str, value: float, said: str
) -> None:
    settings = {**SETTINGS, group: {**SETTINGS[group], key: value}}
    with pytest.raises(ConfigError, match=said):
        SequenceSynthesizer(seed=1, settings=settings).prepare(
            visits(), declared(), privacy=PRIVACY, **NAMES
        )


def test_more_patients_than_declared_and_going_on_are_refused() -> None:
    with pytest.raises(InputError, match=r"more than 1,050 patients"):
        private().prepare(visits(1_100), declared(), privacy=PRIVACY, **NAMES)
    prepared = private().prepare(visits(), declared(), privacy=PRIVACY, **NAMES)
    with pytest.raises(ConfigError, match="--resume does not go"):
        private().train(prepared, resume=True)
    more = replace(prepared, training=replace(prepared.training, steps=5))
    with pytest.raises(SynthehrError, match="looked at 10 times, and 8 are accounted"):
        private().train(more)


def network(**config: Any) -> tuple[LSTM, Sequences]:
    """A small private network and real patients."""
    prepared = fitted().prepare(visits(), declared(), privacy=PRIVACY, **NAMES)
    torch.manual_seed(0)
    settings = LSTMConfig(**{**LSTM.private_settings["model"], **LSTM.private_only, **config})
    model = LSTM(prepared.encoder.fields, settings)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model, prepared.codes


def visit_losses(model: LSTM, batch: SequenceBatch) -> Tensor:
    shown = batch.present[..., None].expand(-1, -1, len(model.fields.visits))
    known = torch.zeros(int(batch.present.sum()), shown.shape[2], dtype=torch.bool)
    known[:, 0] = True
    return model.visits.losses(batch, shown, known, (~known).float())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_each_patient_is_clipped_with_all_visits(cell: str) -> None:
    model, records = network(cell=cell, hidden=5, width=7, embedding=2)
    slots = SequenceSlots(records, 1.0, 6, MOST)
    who = records.lengths[:200].argsort()[torch.tensor([0, 50, 100, 150, 199])]
    batch = slots.batch(who, torch.tensor([4, 0, 1, 5, 3]), torch.Generator())
    there, *_ = batch.without_blanks()
    weights: list[Tensor] = list(model.visits.parameters())
    norms = []
    for patient in range(len(who)):
        each = torch.autograd.grad(visit_losses(model, there)[patient], weights, allow_unused=True)
        norms.append(sum(float(part.square().sum()) for part in each if part is not None) ** 0.5)
    clip = float(np.median(norms))
    engine = DpSgd(model, slots, clip=clip, noise_multiplier=0.0, expected=1.0)
    for place, norm in zip(slots.filled.nonzero()[:, 0].tolist(), norms, strict=True):
        slots.filled = torch.arange(6) == place
        with engine.watching():
            alone, *_ = batch._replace(filled=slots.filled).without_blanks()
            found = engine.clipped_sum(visit_losses(model, alone), weights)
        size = sum(float(part.square().sum()) for part in found) ** 0.5
        assert size == pytest.approx(min(norm, clip), rel=1e-3)


def test_the_network_passes_its_rehearsal_and_others_do_not() -> None:
    model, _ = network()
    assert rehearse_visits(model, model.fields) == 2
    for change in ({"dropout": 0.2}, {"head_frequencies": 1}):
        loose, _ = network(**change)
        with pytest.raises(ConfigError, match="cannot be trained under differential privacy"):
            rehearse_visits(loose.train(), loose.fields)


def test_a_batch_of_nobody_is_a_step() -> None:
    model, records = network()
    slots = SequenceSlots(records, 1e-9, 4, MOST)
    batch = slots(0, torch.Generator().manual_seed(0))
    assert batch.visits.shape[:2] == (4, MOST)
    engine = DpSgd(model, slots, clip=1.0, noise_multiplier=0.0, expected=1.0)
    with engine.watching():
        for loss in model.losses(batch, 0):
            assert loss.per_record is not None
            found = engine.clipped_sum(
                loss.per_record, list(model.get_submodule(loss.child).parameters())
            )
            assert not any(bool(part.any()) for part in found)
            engine.forget()


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, schema, model = tmp_path / "v.parquet", tmp_path / "s.json", tmp_path / "m.synthehr"
    pq.write_table(visits(), table)
    declared().write(schema)
    words = ["fit", table, "-o", model, "--patient", "id", "--time", "day", "--epsilon", 8]
    words += ["--public-rows", PATIENTS, "--seed", 1, "--schema", schema]
    for group, settings in SETTINGS.items():
        for key, value in settings.items():
            words += ["--set", f"{group}.{key}={value}"]
    assert "which columns patients have once" in refused(run(capsys, *words))
    done = run(capsys, *words, "--static", "sex", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["privacy"]["unit"] == "patient"
    shown = run(capsys, "inspect", model)
    assert "one-way marginals of 3 columns of visits" in shown.out
    assert "differentially private, for neighbours that add or remove one patient" in shown.out
    again = run(capsys, *words, "--static", "sex", "--dry-run", "--force")
    assert "two-way marginals" in again.err


@pytest.mark.slow
def test_a_release_of_private_visits_hangs_on_the_ledger_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    release_visits(visits(), out, private(), schema=declared(), n=50, privacy=PRIVACY, **NAMES)
    names = {path.name for path in out.iterdir()}
    assert {"synthetic.parquet", "ledger.json", "releasable.html", "data_dictionary.csv"} <= names
    assert not {"report.html", "report.json"} & names
