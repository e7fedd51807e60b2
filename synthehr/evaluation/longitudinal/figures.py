"""All figures that are functions of sums over patients, beside what real visits would score."""

from __future__ import annotations

from synthehr.evaluation.longitudinal.codes import prevalence
from synthehr.evaluation.longitudinal.cross import cross
from synthehr.evaluation.longitudinal.dynamics import dynamics
from synthehr.evaluation.longitudinal.forecasts import forecast
from synthehr.evaluation.longitudinal.marginal import marginal
from synthehr.evaluation.longitudinal.measurement import measurement
from synthehr.evaluation.longitudinal.names import MEASURED
from synthehr.evaluation.longitudinal.patients import Patients
from synthehr.evaluation.longitudinal.resampled import (
    Compare,
    Figures,
    around,
    averaged,
    resampled,
)
from synthehr.evaluation.longitudinal.structure import structure
from synthehr.evaluation.longitudinal.trends import trends
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.task import generator_of

PARTS = (structure, measurement, marginal, dynamics, cross, prevalence, trends)


def figures(patients: Patients) -> tuple[Metric, ...]:
    """Compare synthetic with real visits; figures of single columns after those of all."""
    rng = generator_of(patients.seed, "visits")
    told = patients.columns, patients.static
    real = resampled(patients.unseen, rng)
    synthetic = Compare(real, resampled(patients.synthetic, rng), *told)
    trained = Compare(real.bare, resampled(patients.trained), *told)
    found: Figures = {}
    best: Figures = {}
    for part in PARTS:
        found |= part(synthetic)
        best |= part(trained)
    return joined(found, best)


def next_visit(patients: Patients) -> tuple[Metric, ...]:
    """Predict the next visit after training on synthetic and on real visits."""
    test = resampled(patients.unseen, generator_of(patients.seed, "visits"))
    errors = [
        forecast(
            line,
            test,
            patients.trained,
            patients.columns,
            patients.static,
            generator_of(patients.seed, "next visit"),
        )
        for line in (patients.synthetic, patients.trained)
    ]
    found, best = (_by_name(each) for each in errors)
    metrics = joined(found, best)
    whole = ("next_value", None)
    if whole in found and whole in best and best[whole][0] > 0:
        ratio: Figures = {("next_ratio", None): found[whole] / best[whole]}
        metrics += tuple(metric._replace(ceiling=1.0) for metric in joined(ratio, {}))
    return metrics


def _by_name(errors: Figures) -> Figures:
    """Add the means over columns."""
    found: Figures = {}
    for name in ("next_value", "next_level"):
        found |= averaged(name, {str(key[1]): e for key, e in errors.items() if key[0] == name})
    return found


def joined(found: Figures, best: Figures) -> tuple[Metric, ...]:
    """Put figures beside their ceilings; those of all columns first."""
    metrics = []
    for (name, column), draws in found.items():
        value, low, high = around(draws)
        if value == value:
            section, detail, better = MEASURED[name]
            top = best.get((name, column))
            ceiling = None if top is None or top[0] != top[0] else float(top[0])
            metrics.append(Metric(section, name, value, ceiling, low, high, better, detail, column))
    return tuple(sorted(metrics, key=lambda metric: metric.column is not None))
