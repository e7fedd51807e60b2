"""Rules of visits: what patients keep from visit to visit, and within each."""

from __future__ import annotations

import tomllib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthehr import SequenceSynthesizer, Synthesizer
from synthehr.demo import simulate_visits
from synthehr.encode.climbs import Climb
from synthehr.errors import ConditionError, ConfigError
from synthehr.io.visits import read_visits
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_checks import broken

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
if = "state=dead"
then = "systolic=null, weight=null"
[[rule]]
order = ["day", "closed"]
[[rule]]
if = "sex=M"
then = "oedema=false|null"
"""
COLUMNS = """patient_id day sex state systolic diastolic mean_pressure weight oedema
total_dose""".split()
QUICK: dict[str, Any] = {
    "train": {"steps": 40, "evaluations": 1},
    "model": {"hidden": 16, "width": 32, "blocks": 1, "embedding": 4, "whole_share": 0.0},
}
OWN = {"patient": "patient_id", "time": "day"}


def ward(patients: int = 150) -> pa.Table:
    """Visits that keep all rules of `TRUE`, with a day on which each patient's file is closed."""
    frame = simulate_visits(patients, 0, columns=COLUMNS).to_pandas()
    ends = frame.groupby("patient_id")["day"].transform("max")
    late = frame["patient_id"].str[-1].astype(int)
    frame["closed"] = (ends + late).where(late != 3).astype("Int64")
    frame.loc[frame["sex"] == "M", "oedema"] = False
    dead = frame["state"] == "dead"
    frame["oedema"] = frame["oedema"].astype("boolean").mask(dead)
    return pa.Table.from_pandas(frame, preserve_index=False)


WARD = ward()


def rules(text: str = TRUE) -> Rules:
    return Rules.from_json(tomllib.loads(text))


def counts(table: pa.Table, of: Rules) -> dict[str, int]:
    visits = read_visits(table, **OWN)
    starts = visits.offsets()
    return {rule.name: int(broken(rule.body, visits.table, starts).sum()) for rule in of.rules}


@pytest.fixture(scope="module")
def fitted() -> SequenceSynthesizer:
    return SequenceSynthesizer(seed=1, settings=QUICK).fit(WARD, rules=rules(), **OWN)


def test_no_visit_breaks_a_rule_though_many_would(fitted: SequenceSynthesizer) -> None:
    assert set(counts(WARD, rules()).values()) == {0}
    free = SequenceSynthesizer(seed=1, settings=QUICK).fit(WARD, **OWN)
    without = counts(free.sample(300, seed=2), rules())
    assert {name for name, count in without.items() if count > 20} == {*without} - {
        "state=dead is last",
        "if state=dead then systolic=null, weight=null",
    }
    drawn = fitted.sample(300, seed=2)
    assert set(counts(drawn, rules()).values()) == {0}
    assert drawn.schema.names == WARD.schema.names
    assert len(drawn["patient_id"].unique()) == 300
    unruled = fitted.record["drawn_without_rules"]
    assert unruled["broken"]["day <= closed"] > 0.02 * unruled["records"]
