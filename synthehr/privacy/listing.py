"""The ledger, told in columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthehr.privacy.accountant import is_installed
from synthehr.privacy.ledger import Ledger
from synthehr.schema.listing import grid


def ledger_grid(ledger: Mapping[str, Any]) -> str:
    """Show what touched the records, what each of it costs alone, and all together.

    Parameters
    ----------
    ledger : mapping
        As `Ledger.to_json` gives it.
    """
    head = ("touched the records", "mechanism", "noise", "rate", "times", "ε alone")
    rows = [
        (
            entry["what"],
            entry["mechanism"],
            _number(entry.get("noise_multiplier")),
            _number(entry.get("rate")),
            str(entry["times"]),
            _number(entry["epsilon_alone"]),
        )
        for entry in ledger["entries"]
    ]
    return grid(head, [*rows, ("all together", "", "", "", "", _number(ledger["epsilon"]))])


def ledger_text(ledger: Mapping[str, Any]) -> str:
    """Show the ledger of a model file, and what follows from it.

    Raises
    ------
    ConfigError
        If its entries do not add up to what it states.
    """
    if is_installed():
        claim = Ledger.from_json(ledger).claim()
    else:
        claim = (*ledger["claim"], "Not added up again here: pip install 'synthehr[privacy]'.")
    return "\n".join([ledger_grid(ledger), "", *claim])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
