"""How faithful the synthetic visits are within groups of patients.

Groups are the levels of a column that never changes within a patient, or the thirds of such a
number; those of few real patients are left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthehr.evaluation.groups import LEAST_PATIENTS, MOST_GROUPS, THIRDS
from synthehr.evaluation.longitudinal.dynamics import lagged
from synthehr.evaluation.longitudinal.figures import joined
from synthehr.evaluation.longitudinal.marginal import overall
from synthehr.evaluation.longitudinal.measurement import null_shares
from synthehr.evaluation.longitudinal.patients import Patients
from synthehr.evaluation.longitudinal.resampled import Compare, Figures, resampled
from synthehr.evaluation.longitudinal.structure import gaps_and_lengths
from synthehr.evaluation.longitudinal.timeline import Timeline
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import SMALLEST
from synthehr.evaluation.task import generator_of


class VisitGroup(NamedTuple):
    """Figures of one group of patients.

    Attributes
    ----------
    column, group : str
        The column, and its level or third.
    patients : int
        Real patients of the group that the synthetic ones are compared with.
    share_real, share_synthetic : float
        Its share of the patients.
    metrics : tuple of Metric
        Visits per patient, gaps, shares of nulls, values, levels and correlation with the visit
        before, within the group.
    """

    column: str
    group: str
    patients: int
    share_real: float
    share_synthetic: float
    metrics: tuple[Metric, ...]


def subgroups(patients: Patients, name: str) -> tuple[VisitGroup, ...]:
    """Compare the groups that a static column makes."""
    j = [column.name for column in patients.columns].index(name)
    lines = (patients.unseen, patients.synthetic, patients.trained)
    values = [line.values[line.offsets[:-1], j] for line in lines]
    labels = patients.columns[j].levels
    if patients.columns[j].kind != "category":
        cuts = np.nanquantile(values[0], [1 / 3, 2 / 3])
        values = [np.where(np.isnan(v), np.nan, np.searchsorted(cuts, v)) for v in values]
        labels = THIRDS
    sizes = [int((values[0] == code).sum()) for code in range(len(labels))]
    largest = sorted(range(len(labels)), key=lambda code: -sizes[code])[:MOST_GROUPS]
    found = []
    for code in sorted(largest):
        members = [np.flatnonzero(each == code) for each in values]
        if len(members[0]) >= LEAST_PATIENTS and min(map(len, members)) >= SMALLEST:
            found.append(_group(patients, name, labels[code], lines, members))
    return tuple(found)


def _group(
    patients: Patients,
    name: str,
    label: str,
    lines: tuple[Timeline, Timeline, Timeline],
    members: list[NDArray[np.int64]],
) -> VisitGroup:
    rng = generator_of(patients.seed, "subgroups")
    real, synthetic, trained = (line.take(some) for line, some in zip(lines, members, strict=True))
    drawn = resampled(real, rng)
    told = patients.columns, patients.static
    found = _brief(Compare(drawn, resampled(synthetic, rng), *told))
    best = _brief(Compare(drawn.bare, resampled(trained), *told))
    metrics = [metric for metric in joined(found, best) if metric.column is None]
    return VisitGroup(
        name,
        label,
        real.n_patients,
        len(members[0]) / lines[0].n_patients,
        len(members[1]) / lines[1].n_patients,
        tuple(metrics),
    )


def _brief(pair: Compare) -> Figures:
    return gaps_and_lengths(pair) | null_shares(pair) | overall(pair) | lagged(pair, 1)
