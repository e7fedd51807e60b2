"""The Python API: tables in and out, seeds, blocks, settings, the split by patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fitted import cohort, fitted
from marginals import Marginals

import synthehr
from synthehr import Schema, Synthesizer, load
from synthehr.errors import ConfigError, InputError, SynthehrError
from synthehr.split import as_fitted, held_out, patients_of

QUICK = {"train": {"steps": 5}}


def quick(seed: int | None = 1) -> Synthesizer:
    return Synthesizer(Marginals, seed=seed, settings=QUICK)


def test_the_public_names_are_there() -> None:
    for name in synthehr.__all__:
        assert getattr(synthehr, name) is not None
    assert callable(synthehr.evaluate)
    assert set(synthehr.__all__) <= set(dir(synthehr))
    with pytest.raises(AttributeError):
        _ = synthehr.nothing


def test_pandas_in_pandas_out() -> None:
    frame = cohort().to_pandas()
    frame["site"] = frame["site"].astype("category")
    frame["age"] = frame["age"].astype("UInt8")
    drawn = quick().fit(frame).sample(50, seed=1)
    assert isinstance(drawn, pd.DataFrame)
    pd.testing.assert_series_equal(drawn.dtypes, frame.dtypes, check_index=True)
    assert list(drawn.columns) == list(frame.columns)


def test_polars_in_polars_out() -> None:
    frame = pl.from_arrow(cohort())
    assert isinstance(frame, pl.DataFrame)
    drawn = quick().fit(frame).sample(50, seed=1)
    assert isinstance(drawn, pl.DataFrame)
    assert drawn.schema == frame.schema


def test_arrow_in_arrow_out() -> None:
    drawn = fitted().sample(50, seed=1)
    assert isinstance(drawn, pa.Table)
    assert drawn.schema.equals(cohort().schema.remove_metadata())


def test_a_path_gives_pandas(tmp_path: Path) -> None:
    pq.write_table(cohort(), tmp_path / "t.parquet")
    synthesizer = quick().fit(tmp_path / "t.parquet")
    assert isinstance(synthesizer.sample(5), pd.DataFrame)
    assert isinstance(quick().fit(str(tmp_path / "t.parquet")).sample(5), pd.DataFrame)


def test_by_default_as_many_records_as_were_given() -> None:
    assert fitted().sample(seed=1).num_rows == cohort().num_rows


def test_row_72_equal_seeds_equal_records() -> None:
    again = Synthesizer(Marginals, seed=1).fit(cohort(), patient="patient_id")
    assert again.sample(300, seed=5).equals(fitted().sample(300, seed=5))
    assert not fitted().sample(300, seed=5).equals(fitted().sample(300, seed=6))


def test_row_72_without_a_seed_each_run_is_its_own_and_can_be_had_again() -> None:
    first, second = quick(None), quick(None)
    first.fit(cohort())
    second.fit(cohort())
    assert first.record["seed"] != second.record["seed"]
    drawn = first.sample(100)
    assert not drawn.equals(first.sample(100))
    used = first.last_seed
    assert first.sample(100, seed=used).equals(first.sample(100, seed=used))
    assert quick(first.record["seed"]).fit(cohort()).record == first.record


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", True])
def test_row_72_seeds_out_of_range(seed: Any) -> None:
    with pytest.raises(ConfigError):
        quick(seed).fit(cohort())
    with pytest.raises(ConfigError):
        fitted().sample(5, seed=seed)


def test_row_72_the_largest_seed_works() -> None:
    assert quick(2**64 - 1).fit(cohort()).sample(5, seed=2**64 - 1).num_rows == 5


def test_a_record_depends_on_the_seed_and_its_place_alone() -> None:
    many = fitted().sample(9000, seed=7)
    assert fitted().sample(10, seed=7).equals(many.slice(0, 10))
    assert fitted().sample(5000, seed=7).equals(many.slice(0, 5000))
    wanted = "sex=F"
    many = fitted().sample(5000, wanted, seed=7)
    assert fitted().sample(1024, wanted, seed=7).equals(many.slice(0, 1024))


def test_batches_are_drawn_one_at_a_time() -> None:
    batches = fitted().sample_batches(10**12, seed=1)
    first, second = next(batches), next(batches)
    assert first.num_rows == second.num_rows == 1024
    assert not first.equals(second)
    ids = pa.concat_tables([first, second])["patient_id"].to_pylist()
    assert len(set(ids)) == 2048


def test_row_6_memory_does_not_grow_with_the_number_of_records() -> None:
    batches = fitted().sample_batches(10**9, seed=1)
    held = []
    for place, batch in enumerate(batches):
        if place in (10, 60):
            held.append(pa.total_allocated_bytes())
        assert batch.num_rows == 1024
        if place == 60:
            break
    assert held[1] - held[0] < 2 * batch.nbytes


def test_ids_are_made_up_and_go_on_over_blocks() -> None:
    drawn = fitted().sample(5000, seed=1)["patient_id"].to_pylist()
    assert len(set(drawn)) == 5000
    made = {value[:1] for value in drawn}
    assert made == {"P"}


def test_save_and_load(tmp_path: Path) -> None:
    fitted().save(tmp_path / "m.synthehr")
    loaded = load(tmp_path / "m.synthehr", model=Marginals)
    frame = loaded.sample(100, seed=1)
    assert isinstance(frame, pd.DataFrame)
    assert pa.Table.from_pandas(frame)["age"].to_pylist() == (
        fitted().sample(100, seed=1)["age"].to_pylist()
    )


def test_nothing_fitted_yet() -> None:
    with pytest.raises(SynthehrError, match="nothing has been fitted"):
        quick().sample(5)


def test_a_schema_is_taken_and_checked(tmp_path: Path) -> None:
    from synthehr.schema.infer import infer

    schema = infer(cohort(), patient="patient_id")
    schema.write(tmp_path / "schema.json")
    one = quick().fit(cohort(), schema)
    two = quick().fit(cohort(), tmp_path / "schema.json")
    assert one.schema.patient == two.schema.patient == "patient_id"
    with pytest.raises(SynthehrError):
        quick().fit(cohort().drop(["age"]), schema)
    assert isinstance(one.schema, Schema)


def test_the_patient_may_be_named_beside_a_schema() -> None:
    from synthehr.schema.infer import infer

    table = cohort().rename_columns(
        ["who" if name == "patient_id" else name for name in cohort().column_names]
    )
    schema = infer(table, open_questions="keep")
    assert quick().fit(table, schema, patient="who").schema.patient == "who"


@pytest.mark.parametrize(
    "settings",
    [
        {"trian": {"steps": 5}},
        {"train": {"step": 5}},
        {"train": {"steps": "many"}},
        {"train": {"steps": 0}},
        {"model": {"width": 5}},
        {"encode": {"bin": 5}},
    ],
    ids=str,
)
def test_settings_that_do_not_exist(settings: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(ConfigError) as found:
        Synthesizer(Marginals, settings=settings).fit(cohort())
    assert found.value.hint


def test_a_model_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="no model"):
        Synthesizer("autoregresive").fit(cohort())


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_minutes_must_be_positive(minutes: float) -> None:
    with pytest.raises(ConfigError):
        quick().fit(cohort(), max_minutes=minutes)


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_the_held_out_share_has_a_range(share: float) -> None:
    with pytest.raises(ConfigError):
        quick().fit(cohort(), holdout=share)


def test_without_held_out_records_nothing_is_claimed() -> None:
    synthesizer = quick().fit(cohort(), holdout=0.0)
    assert synthesizer.record["held_out"] is None
    assert synthesizer.sample(5).num_rows == 5


def test_the_summary_stands_beside_its_floor_and_ceiling() -> None:
    score = fitted().record["held_out"]
    assert abs(score["loss"] - score["independent"]) < 1.0
    assert 0.8 < score["shape"] <= 1.0
    assert 0.8 < score["shape_ceiling"] <= 1.0
    assert score["records"] == 60


def test_the_record_says_what_a_fit_needs_to_be_had_again() -> None:
    record = fitted().record
    assert record["seed"] == 1
    assert record["records"] == 600
    assert {"python", "synthehr", "torch", "numpy", "pyarrow"} <= set(record["versions"])
    assert record["max_minutes"] is None


def test_questions_of_another_model_are_refused() -> None:
    with pytest.raises(ConfigError, match="no embed"):
        fitted().embed(cohort())
    with pytest.raises(ConfigError, match="no reconstruction_error"):
        fitted().reconstruction_error(cohort())


def test_whole_patients_are_held_out() -> None:
    patients = np.repeat(np.arange(100), 7)
    aside = held_out(700, patients, 0.1, 3)
    assert aside.sum() == 70
    assert not set(patients[aside]) & set(patients[~aside])
    assert (held_out(700, patients, 0.1, 3) == aside).all()
    assert (held_out(700, patients, 0.1, 4) != aside).any()


@pytest.mark.parametrize("n", [2, 10, 11])
def test_someone_is_held_out_and_someone_is_left(n: int) -> None:
    aside = held_out(n, None, 0.01, 0)
    assert 1 <= aside.sum() < n


def test_patients_are_numbered_whatever_their_type() -> None:
    for cells in (
        pa.chunked_array([["b", "a"], ["b", "c"]]),
        pa.chunked_array([pa.array(x).dictionary_encode() for x in (["b", "a"], ["b", "c"])]),
        pa.chunked_array([[5, 3], [5, 9]]),
    ):
        numbers = patients_of(pa.table({"who": cells}), "who")
        assert numbers is not None
        assert numbers.tolist() == [0, 1, 0, 2]
    with pytest.raises(InputError, match="null in 1 records"):
        patients_of(pa.table({"who": ["a", None]}), "who")


def test_the_split_of_a_fit_is_found_again() -> None:
    fitted_part, aside = as_fitted(cohort(), "patient_id", fitted().record)
    assert (fitted_part.num_rows, aside.num_rows) == (540, 60)
    with pytest.raises(InputError, match="was fitted on 600"):
        as_fitted(cohort().slice(1), "patient_id", fitted().record)


def test_records_of_one_patient_stay_together_in_a_fit() -> None:
    table = pa.concat_tables([cohort().slice(0, 200)] * 3)
    record = quick().fit(table, patient="patient_id").record
    assert record["patients"] == 200
    assert record["held_out_records"] == 60
