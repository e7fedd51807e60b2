"""Drawing patients with their visits, block by block.

Block b of 1024 patients has random numbers of its own, made from the seed and b, so that a
patient depends on the seed and his place alone, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import torch

from synthehr.artifact import Artifact, SequenceArtifact
from synthehr.errors import ConditionError
from synthehr.modes.given import Wish, wished
from synthehr.modes.parity import Parity
from synthehr.run.drawing import padded
from synthehr.schema.table import Schema
from synthehr.seeds import SAMPLE, derived, generator
from synthehr.train.runtime import find_runtime

BLOCK = 1024
"""Patients of a block."""


def asked_of_patients(artifact: SequenceArtifact, n: int | None, given: Any) -> Wish:
    """Check what is asked of patients against what was learned of them.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    n : int or None
        How many patients; None for as many as were fitted, or as `given` has rows.
    given : None, str, mapping or table
        Conditions on columns that patients have once, as in `synthehr.Synthesizer.sample`.

    Raises
    ------
    ConditionError
        If a condition cannot be read or can never hold, or speaks of visits.
    """
    record = {**artifact.record, "records": artifact.record["patients"]}
    if given is None:
        return Wish(record["patients"] if n is None else _positive(n))
    static, encoder = artifact.model.static, artifact.encoder.static
    if static is None or isinstance(given, Parity):
        raise ConditionError(
            "conditions on visits speak of columns that patients have once",
            hint=f"there are {len(encoder.modelled)} of them; see synthehr inspect",
        )
    columns = tuple(column for column in artifact.schema.columns if column.name in encoder.plan)
    return wished(Artifact(static, encoder, Schema(columns), record, None), n, given)


def draw_patients(artifact: SequenceArtifact, wish: Wish, seed: int) -> Iterator[pa.Table]:
    """Draw patients with their visits, a block at a time.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    wish : Wish
        How many patients, and what is asked of them.
    seed : int
        Equal seeds give equal patients.
    """
    runtime = find_runtime("cpu")
    for block, start in enumerate(range(0, wish.n, BLOCK)):
        random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
        given = replace(wish.given, codes=padded(wish.given.codes, start, BLOCK))
        with runtime.autocast(runtime.precision("auto")):
            codes = artifact.model.sample(BLOCK, random, given).codes()
        numbers = generator(seed, SAMPLE, block)
        table = artifact.encoder.decode(codes, numbers, bounds=wish.bounds, first=start)
        yield table.slice(0, int(codes.starts[min(BLOCK, wish.n - start)]))


def _positive(n: int) -> int:
    if isinstance(n, bool) or n < 1:
        raise ConditionError("the number of patients must be 1 or more", hint="for example -n 1000")
    return int(n)
