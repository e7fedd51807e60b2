"""What an evaluation of visits found, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from synthehr.evaluation.longitudinal.ruled import RuledPatients
from synthehr.evaluation.longitudinal.subgroups import VisitGroup
from synthehr.evaluation.metric import Metric
from synthehr.evaluation.results import (
    Calibration,
    Cap,
    ColumnKind,
    Histogram,
    MembershipResult,
    NotMeasurable,
)


class VisitColumn(NamedTuple):
    """A column that was compared.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"number", "date", "category"}
        How it was compared.
    static : bool
        Whether it never changes within a real patient.
    null_real, null_synthetic : float
        Share of visits in which it is null.
    lags_real, lags_synthetic : tuple of float
        Correlation with the value one, two and three visits before; empty for levels.
    """

    name: str
    kind: ColumnKind
    static: bool
    null_real: float
    null_synthetic: float
    lags_real: tuple[float, ...]
    lags_synthetic: tuple[float, ...]


class Band(NamedTuple):
    """A column over time: real patients as quantiles, a few synthetic ones as they are.

    Attributes
    ----------
    column : str
        Name of the column.
    edges : tuple of float
        The B + 1 edges of the bins, in time since a patient's first visit.
    quantiles : tuple of tuple of float
        The 10, 25, 50, 75 and 90 % quantiles in each bin, B each; nan where fewer than
        `SMALLEST` real patients lie beyond.
    drawn : tuple of (times, values)
        Synthetic patients.
    """

    column: str
    edges: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...]
    drawn: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]


class NullMap(NamedTuple):
    """Share of nulls by column and visit; nan where fewer than `SMALLEST` patients have one.

    Attributes
    ----------
    columns : tuple of str
        The columns that are null somewhere.
    real, synthetic : tuple of tuple of float
        Shares at the first, second, … visit, one tuple a column.
    """

    columns: tuple[str, ...]
    real: tuple[tuple[float, ...], ...]
    synthetic: tuple[tuple[float, ...], ...]


class PatientMap(NamedTuple):
    """Patients on the two axes on which real ones differ most: where they are, in cells.

    Attributes
    ----------
    edges : tuple of tuple of float
        The edges of the columns of cells, and of the rows.
    real : tuple of tuple of float
        Share of the real patients in each cell, row by row; nan where they are some and fewer
        than `SMALLEST`.
    synthetic : tuple of (float, float)
        Places of synthetic patients.
    explained : tuple of float
        Share of the real patients' variance on each axis.
    """

    edges: tuple[tuple[float, ...], tuple[float, ...]]
    real: tuple[tuple[float, ...], ...]
    synthetic: tuple[tuple[float, float], ...]
    explained: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class VisitResults:
    """All that was found.

    Attributes
    ----------
    rows : tuple of Metric
        The figures: those of all columns, then those of each.
    columns : tuple of VisitColumn
        One a column, in the order of the real table.
    groups : tuple of VisitGroup
        Figures within groups of patients.
    membership : tuple of MembershipResult
        One an attack and target; empty without held-out patients.
    calibration : tuple of Calibration
        Empty without a target with two levels.
    histograms : tuple of Histogram
        Of visits per patient, and of the time between visits.
    bands : tuple of Band
        Columns of numbers over time.
    null_map : NullMap or None
        None where nothing is null.
    patient_map : PatientMap or None
        None where patients do not differ in two ways.
    rules : tuple of RuledPatients
        Who breaks which rule, where some are known.
    caps : tuple of Cap
        What was subsampled.
    not_measurable : tuple of NotMeasurable
        Parts without figures, and why.
    visits, patients : tuple of int
        Visits, and patients, of the real, the synthetic and the held-out table (0 without).
    ceiling_from : {"holdout", "halves"}
        Whether figures compare with held-out patients, or with one half of the real ones.
    time : str
        The column that says when.
    dated : bool
        Whether times are dates, and so in days.
    target : str or None
        The column whose prediction was scored.
    seed : int
        Seed of everything random.
    seconds : float
        Wall time of the evaluation.
    """

    rows: tuple[Metric, ...]
    columns: tuple[VisitColumn, ...]
    groups: tuple[VisitGroup, ...]
    membership: tuple[MembershipResult, ...]
    calibration: tuple[Calibration, ...]
    histograms: tuple[Histogram, ...]
    bands: tuple[Band, ...]
    null_map: NullMap | None
    patient_map: PatientMap | None
    rules: tuple[RuledPatients, ...]
    caps: tuple[Cap, ...]
    not_measurable: tuple[NotMeasurable, ...]
    visits: tuple[int, int, int]
    patients: tuple[int, int, int]
    ceiling_from: str
    time: str
    dated: bool
    target: str | None
    seed: int
    seconds: float
