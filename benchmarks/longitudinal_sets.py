"""Write a set of visits as a split by patient: train.parquet, test.parquet and keys.

    python longitudinal_sets.py NAME FOLDER --shared DATA

physionet2012_raw  every parameter of every stay, at the minute it was taken
mimic3_demo        hourly vitals and labs that one visit in twenty has; split by person
synthea            observations by encounter
simulated          1 000 simulated patients, and as many others
simulated_12k      12 000 simulated patients, and 3 000 others
speed              10 000 simulated patients of 20 visits and 20 columns

Real sets are split 70/30 at seed 0, as `split_seq.py` splits the others. `keys` names the columns
of the patient and of the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from synthehr.demo import simulate_visits

SPEED_PATIENTS, SPEED_VISITS = 10_000, 20
SPEED_LEFT_OUT = ("died", "oedema")
COMMON = 0.05
OBSERVATIONS = 20


class Visits(NamedTuple):
    """Training and test patients, and the columns of the patient and of the time."""

    train: pd.DataFrame
    test: pd.DataFrame
    patient: str
    time: str


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=SETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shared", type=Path, required=True)
    options = parser.parse_args()
    write(SETS[options.name](options.shared), options.folder)


def write(visits: Visits, folder: Path) -> None:
    """Write a split; `keys` last, so that a split without it is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    visits.train.to_parquet(folder / "train.parquet", index=False)
    visits.test.to_parquet(folder / "test.parquet", index=False)
    (folder / "keys").write_text(f"{visits.patient} {visits.time}")


def split(frame: Any, patient: str, time: str, by: Any = None) -> Visits:
    """Set three in ten persons apart; `by` names the person of each row, by default the patient."""
    person = frame[patient] if by is None else by
    names = person.unique()
    apart = np.random.default_rng(0).choice(names, int(0.3 * len(names)), replace=False)
    test = person.isin(apart).to_numpy()
    return Visits(
        frame[~test].reset_index(drop=True), frame[test].reset_index(drop=True), patient, time
    )


def physionet2012_raw(shared: Path) -> Visits:
    events = pd.read_parquet(shared / "physionet2012" / "events.parquet")
    stays = pd.read_parquet(shared / "physionet2012" / "stays.parquet")
    key = ["RecordID", "minute"]
    # a parameter that was written down twice in a minute is its mean
    wide = events.pivot_table(index=key, columns="parameter", values="value", aggfunc="mean")
    static = ["RecordID", "Age", "Gender", "Height", "ICUType", "In-hospital_death"]
    return split(wide.reset_index().merge(stays[static], on="RecordID"), *key)


def mimic3_demo(shared: Path) -> Visits:
    folder = shared / "mimic3_demo"
    hourly = pd.read_parquet(folder / "hourly.parquet").drop(columns="hours_left")
    hourly = hourly.loc[:, hourly.notna().mean() >= COMMON]
    static = ["stay_id", "age", "sex", "weight", "died"]
    frame = hourly.merge(pd.read_parquet(folder / "hourly_stays.parquet")[static], on="stay_id")
    persons = pd.read_parquet(folder / "icustays.parquet").set_index("icustay_id").subject_id
    return split(frame, "stay_id", "hour", by=frame.stay_id.map(persons))


def synthea(shared: Path) -> Visits:
    """The 20 numbers observed most often, by encounter; sex, descent and year of birth beside."""
    folder = shared / "synthea"
    seen = pd.read_parquet(folder / "observations.parquet")
    common = seen.DESCRIPTION.value_counts().index[:OBSERVATIONS]
    seen = seen[seen.DESCRIPTION.isin(common)]
    seen = seen.assign(VALUE=pd.to_numeric(seen.VALUE, errors="coerce"))
    key = ["PATIENT", "ENCOUNTER"]
    wide = seen.pivot_table(index=key, columns="DESCRIPTION", values="VALUE", aggfunc="mean")
    wide = wide.reset_index().merge(seen.groupby(key).DATE.min().reset_index(), on=key)
    encounters = pd.read_parquet(folder / "encounters.parquet")
    kinds = encounters.set_index("ID").DESCRIPTION
    patients = pd.read_parquet(folder / "patients.parquet").set_index("ID")
    frame = wide.assign(kind=wide.ENCOUNTER.map(kinds)).drop(columns="ENCOUNTER")
    for name in ("GENDER", "RACE"):
        frame[name] = frame.PATIENT.map(patients[name])
    frame["birth_year"] = frame.PATIENT.map(patients.BIRTHDATE.dt.year)
    return split(frame.sort_values(["PATIENT", "DATE"]), "PATIENT", "DATE")


def simulated(patients: int, others: int) -> Callable[[Path], Visits]:
    def make(shared: Path) -> Visits:
        train, test = simulate_visits(patients, seed=0), simulate_visits(others, seed=1)
        return Visits(train.to_pandas(), test.to_pandas(), "patient_id", "day")

    return make


def speed(shared: Path) -> Visits:
    """The first 20 visits of simulated patients who have as many."""
    whole, seed, most = [], 0, 20_000
    while sum(map(len, whole)) < SPEED_PATIENTS * SPEED_VISITS:
        frame: Any = simulate_visits(most, seed=seed).to_pandas().drop(columns=[*SPEED_LEFT_OUT])
        by = frame.groupby("patient_id")
        frame = frame[(by.day.transform("size") >= SPEED_VISITS) & (by.cumcount() < SPEED_VISITS)]
        whole.append(frame.assign(patient_id=f"{seed}-" + frame.patient_id))
        seed += 1
    frame = pd.concat(whole).iloc[: SPEED_PATIENTS * SPEED_VISITS].reset_index(drop=True)
    return Visits(frame, frame.iloc[: 100 * SPEED_VISITS], "patient_id", "day")


SETS: dict[str, Callable[[Path], Visits]] = {
    "physionet2012_raw": physionet2012_raw,
    "mimic3_demo": mimic3_demo,
    "synthea": synthea,
    "simulated": simulated(1_000, 1_000),
    "simulated_12k": simulated(12_000, 3_000),
    "speed": speed,
}

if __name__ == "__main__":
    main()
