"""How likely patients are to a model of visits, and what one learns from it who has the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import refused, run
from visits import visits

from synthehr import SequenceSynthesizer
from synthehr.errors import ConfigError
from synthehr.evaluation.longitudinal.evaluate import evaluate_visits
from synthehr.run.visits.informed import loss_attack

REAL, HELD_OUT, DRAWN = visits(130, 1), visits(130, 2, prefix="h"), visits(130, 3, prefix="s")
SMALL = {"hidden": 12, "width": 24, "blocks": 1}
KEYS = {"patient": "patient", "time": "day"}


@pytest.fixture(scope="module")
def fitted() -> SequenceSynthesizer:
    settings = {"model": SMALL, "train": {"steps": 90, "batch_size": 32, "evaluations": 2}}
    return SequenceSynthesizer(seed=1, settings=settings).fit(REAL, **KEYS)


def test_every_patient_has_a_score_whatever_the_order(fitted: SequenceSynthesizer) -> None:
    found = fitted.log_prob(REAL)
    assert found.column_names == ["patient", "visits", "log_prob"]
    assert found["visits"].to_pylist() == np.unique(REAL["patient"], return_counts=True)[1].tolist()
    order = np.random.default_rng(0).permutation(REAL.num_rows)
    assert fitted.log_prob(REAL.take(pa.array(order))).equals(found)
    alone = REAL.filter(pa.array([name == "p7" for name in REAL["patient"].to_pylist()]))
    place = found["patient"].to_pylist().index("p7")
    assert fitted.log_prob(alone)["log_prob"][0].as_py() == pytest.approx(
        found["log_prob"][place].as_py(), abs=1e-3
    )


def test_patients_unlike_those_that_were_learned_are_unlikely(
    fitted: SequenceSynthesizer,
) -> None:
    likely = per_visit(fitted.log_prob(HELD_OUT))
    rng, odd = np.random.default_rng(0), HELD_OUT
    for name in ("glucose", "lactate", "ph", "drug"):
        turned = HELD_OUT[name].take(pa.array(rng.permutation(HELD_OUT.num_rows)))
        odd = odd.set_column(odd.column_names.index(name), name, turned)
    assert per_visit(fitted.log_prob(odd)).mean() < likely.mean() - 0.2


def per_visit(found: Any) -> np.ndarray:
    return found["log_prob"].to_numpy() / found["visits"].to_numpy()


def test_an_attacker_scores_patients_in_the_order_in_which_they_appear(
    fitted: SequenceSynthesizer,
) -> None:
    scores = loss_attack(fitted.artifact)["loss"]
    turned = REAL.take(pa.array(np.arange(REAL.num_rows)[::-1]))
    once, again = scores(REAL), scores(turned)
    assert once is not None and again is not None
    seen = [list(dict.fromkeys(table["patient"].to_pylist())) for table in (REAL, turned)]
    assert dict(zip(seen[0], once, strict=True)) == dict(zip(seen[1], again, strict=True))


def test_a_model_without_a_likelihood_says_so() -> None:
    settings = {"model": SMALL | {"latent": 4}, "train": {"steps": 2, "evaluations": 1}}
    fitted = SequenceSynthesizer("lstm-gan", seed=1, settings=settings).fit(REAL, **KEYS)
    with pytest.raises(ConfigError, match="no likelihood"):
        fitted.log_prob(REAL)
    assert loss_attack(fitted.artifact)["loss"](REAL) is None


def test_whoever_knows_the_training_patients_is_found_out_by_the_report() -> None:
    turned = REAL.take(pa.array(np.random.default_rng(0).permutation(REAL.num_rows)))
    trained = set(REAL["patient"].to_pylist())

    def knows(table: pa.Table) -> np.ndarray:
        # odd patients alone, so that who is mistaken for whom is seen
        names = dict.fromkeys(table["patient"].to_pylist())
        return np.array([float(name in trained and int(name[1:]) % 2) for name in names])

    found = evaluate_visits(
        turned, DRAWN, held_out=HELD_OUT, informed={"knows": knows, "nothing": lambda _: None},
        **KEYS,
    )  # fmt: skip
    areas = {result.attack: result.auc.value for result in found.results.membership
             if result.target == "random"}  # fmt: skip
    assert areas["knows"] == pytest.approx(0.75, abs=0.06)
    assert areas["ensemble"] > 0.65
    assert "nothing" not in areas


def test_the_command_line(
    fitted: SequenceSynthesizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, table = tmp_path / "m.synthehr", tmp_path / "visits.parquet"
    fitted.save(model)
    pq.write_table(REAL, table)
    out = tmp_path / "scores.parquet"
    done = run(capsys, "score", model, table, "-o", out)
    assert pq.read_table(out).equals(fitted.log_prob(REAL))
    assert "130 patients of visits.parquet" in done.err
    asked = run(capsys, "score", model, table, "--column", "sex", "-o", out, "--force")
    assert "--column" in refused(asked)
