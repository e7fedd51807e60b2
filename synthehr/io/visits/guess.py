"""Which column names the patient, and which the time, where the user does not say."""

from __future__ import annotations

import pyarrow as pa

from synthehr.errors import InputError
from synthehr.io.visits.keys import check_patients, is_moment, is_time, ranks
from synthehr.io.visits.visits import changes_within
from synthehr.kernels import compute as pc
from synthehr.schema.column import shown
from synthehr.schema.words import names_a_patient, words_of

_TIMES = {
    "time", "date", "datetime", "timestamp", "year", "years", "month", "months", "week", "weeks",
    "day", "days", "hour", "hours", "minute", "minutes",
}  # fmt: skip


def find_patient(table: pa.Table) -> str:
    """Find the column that is named as ids of patients are, or else one called id.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    names = [name for name in table.column_names if names_a_patient(name)]
    names = names or [name for name in table.column_names if words_of(name) == ("id",)]
    if len(names) != 1:
        raise InputError(
            f"{len(names) or 'no'} columns are named as ids of patients are",
            hint="Say which column names the patient with --patient.",
        )
    return names[0]


def find_time(table: pa.Table, patient: str) -> str:
    """Find the column of times: a date or a number named as times are, not constant.

    Raises
    ------
    InputError
        If there is none, or more than one.
    """
    check_patients(table.column(patient), patient)
    owners = ranks(table.column(patient))
    order = pa.array(owners.argsort(kind="stable"))
    owners = owners[order]
    likely, possible = [], []
    for name in table.column_names:
        cells = table.column(name)
        if name == patient or cells.null_count or not is_time(cells.type):
            continue
        words = words_of(name)
        named = is_moment(cells.type) or bool(set(words) & _TIMES)
        # obstime and charttime are times; so is protime, but that of a clotting test.
        ending = bool(words) and words[-1].endswith(("time", "date"))
        if (named or ending) and changes_within(pc.take(cells, order), owners):
            (likely if named else possible).append(name)
    found = likely or possible
    if len(found) != 1:
        told = f" ({', '.join(shown(name) for name in found[:5])})" if found else ""
        raise InputError(
            f"{len(found) or 'no'} columns look like the times of visits{told}",
            hint="Say which column holds the time with --time.",
        )
    return found[0]
