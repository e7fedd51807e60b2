"""Visits as codes, the way a fit makes them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synthehr.encode.config import EncodeConfig
from synthehr.encode.sequence import SequenceEncoder
from synthehr.io.visits import read_visits
from synthehr.models.sequence_base import Sequences
from synthehr.run.choices import Options
from synthehr.run.visits.preparation import settle_visits


def encoded_visits(table: pa.Table) -> tuple[SequenceEncoder, Sequences]:
    """Encode visits of the columns `patient_id`, `day` and others."""
    visits = read_visits(table, patient="patient_id", time="day")
    schema = settle_visits(visits, None, Options())
    starts, rng = visits.offsets(), np.random.default_rng(0)
    encoder = SequenceEncoder.fit(visits.table, schema, starts, visits.static, EncodeConfig(), rng)
    return encoder, Sequences.of(encoder.encode(visits.table, starts))
