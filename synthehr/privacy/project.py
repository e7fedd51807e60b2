"""What a folder's private fits have cost together: each of them is true, and they add up.

Two fits of ε = 1 on the same patients give away what one of ε = 2 does. A model file knows
only of itself, so a small file beside it lists what was spent on which table.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from synthehr.errors import ArtifactError
from synthehr.io.atomic import write_text
from synthehr.io.lock import locked

NAME = "privacy-ledger.json"


class Spent(NamedTuple):
    """What was spent on a table before, and with this fit.

    Attributes
    ----------
    fits : int
        Private fits of this table before, in this folder.
    epsilon, delta : float
        All together, this one included, by plain addition.
    """

    fits: int
    epsilon: float
    delta: float


def spend(folder: Path, table: Path, *, epsilon: float, delta: float) -> Spent:
    """Note that a table is fitted privately, before training, and say what that adds up to.

    A fit that is cut off stays noted: what it did before is not known.

    Parameters
    ----------
    folder : Path
        Where the model file will be.
    table : Path
        The table; known again by its bytes or by its path.
    epsilon, delta : float
        What this fit may spend.

    Raises
    ------
    ArtifactError
        If the list cannot be read or written.
    """
    path = folder / NAME
    mine = {"table": str(table.resolve()), "sha256": _digest(table)}
    with locked(path):
        before = _read(path)
        same = [
            entry
            for entry in before
            if entry["table"] == mine["table"]
            or (entry["sha256"] and entry["sha256"] == mine["sha256"])
        ]
        after = [*before, {**mine, "epsilon": epsilon, "delta": delta}]
        write_text(path, json.dumps({"fits": after}, indent=2) + "\n", force=True)
    return Spent(
        len(same),
        epsilon + sum(entry["epsilon"] for entry in same),
        delta + sum(entry["delta"] for entry in same),
    )


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        fits = json.loads(path.read_text(encoding="utf-8"))["fits"]
        if all(set(fit) == {"table", "sha256", "epsilon", "delta"} for fit in fits):
            return fits
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise ArtifactError(
        f"{path.name} is no list of private fits",
        hint="it says what was spent on which table: mend it, or move it away knowingly",
    )


def _digest(table: Path) -> str:
    """Hash a file's bytes; empty for a folder of files, which its path stands for."""
    if not table.is_file():
        return ""
    with table.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
