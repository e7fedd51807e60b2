"""Rules of visits: what patients keep from visit to visit, and within each."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr import SequenceSynthesizer, Synthesizer
from synthehr.demo import simulate_visits
from synthehr.encode.climbs import Climb
from synthehr.errors import ConditionError, ConfigError
from synthehr.io.visits import read_visits
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_checks import broken
from synthehr.modes.time_mining import mine_over_time
from synthehr.run.visits.drawing import asked_of_patients, draw_patients
from synthehr.schema.infer import infer

TRUE = """
[[rule]]
order = ["diastolic", "systolic"]
strict = true
[[rule]]
column = "mean_pressure"
formula = "(systolic + 2 * diastolic) / 3"
decimals = 1
[[rule]]
never_falls = "total_dose"
[[rule]]
last = {state = "dead"}
[[rule]]
last = "state=ward"
[[rule]]
if = "state=dead"
then = "systolic=null, diastolic=null"
[[rule]]
order = ["day", "closed"]
[[rule]]
if = "sex=M"
then = "oedema=false|null"
"""
COLUMNS = ["patient_id", "day", "sex", "state", "systolic", "diastolic", "mean_pressure"]
COLUMNS += ["oedema", "total_dose"]
QUICK: dict[str, Any] = {
    "train": {"steps": 12, "evaluations": 1},
    "model": {"hidden": 16, "width": 32, "blocks": 1, "embedding": 4, "whole_share": 0.0},
}
OWN = {"patient": "patient_id", "time": "day"}


def ward() -> pa.Table:
    """Visits that keep all rules of `TRUE`, with a day on which each patient's file is closed."""
    frame = simulate_visits(150, 0, columns=COLUMNS).to_pandas()
    left = frame.groupby("patient_id").cumcount(ascending=False)
    frame = frame[left < 5].copy()
    ends = frame.groupby("patient_id")["day"].transform("max")
    late = frame["patient_id"].str[-1].astype(int)
    frame["closed"] = (ends + late).where(late != 3).astype("Int64")
    frame.loc[frame["sex"] == "M", "oedema"] = False
    frame["oedema"] = frame["oedema"].astype("boolean").mask(frame["state"] == "dead")
    return pa.Table.from_pandas(frame, preserve_index=False)


WARD = ward()


def rules(text: str = TRUE) -> Rules:
    return Rules.from_json(tomllib.loads(text))


def counts(table: pa.Table, of: Rules) -> dict[str, int]:
    visits = read_visits(table, patient="patient_id", time="day")
    starts = visits.offsets()
    return {rule.name: int(broken(rule.body, visits.table, starts).sum()) for rule in of.rules}


@pytest.fixture(scope="module")
def fitted() -> SequenceSynthesizer:
    synthesizer = SequenceSynthesizer(seed=1, settings=QUICK)
    return synthesizer.fit(WARD, patient="patient_id", time="day", rules=rules())


@pytest.fixture(scope="module")
def drawn(fitted: SequenceSynthesizer) -> pa.Table:
    return fitted.sample(400, seed=2)


def test_no_visit_breaks_a_rule_though_many_would(
    fitted: SequenceSynthesizer, drawn: pa.Table
) -> None:
    assert {name for name, count in counts(WARD, rules()).items() if count} == {
        "state=ward is last"
    }
    assert set(counts(drawn, rules()).values()) == {0}
    assert drawn.schema.names == WARD.schema.names
    assert len(drawn["patient_id"].unique()) == 400
    unruled = fitted.record["drawn_without_rules"]
    assert unruled["broken"]["day <= closed"] > 0.02 * unruled["records"]
    assert unruled["broken"]["state=ward is last"] > 0
    once = {"train": {"steps": 1, "evaluations": 1}, "model": QUICK["model"]}
    free = SequenceSynthesizer(seed=1, settings=once)
    free.fit(WARD, patient="patient_id", time="day")
    without = counts(free.sample(100, seed=2), rules())
    assert {name for name, count in without.items() if not count} <= {
        "state=dead is last",
        "if state=dead then systolic=null, diastolic=null",
    }


def test_what_climbs_does_move_and_starts_where_patients_start(drawn: pa.Table) -> None:
    real, made = WARD.to_pandas(), drawn.to_pandas()
    for frame in (real, made):
        frame["step"] = frame.groupby("patient_id", sort=False)["total_dose"].diff()
    assert (made["step"].dropna() >= 0).all()
    assert 0.4 < (made["step"] > 0).mean() / (real["step"] > 0).mean() < 2.5
    first = [frame.groupby("patient_id")["total_dose"].first() for frame in (real, made)]
    assert abs((first[0] == 0).mean() - (first[1] == 0).mean()) < 0.2


