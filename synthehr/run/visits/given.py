"""Visits that are given to a fitted model, as it has learned them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from synthehr.artifact import SequenceArtifact
from synthehr.errors import InputError
from synthehr.io.visits import VisitTable, read_visits
from synthehr.models.sequence_base import Sequences
from synthehr.schema.column import shown
from synthehr.seeds import derived


class GivenVisits(NamedTuple):
    """Visits as they were read and as codes.

    Attributes
    ----------
    visits : VisitTable
        Sorted by patient and time.
    codes : Sequences
        Of the same patients, in the same order.
    """

    visits: VisitTable
    codes: Sequences


def given_visits(artifact: SequenceArtifact, data: Any) -> GivenVisits:
    """Read visits and encode them by the encoder of a fitted model.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    data : path or table, two of them, a folder, or a VisitTable
        As of `SequenceSynthesizer.fit`, with the columns that were fitted.

    Raises
    ------
    InputError
        A column is missing.
    SchemaError
        A column has another type than was fitted.
    """
    encoder = artifact.encoder
    if not isinstance(data, VisitTable):
        columns = encoder.names
        data = read_visits(data, patient=encoder.patient, time=encoder.time, known=columns)
    needed = {*encoder.static.modelled, *encoder.visits.modelled}
    missing = [name for name in encoder.names if name in needed - set(data.table.column_names)]
    if missing:
        raise InputError(
            f"{len(missing)} columns that were fitted are missing, such as {shown(missing[0])}",
            hint="give the visits with all of them; null where a value is not known",
        )
    return GivenVisits(data, Sequences.of(encoder.encode(data.table, data.offsets())))


def some_patients(sequences: Sequences, first: int, stop: int) -> Sequences:
    """Take the patients from `first` to before `stop`."""
    starts = sequences.starts[first : stop + 1]
    visits = sequences.visits[int(starts[0]) : int(starts[-1])]
    return Sequences(sequences.static[first:stop], visits, starts - starts[0])


def random_of(*path: int) -> torch.Generator:
    """Make torch's generator of a seed and a path, as `synthehr.seeds.generator` does numpy's."""
    return torch.Generator().manual_seed(derived(*path))
