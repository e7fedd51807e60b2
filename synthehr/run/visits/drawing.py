"""Drawing patients with their visits, block by block.

Block b of 1024 patients has random numbers of its own, made from the seed and b, so that a
patient depends on the seed and his place alone, and memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import torch

from synthehr.artifact import SequenceArtifact
from synthehr.models.sequence_base import Sequences
from synthehr.seeds import SAMPLE, derived, generator
from synthehr.train.runtime import find_runtime

BLOCK = 1024
"""Patients of a block."""


def draw_patients(artifact: SequenceArtifact, n: int, seed: int) -> Iterator[pa.Table]:
    """Draw patients with their visits, a block at a time.

    Parameters
    ----------
    artifact : SequenceArtifact
        The fitted model.
    n : int
        How many patients.
    seed : int
        Equal seeds give equal patients.
    """
    runtime = find_runtime("cpu")
    for block, start in enumerate(range(0, n, BLOCK)):
        random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
        with runtime.autocast(runtime.precision("auto")):
            drawn = artifact.model.sample(BLOCK, random)
        wanted = first_patients(drawn, min(BLOCK, n - start))
        numbers = generator(seed, SAMPLE, block)
        yield artifact.encoder.decode(wanted.codes(), numbers, first=start)


def first_patients(sequences: Sequences, n: int) -> Sequences:
    """Keep the first n patients."""
    starts = sequences.starts[: n + 1]
    visits = sequences.visits[: int(starts[-1])]
    return Sequences(sequences.static[:n], visits, starts)
