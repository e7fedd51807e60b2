"""Whose the rows are that a layer sees, where they are visits and not patients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

_OWNERS: ContextVar[Tensor | None] = ContextVar("owners", default=None)


@contextmanager
def rows_owned_by(owners: Tensor) -> Iterator[None]:
    """Declare that layers see one row a visit, while this lasts.

    So the visits of all patients go through a network as a table of rows, with no room for
    those that were not made; under differential privacy a patient's rows count as one::

        with rows_owned_by(owners):
            losses = self.network(visits)  # (R, …)

    Layers whose input is (B, …), one patient a row with all visits in it, need no such word. But
    with it patients may go through in several parts, such as those of about as many visits
    together; no patient may go through a layer twice.

    Parameters
    ----------
    owners : Tensor of shape (R,), int64
        For each row the place of its patient in `synthehr.models.base.Loss.per_record`.
    """
    token = _OWNERS.set(owners)
    try:
        yield
    finally:
        _OWNERS.reset(token)


def owners_of_rows() -> Tensor | None:
    """Whose the rows are that layers see now; None where each is a patient's."""
    return _OWNERS.get()
