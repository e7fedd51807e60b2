"""Rules of visits in the terms of a model: what patients have once stands before the rest."""

from __future__ import annotations

from synthehr.encode.sequence import SequenceEncoder
from synthehr.encode.table import TableEncoder
from synthehr.modes.constraints import Rules
from synthehr.modes.rule_masks import Masks, masks_of


def visit_masks(rules: Rules, encoder: SequenceEncoder) -> Masks | None:
    """Turn rules into masks of visits, see `synthehr.models.base.Given.of_visits`.

    Time and columns that climb are drawn as steps, of which no rule speaks.
    """
    columns = [*encoder.static.columns, *encoder.visits.columns]
    # A step has the name of its sum: a number tells them apart.
    both = TableEncoder({str(place): column for place, column in enumerate(columns)}, None)
    summed = {encoder.time, *encoder.climbs}
    names = {*encoder.static.modelled, *encoder.visits.modelled} - summed
    return masks_of(rules.narrowed(names), both)
