"""Drawing patients with their visits, block by block.

Block b of 1024 patients has random numbers of its own, made from the seed and b, so that a
patient depends on the seed and his place alone, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from synthehr.artifact import Artifact, SequenceArtifact
from synthehr.encode.sequence import SequenceCodes
from synthehr.errors import ConditionError
from synthehr.models.base import Given
from synthehr.modes.given import Wish, wished
from synthehr.modes.parity import Parity
from synthehr.modes.rule_masks import masks_of
from synthehr.modes.visit_masks import visit_masks
from synthehr.run.drawing import padded
from synthehr.run.ruling import Repairs
from synthehr.run.visits.ruling import VisitLaw, ruled_patients
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


def draw_patients(
    artifact: SequenceArtifact, wish: Wish, seed: int, repairs: Repairs | None = None
) -> Iterator[pa.Table]:
    """Draw patients with their visits, a block at a time.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    wish : Wish
        How many patients, and what is asked of them.
    seed : int
        Equal seeds give equal patients.
    repairs : Repairs, optional
        Counts what is done for the rules.

    Raises
    ------
    ConditionError
        If patients that keep the rules are not found.
    """
    rules, encoder = artifact.rules, artifact.encoder
    legal, of_visits = masks_of(rules, encoder.static), visit_masks(rules, encoder)
    for block, start in enumerate(range(0, wish.n, BLOCK)):
        random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
        codes = padded(wish.given.codes, start, BLOCK)
        given = replace(wish.given, codes=codes, legal=legal, of_visits=of_visits)
        some = partial(_codes, artifact, given, random)
        numbers = generator(seed, SAMPLE, block)
        if rules.rules:
            table, starts = ruled_patients(
                VisitLaw.of(artifact),
                BLOCK,
                some,
                numbers,
                bounds=wish.bounds,
                first=start,
                count=Repairs() if repairs is None else repairs,
            )
        else:
            drawn = some(np.arange(BLOCK))
            table = encoder.decode(drawn, numbers, bounds=wish.bounds, first=start)
            starts = drawn.starts
        yield table.slice(0, int(starts[min(BLOCK, wish.n - start)]))


def _codes(
    artifact: SequenceArtifact, given: Given, random: torch.Generator, rows: NDArray[np.int64]
) -> SequenceCodes:
    """Draw codes of patients at these places of a block."""
    runtime = find_runtime("cpu")
    if given.codes is not None:
        given = replace(given, codes=given.codes[torch.from_numpy(rows)])
    with runtime.autocast(runtime.precision("auto")):
        return artifact.model.sample(len(rows), random, given).codes()


def _positive(n: int) -> int:
    if isinstance(n, bool) or n < 1:
        raise ConditionError("the number of patients must be 1 or more", hint="for example -n 1000")
    return int(n)
