"""What private fits of one table add up to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthehr.commands.console import say


def note_spending(target: Path, table: Path, ledger: dict[str, Any]) -> None:
    """List a private fit beside its output, and warn where the table was fitted before."""
    from synthehr.privacy.project import NAME, spend

    spent = spend(target.parent, table, epsilon=ledger["epsilon"], delta=ledger["delta"])
    if spent.fits:
        say(
            f"warning: this table was fitted privately before ({NAME} lists {spent.fits}); whoever "
            f"has all of it has ε = {spent.epsilon:.3f} and δ = {spent.delta:g}"
        )
