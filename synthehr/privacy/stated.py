"""What a run record states of privacy, derived anew before it is told to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthehr.errors import ArtifactError
from synthehr.privacy.ledger import LARGE, Ledger, check_spent


def stated(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the ledger of a run record; all that follows from its entries is derived anew.

    Parameters
    ----------
    record : mapping
        The run record of a model file.

    Returns
    -------
    dict or None
        As `Ledger.to_json` gives it; None where the fit was not differentially private.

    Raises
    ------
    ArtifactError
        If it is no ledger.
    ConfigError
        If its entries do not add up, or account for another number of steps.
    """
    spent = record.get("privacy")
    if spent is None:
        return None
    try:
        check_spent(spent, record["steps"])
        return Ledger.from_json(spent).to_json()
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        raise ArtifactError(
            "the privacy ledger of the model file cannot be read", hint="fit again"
        ) from None


def warning_of(epsilon: float) -> str | None:
    """Warn of an ε that is large."""
    return f"an ε beyond {LARGE:g} promises next to nothing" if epsilon > LARGE else None