def test_rules_of_visits_hold_in_classes_forecasts_and_holes(
    fitted: SequenceSynthesizer, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m.synthehr")
    loaded = SequenceSynthesizer.load(tmp_path / "m.synthehr")
    assert loaded.artifact.rules == fitted.artifact.rules
    balanced = loaded.rebalance(WARD, "sex", seed=3, to=1.0).table
    assert set(counts(balanced.filter(balanced["synthetic"]), rules()).values()) == {0}
    ahead = fitted.forecast(WARD, steps=2, draws=4, seed=1).to_pandas()
    last = WARD.to_pandas().groupby("patient_id")["total_dose"].last()
    per_patient = ahead.groupby("patient_id")["total_dose_low_95"]
    assert (per_patient.first() >= last[per_patient.first().index]).all()
    assert (per_patient.diff().dropna() >= 0).all()


def test_visits_that_can_keep_no_rule_are_an_error_that_names_it(
    fitted: SequenceSynthesizer,
) -> None:
    impossible = rules(TRUE + '[[rule]]\nthen = "systolic=400:"').to_json()
    artifact = fitted.artifact._replace(record={**fitted.record, "rules": impossible})
    with pytest.raises(ConditionError, match=r"keep the rules together: .*systolic=400:\n"):
        next(draw_patients(artifact, asked_of_patients(artifact, 5, None), 1))


def test_rules_over_time_are_refused_of_single_records() -> None:
    with pytest.raises(ConfigError, match="total_dose never falls' speaks of"):
        Synthesizer(seed=1).prepare(WARD, rules=rules('[[rule]]\nnever_falls = "total_dose"'))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('never_falls = "dose"', "names column dose, which the table lacks"),
        ('never_rises = "state"', "state never rises' speaks of columns that cannot be compared"),
        ("never_falls = 3", "a value is not fit"),
        ("last = {}", "a value is not fit"),
        ('last = "state"', "name=value"),
        ('last = {states = "dead"}', "names column states"),
        ('column = "day"\nformula = "systolic"', "computes the column that tells the time"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        SequenceSynthesizer(seed=1).prepare(
            WARD, patient="patient_id", time="day", rules=rules(f"[[rule]]\n{text}")
        )


def test_rules_are_written_and_read_again() -> None:
    both = """
    [[rule]]
    last = {state = ["dead", "icu"]}
    [[rule]]
    last = "state=dead"
    """
    read = rules(both)
    assert [rule.name for rule in read.rules] == ["state=dead|icu is last", "state=dead is last"]
    for some in (read, rules()):
        assert Rules.from_json(some.to_json()) == some


def test_a_fit_warns_of_real_visits_that_break_a_rule() -> None:
    prepared = SequenceSynthesizer(seed=1).prepare(
        WARD, patient="patient_id", time="day", rules=rules('[[rule]]\nlast = "state=ward"')
    )
    (said,) = [text for text in prepared.warnings if "state=ward is last" in text]
    assert int(said.split()[0]) == counts(WARD, rules('[[rule]]\nlast = "state=ward"')).popitem()[1]


def test_the_command_line_counts_and_finds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, file, found = tmp_path / "v.parquet", tmp_path / "r.toml", tmp_path / "found.toml"
    pq.write_table(WARD, table)
    file.write_text(TRUE.replace('[[rule]]\nlast = "state=ward"', ""))
    how = ("--patient", "patient_id", "--time", "day")
    assert run(capsys, "rules", "check", table, file, *how).code == 0
    assert "from one" not in refused(run(capsys, "rules", "check", table, file))
    assert run(capsys, "rules", "suggest", table, *how, "-o", found).code == 0
    names = {rule.name for rule in Rules.read(found).rules}
    assert {"total_dose never falls", "day <= closed"} <= names
    frame = WARD.to_pandas()
    frame.loc[5, "total_dose"] = 10_000_000
    pq.write_table(pa.Table.from_pandas(frame), table)
    assert run(capsys, "rules", "check", table, file, *how).code == 1


def test_what_falls_or_goes_on_is_not_found() -> None:
    visits = read_visits(simulate_visits(300, 3), patient="patient_id", time="day")
    found = mine_over_time(
        visits.table, infer(visits.table.drop_columns(["day"])), visits.offsets()
    )
    entries = [dict(each.entry) for each in found]
    assert {"never_falls": "total_dose"} in entries
    assert {"never_falls": "admissions"} in entries
    assert [each for each in entries if "last" in each] == [{"last": {"state": "dead"}}]
    assert len(entries) == 3


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=6), min_size=1),
    st.booleans(),
    st.sampled_from([pa.int32(), pa.float64(), pa.date32(), pa.decimal128(14, 2)]),
)
def test_steps_sum_up_to_the_values_they_come_from(
    patients: list[list[int | None]], falls: bool, kind: pa.DataType
) -> None:
    sign = -1 if falls else 1
    climbing: list[int | None] = []
    for values in patients:
        known = iter(sorted(sign * value for value in values if value is not None))
        climbing += [None if value is None else sign * next(known) for value in values]
    starts = np.r_[0, np.cumsum([len(values) for values in patients])]
    cells = pa.chunked_array([pa.array(climbing, pa.int32()).cast(kind)])
    climb = Climb(kind, falls)
    first, steps = climb.steps(cells, "dose", starts)
    back = climb.values(pa.chunked_array([first]), pa.chunked_array([steps]), starts)
    assert back.equals(cells.combine_chunks())
    assert not climb.turns(cells, "dose", starts).any()
