"""A small cohort and a synthesizer fitted on it, made once."""

from __future__ import annotations

from functools import cache

import pyarrow as pa
from marginals import Marginals

from synthehr import Synthesizer
from synthehr.demo import simulate


@cache
def cohort() -> pa.Table:
    return simulate(600, 0)


@cache
def fitted() -> Synthesizer:
    return Synthesizer(Marginals, seed=1).fit(cohort(), patient="patient_id")
