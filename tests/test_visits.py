"""Visits: fitted, drawn, continued, filled, balanced and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from commands import run
from encoded import encoded_visits

from synthehr import SequenceSynthesizer, Synthesizer
from synthehr.demo import simulate_visits
from synthehr.encode.sequence import SequenceEncoder
from synthehr.errors import ConditionError, ConfigError, InputError, SynthehrError
from synthehr.models.lstm import LSTM
from synthehr.models.sequence_base import Sequences

COLUMNS = ["patient_id", "day", "sex", "arm", "state", "systolic", "egfr", "infection"]
QUICK: dict[str, Any] = {
    "model": {"hidden": 16, "width": 32, "blocks": 1},
    "train": {"steps": 40, "evaluations": 2},
}
VISITS = simulate_visits(150, 0, columns=COLUMNS)
ARM = VISITS["arm"][0].as_py()


@pytest.fixture(scope="module")
def fitted() -> SequenceSynthesizer:
    synthesizer = SequenceSynthesizer(seed=1, settings=QUICK)
    return synthesizer.fit(VISITS, patient="patient_id", time="day")


@pytest.fixture(scope="module")
def file(fitted: SequenceSynthesizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("visits") / "visits.synthehr"
    fitted.save(path)
    return path


def frame(visits: pa.Table) -> pd.DataFrame:
    return visits.to_pandas()


def test_patients_come_back_as_they_went_in(fitted: SequenceSynthesizer) -> None:
    drawn = fitted.sample(100, seed=2)
    assert drawn.schema == VISITS.schema
    table = frame(drawn)
    assert table["patient_id"].nunique() == 100
    by_patient = table.groupby("patient_id", sort=False)
    assert (by_patient["day"].diff().dropna() >= 0).all()
    assert (by_patient[["sex", "arm"]].nunique() == 1).all(axis=None)
    assert set(table["state"]) <= set(frame(VISITS)["state"])
    assert table.groupby("patient_id").size().max() > 1


def test_equal_seeds_give_equal_patients_whatever_their_number(
    fitted: SequenceSynthesizer,
) -> None:
    few, many = fitted.sample(10, seed=3), fitted.sample(1_030, seed=3)
    assert many.slice(0, few.num_rows).equals(few)
    assert not fitted.sample(10, seed=4).equals(few)


def test_threads_draw_the_same_patients(fitted: SequenceSynthesizer) -> None:
    before, alone = torch.get_num_threads(), fitted.sample(200, seed=3)
    torch.set_num_threads(2)
    try:
        assert fitted.sample(200, seed=3).equals(alone)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_model_file_draws_the_same(fitted: SequenceSynthesizer, file: Path) -> None:
    loaded = SequenceSynthesizer.load(file)
    drawn = pa.Table.from_pandas(loaded.sample(20, seed=6), preserve_index=False)
    assert drawn.cast(VISITS.schema).equals(fitted.sample(20, seed=6))
    with pytest.raises(SynthehrError, match="one of visits"):
        Synthesizer.load(file)


def test_conditions_hold_for_whole_patients(fitted: SequenceSynthesizer) -> None:
    drawn = frame(fitted.sample(40, given={"sex": "F", "arm": ARM}, seed=7))
    assert set(drawn["sex"]) == {"F"}
    assert set(drawn["arm"]) == {ARM}
    assert drawn["patient_id"].nunique() == 40
    with pytest.raises(ConditionError):
        fitted.sample(5, given="systolic=120:130")


def test_forecasts_lie_in_their_bands(fitted: SequenceSynthesizer) -> None:
    last = frame(VISITS).groupby("patient_id")["day"].last().iloc[:12]
    past = VISITS.filter(pa.array(np.isin(VISITS["patient_id"].to_numpy(), last.index)))
    found = frame(fitted.forecast(past, steps=3, draws=40, seed=8))
    assert list(found["step"]) == [1, 2, 3] * 12
    assert (found["day"].to_numpy().reshape(12, 3)[:, 0] >= last.to_numpy()).all()
    assert (found.groupby("patient_id")["day"].diff().dropna() >= 0).all()
    ordered = found[
        [f"systolic{end}" for end in ("_low_95", "_low_80", "", "_high_80", "_high_95")]
    ]
    assert (ordered.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert found["state_share"].between(1 / 40, 1).all()
    assert fitted.forecast(past, steps=3, draws=40, seed=8).equals(
        fitted.forecast(past, steps=3, draws=40, seed=8)
    )


def test_holes_are_filled_and_nothing_else_changes(fitted: SequenceSynthesizer) -> None:
    one, other = fitted.impute(VISITS, draws=2, seed=9)
    for filled in (one, other):
        assert filled["egfr"].null_count == 0
        whole = frame(VISITS)
        known = whole.notna()
        pd.testing.assert_frame_equal(frame(filled).where(known), whole.where(known))
    assert not one["egfr"].equals(other["egfr"])
    kept = fitted.impute(VISITS, keep_null=["egfr"], seed=9)
    assert kept["egfr"].equals(VISITS["egfr"])
    means = frame(fitted.impute(VISITS, draws=0))["egfr"]
    assert means.notna().all()


def test_whole_patients_are_added(fitted: SequenceSynthesizer) -> None:
    balanced = fitted.rebalance(VISITS, "arm", {ARM: 100}, seed=10)
    table = frame(balanced.table)
    assert table["synthetic"].sum() > 0
    assert (table.groupby("patient_id")["arm"].first() == ARM).sum() == 100
    added = set(table.loc[table["synthetic"], "patient_id"])
    assert not added & set(VISITS["patient_id"].to_pylist())
    assert len(added) == balanced.added.sum()
    with pytest.raises(ConditionError, match="none that patients have once"):
        fitted.rebalance(VISITS, "state")


@pytest.fixture(scope="module")
def encoded() -> tuple[SequenceEncoder, Sequences]:
    return encoded_visits(VISITS)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_patients_loss_hangs_on_nobody_else(
    encoded: tuple[SequenceEncoder, Sequences], cell: str
) -> None:
    encoder, records = encoded
    torch.manual_seed(0)
    config = LSTM.sized(encoder.fields, len(records), {"cell": cell})
    model = LSTM.build(encoder.fields, config).eval()
    long = int(records.lengths.argmax())
    short = int(records.lengths.argmin())

    def loss(who: list[int], whole: bool) -> float:
        batch = records.take(torch.tensor(who), torch.Generator().manual_seed(0))
        shape = (int(batch.present.sum()), len(encoder.fields.visits))
        known, weights = torch.zeros(shape, dtype=torch.bool), torch.ones(shape)
        shown = batch.present[..., None].expand(*batch.present.shape, shape[1])
        learn = model.visits.whole_losses if whole else model.visits.losses
        return float(learn(batch, shown, known, weights)[0].detach())

    for whole in (False, True):
        alone = loss([short], whole)
        assert loss([short, long], whole) == pytest.approx(alone, rel=1e-4)
        assert loss([short, 3, long, 5], whole) == pytest.approx(alone, rel=1e-4)
        assert loss([long], whole) != pytest.approx(alone, rel=1e-2)


def test_codes_come_back_as_visits(encoded: tuple[SequenceEncoder, Sequences]) -> None:
    encoder, records = encoded
    decoded = frame(encoder.decode(records.codes(), np.random.default_rng(0)))
    real = frame(VISITS)
    assert list(decoded.columns) == list(real.columns)
    pd.testing.assert_series_equal(decoded["sex"], real["sex"])
    pd.testing.assert_series_equal(decoded["state"], real["state"])
    assert (decoded["egfr"].isna() == real["egfr"].isna()).all()
    assert np.corrcoef(decoded["day"], real["day"])[0, 1] > 0.99
    content, arrays = encoder.state()
    again = SequenceEncoder.from_state(content, arrays)
    pd.testing.assert_frame_equal(
        frame(again.decode(records.codes(), np.random.default_rng(0))), decoded
    )


@pytest.mark.parametrize("unit", ["s", "us"])
def test_clocks_keep_their_type_and_step(unit: str) -> None:
    days = frame(VISITS)["day"].to_numpy().astype("m8[D]")
    times = pa.array((np.datetime64("2020-01-01T08:30:00") + days).astype(f"M8[{unit}]"))
    visits = VISITS.set_column(1, "day", times)
    encoder, records = encoded_visits(visits)
    decoded = encoder.decode(records.codes(), np.random.default_rng(0))
    assert decoded["day"].type == pa.timestamp(unit)
    assert set(frame(decoded)["day"].dt.strftime("%H:%M")) == {"08:30"}


def test_what_cannot_be_learned_is_refused() -> None:
    one_each = VISITS.group_by("patient_id").aggregate([("day", "min")])
    with pytest.raises(SynthehrError):
        SequenceSynthesizer(settings=QUICK).fit(one_each, patient="patient_id", time="day_min")
    with pytest.raises(InputError, match="20 are the least"):
        SequenceSynthesizer().fit(VISITS.slice(0, 40), patient="patient_id", time="day")
    with pytest.raises(ConfigError, match="does not learn visits"):
        SequenceSynthesizer("vae").fit(VISITS, patient="patient_id", time="day")
    with pytest.raises(ConfigError, match="learns visits"):
        Synthesizer("lstm").fit(VISITS)


def test_without_looking_ahead_no_hole_is_filled() -> None:
    settings = {"model": {"whole_share": 0.0, "width": 32}, "train": {"steps": 3, "evaluations": 1}}
    synthesizer = SequenceSynthesizer(seed=1, settings=settings)
    synthesizer.fit(VISITS, patient="patient_id", time="day")
    with pytest.raises(ConfigError, match="not learned to fill"):
        synthesizer.impute(VISITS)


def test_the_commands_know_visits(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(VISITS, tmp_path / "visits.parquet")
    given = str(tmp_path / "visits.parquet")
    for command in (
        ["sample", str(file), "-n", "5", "--seed", "1", "-o", str(tmp_path / "s.parquet")],
        ["forecast", str(file), given, "--draws", "4", "-o", str(tmp_path / "f.parquet")],
        ["impute", str(file), given, "-o", str(tmp_path / "i.parquet")],
        [
            "rebalance",
            str(file),
            given,
            "--target",
            "arm",
            "--to",
            f"{ARM}=100",
            "-o",
            str(tmp_path / "b.parquet"),
        ],
    ):
        done = run(capsys, *command)
        assert done.code == 0, done.err
    assert run(capsys, "inspect", file, "--against", given).code == 0
    assert pq.read_table(tmp_path / "i.parquet")["egfr"].null_count == 0
    assert len(set(pq.read_table(tmp_path / "s.parquet")["patient_id"].to_pylist())) == 5
