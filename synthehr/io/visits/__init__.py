"""Visits of patients in and out: long tables, two tables, wide ones, and common folders."""

from __future__ import annotations

from synthehr.io.visits.lists import folded, spread
from synthehr.io.visits.reading import read_visits
from synthehr.io.visits.visits import LAYOUTS, Layout, VisitTable
from synthehr.io.visits.writing import check_visits_target, write_visits

__all__ = [
    "LAYOUTS",
    "Layout",
    "VisitTable",
    "check_visits_target",
    "folded",
    "read_visits",
    "spread",
    "write_visits",
]
