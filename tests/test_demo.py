"""The simulator holds what its truth says, and the demo runs from end to end."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from synthehr.demo import (
    AXES,
    LABS,
    SEPSIS_SHARE,
    SITES,
    joint,
    run_demo,
    simulate,
    true_mean,
    true_missing,
    true_share_below,
    true_shares,
)
from synthehr.errors import ArtifactError

N = 100_000


@pytest.fixture(scope="module")
def frame():
    return simulate(N, seed=3).to_pandas()


def error(share: float, n: int) -> float:
    """Five standard errors of a share."""
    return 5 * np.sqrt(share * (1 - share) / n) + 1e-9


def test_joint_is_a_distribution_with_the_promised_diagnosis_share() -> None:
    assert joint().sum() == pytest.approx(1)
    assert true_shares("sepsis")[True] == pytest.approx(SEPSIS_SHARE)
    assert sum(SITES.values()) == pytest.approx(1)


@pytest.mark.parametrize("column", AXES)
def test_shares_are_the_true_ones(frame, column: str) -> None:
    seen = frame[column].value_counts(normalize=True, dropna=False)
    seen.index = [None if level != level else level for level in seen.index]
    for level, share in true_shares(column).items():
        assert seen.get(level, 0.0) == pytest.approx(share, abs=error(share, N)), level


def test_conditional_shares_are_the_true_ones(frame) -> None:
    old_men = frame[(frame.sex == "M") & frame.age.between(60, 80)]
    truth = true_shares("diabetes", {"sex": "M", "age": (60, 80)})[True]
    assert old_men.diabetes.mean() == pytest.approx(truth, abs=error(truth, len(old_men)))
    assert truth > 1.1 * true_shares("diabetes")[True]


@pytest.mark.parametrize("lab", LABS)
@pytest.mark.parametrize("sepsis", [False, True])
def test_labs_and_their_gaps_are_the_true_ones(frame, lab: str, sepsis: bool) -> None:
    given = {"sepsis": sepsis}
    values = frame.loc[frame.sepsis == sepsis, lab]
    missing = true_missing(lab, given)
    assert values.isna().mean() == pytest.approx(missing, abs=error(missing, len(values)))
    mean, spread = true_mean(lab, given), values.std() / np.sqrt(values.count())
    assert values.mean() == pytest.approx(mean, abs=5 * spread)
    below = true_share_below(lab, mean, given)
    assert (values.dropna() <= mean).mean() == pytest.approx(
        below, abs=error(below, values.count())
    )


def test_labs_are_missing_not_at_random() -> None:
    assert true_mean("lactate", {"sepsis": True}) > 1.5 * true_mean("lactate", {"sepsis": False})
    assert true_missing("lactate", {"sepsis": True}) < 0.3 < true_missing("lactate")


def test_same_seed_same_table() -> None:
    assert simulate(500, seed=1).equals(simulate(500, seed=1))
    assert not simulate(500, seed=1).equals(simulate(500, seed=2))


def test_every_patient_appears_once() -> None:
    table = simulate(300, seed=5)
    assert pc.count_distinct(table["patient_id"]).as_py() == table.num_rows


def test_demo_leaves_an_earlier_one_alone(tmp_path) -> None:
    (tmp_path / "cohort.parquet").write_bytes(b"mine")
    with pytest.raises(ArtifactError, match="exists"):
        run_demo(tmp_path)
    assert (tmp_path / "cohort.parquet").read_bytes() == b"mine"


@pytest.mark.slow
def test_demo_ends_with_a_report(tmp_path, capfd) -> None:
    report = run_demo(tmp_path / "demo", patients=600, seed=0)
    assert report.read_text().startswith("<!doctype html>")
    real, synthetic = (
        pq.read_table(tmp_path / "demo" / name) for name in ("cohort.parquet", "synthetic.parquet")
    )
    assert synthetic.schema.names == real.schema.names
    assert [str(t) for t in synthetic.schema.types] == [str(t) for t in real.schema.types]
    said = capfd.readouterr().err
    assert "$ synthehr fit" in said
    assert str(report) in said
