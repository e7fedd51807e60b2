"""Figures of patients as records: told apart, learned from, and attacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from synthehr.evaluation.attacks.candidates import FEWEST, draw_candidates, enough
from synthehr.evaluation.attacks.guesses import by_distance
from synthehr.evaluation.attacks.membership import membership
from synthehr.evaluation.attacks.parts import membership_figures
from synthehr.evaluation.clock import Clock
from synthehr.evaluation.detection import FOLDS, Detection, detect
from synthehr.evaluation.longitudinal.histories import Histories, histories, on_common_mask
from synthehr.evaluation.longitudinal.names import MEASURED
from synthehr.evaluation.longitudinal.timeline import Timeline
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.parts import measure_similarity
from synthehr.evaluation.scores import SHALLOW
from synthehr.evaluation.task import Found, Task, figure, generator_of
from synthehr.evaluation.utility import calibration_error, target_utility
from synthehr.evaluation.views import Compared, Views

InformedOfPatients = Callable[[pa.Table], NDArray[np.float64] | None]
"""Scores the patients of a long table, in the order in which they appear, shape (P,): greater for
likelier training patients. None where nothing is known.

An attacker who knows more than the synthetic visits, such as the model file.
"""
Known = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Patients:
    """The tables in their roles.

    Attributes
    ----------
    columns : tuple of Compared
        The D columns.
    static : ndarray of shape (D,), bool
        Which of them never change.
    trained, unseen : Timeline
        Real patients, as many as synthetic ones or fewer, and other real patients.
    synthetic : Timeline
        The synthetic patients.
    seed : int
        Seed of everything random.
    """

    columns: tuple[Compared, ...]
    static: NDArray[np.bool_]
    trained: Timeline
    unseen: Timeline
    synthetic: Timeline
    seed: int

    def told(self, line: Timeline) -> Histories:
        """Summarise each patient of a table."""
        return histories(line, self.columns, self.static)


def telling_apart(patients: Patients) -> tuple[Metric, ...]:
    """Test how well boosted trees tell synthetic from real patients, in three ways."""
    found: tuple[Metric, ...] = ()
    other = {"synthetic": patients.synthetic, "real": patients.trained}
    areas = {which: _areas(patients, line) for which, line in other.items()}
    for name, detection in areas["synthetic"].items():
        best = areas["real"].get(name)
        n = min(patients.unseen.n_patients, patients.synthetic.n_patients)
        found += figure(
            "detection",
            name,
            detection.auroc,
            # Few patients may be told apart worse than by chance; no table is better than that.
            None if best is None else max(0.5, best.auroc.value),
            "lower",
            f"{MEASURED[name].detail} {FOLDS}-fold, {n} of each.",
        )
    return found


def _areas(patients: Patients, line: Timeline) -> dict[str, Detection]:
    rng = generator_of(patients.seed, "detection")
    common = on_common_mask(patients.unseen, line, rng)
    real, other = patients.told(patients.unseen), patients.told(line)
    masked = [patients.told(each).of("values") for each in common]
    pairs = {
        "detection_values": (masked[0], masked[1]),
        "detection_times": (real.of("times"), other.of("times")),
        "detection_all": (real, other),
    }
    found = {}
    for name, (a, b) in pairs.items():
        detected = detect(
            a.view,
            b.view,
            a.categorical,
            rng,
            Clock(np.inf),
            importances=False,
            until=1.0,
            settings=SHALLOW,
        )
        if detected is not None:
            found[name] = detected
    return found


def outcome(patients: Patients, target: str, clock: Clock) -> Found:
    """Predict a static column after training on synthetic and on real patients."""
    names = [column.name for column in patients.told(patients.unseen).columns]
    real, synthetic, test = (
        patients.told(line) for line in (patients.trained, patients.synthetic, patients.unseen)
    )
    found = target_utility(
        names.index(target),
        real.view,
        synthetic.view,
        test.view,
        real.categorical,
        generator_of(patients.seed, "target"),
        settings=SHALLOW,
    )
    if found is None:
        clock.give_up("prediction of the target", "it does not vary, or too few hold it")
        return Found()
    said = f"Trained on synthetic, tested on {len(test.values)} other real patients."
    metrics = figure(
        "utility", f"target_{found.measure.lower()}", found.synthetic, found.real.value,
        "higher", said,
    )  # fmt: skip
    metrics += figure(
        "utility", "target_ratio", found.ratio, 1.0, "higher",
        "Trained on synthetic over trained on real.",
    )  # fmt: skip
    if found.calibration:
        errors = {curve.trained_on: calibration_error(curve) for curve in found.calibration}
        metrics += figure(
            "utility", "calibration_error", errors["synthetic"], errors["real"], "lower",
            "Mean distance of predicted from observed shares.",
        )  # fmt: skip
    return Found(metrics, calibration=found.calibration)


def exposure(
    patients: Patients,
    real: Timeline,
    held_out: Timeline | None,
    clock: Clock,
    known: Mapping[str, Known],
) -> Found:
    """Attack training patients among held-out ones, and look how near synthetic ones come.

    Parameters
    ----------
    patients : Patients
        All synthetic patients among them.
    real, held_out : Timeline
        Training patients and others, in the order in which they appear in their tables.
    clock : Clock
        Takes note of what cannot be measured.
    known : mapping of str to (real, held out)
        What attackers who know more than the synthetic table make of each.
    """
    if held_out is None:
        clock.give_up("membership inference", "no held-out visits were given")
        return Found()
    told = patients.told(real)
    views = Views(
        told.columns,
        told.view,
        patients.told(patients.synthetic).view,
        patients.told(held_out).view,
        grouped=False,
    )
    task = Task(views, views.real, patients.told(held_out).view, patients.seed, clock)
    near = measure_similarity(task)
    metrics = tuple(m._replace(detail=m.detail.replace("record", "patient")) for m in near.metrics)
    if not enough(views):
        clock.give_up("membership inference", f"a table has fewer than {FEWEST} patients")
        return Found(metrics)
    rng = generator_of(patients.seed, "membership")
    candidates = draw_candidates(views, patients.told(held_out).view, rng)
    scores = by_distance(candidates)
    for name, (of_real, of_held_out) in known.items():
        scores[name] = np.concatenate([
            of_real[candidates.members.rows], of_held_out[candidates.controls.rows]
        ])  # fmt: skip
    results = membership(candidates, scores, rng)
    for result in results:
        if result.attack == "ensemble":
            metrics = (*membership_figures(result, len(scores)), *metrics)
    return Found(metrics, membership=tuple(results))
