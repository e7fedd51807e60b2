"""Column names: refused where two would be confused, kept as they are otherwise."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from synthehr.errors import InputError
from synthehr.schema.column import shown

_LONG = 256


def check_names(names: Sequence[str]) -> None:
    """Refuse names that occur twice, or differ only in case, spaces or Unicode form.

    Raises
    ------
    InputError
        With the positions (from 1) of the first two such columns.
    """
    if not names:
        raise InputError("the table has no columns", hint="Give a table with at least one column.")
    places: dict[str, list[int]] = defaultdict(list)
    for position, name in enumerate(names, 1):
        places[unicodedata.normalize("NFC", name).strip().casefold()].append(position)
    for alike in places.values():
        if len(alike) < 2:
            continue
        at = ", ".join(str(position) for position in alike[:10])
        first = names[alike[0] - 1]
        if all(names[position - 1] == first for position in alike):
            message = f"column name {shown(first)} occurs {len(alike)} times (columns {at})"
        else:
            message = f"columns {at} differ only in case, spaces or Unicode form of their names"
        raise InputError(message, hint="Rename them so that every name is distinct.")


def odd_names(names: Sequence[str]) -> list[str]:
    """Warn of names that are kept but will be awkward: empty, long, or not printable."""
    warnings = []
    for position, name in enumerate(names, 1):
        if not name.strip():
            what = "is empty or blank"
        elif len(name) > _LONG:
            what = f"has {len(name)} characters"
        elif not name.isprintable():
            what = "holds characters that cannot be printed"
        else:
            continue
        warnings.append(f"the name of column {position} {what}; it is kept as it is.")
    return warnings
