"""Drawing patients with their visits, block by block.

Each block has random numbers of its own, made from the seed and its number, and the same patients
whatever is asked for: so a patient depends on the seed and his place alone, and memory does not
grow with their number. The first blocks are small, so that few patients are drawn quickly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

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

FIRST_BLOCK, BLOCK = 64, 1024
"""Patients of the first block, and of those from the place `BLOCK` on. Between, places grow by
four: blocks of less than a hundred patients take as long as those of a hundred."""


class Stretch(NamedTuple):
    """The patients of a block.

    Attributes
    ----------
    block : int
        Its number.
    start, stop : int
        Places of its first patient and of the next block's.
    """

    block: int
    start: int
    stop: int


class DrawnBlock(NamedTuple):
    """The visits of a block, and what was done for the rules."""

    table: pa.Table
    repairs: Repairs


def stretches(n: int) -> Iterator[Stretch]:
    """Cut the places of n patients into blocks; the last one may reach beyond them."""
    block = start = 0
    while start < n:
        stop = start + min(max(3 * start, FIRST_BLOCK), BLOCK)
        yield Stretch(block, start, stop)
        block, start = block + 1, stop


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
    wish = replace(wish, given=replace(wish.given, legal=legal, of_visits=of_visits))
    draw = partial(_drawn, artifact, wish, seed)
    for table, done in _side_by_side(draw, stretches(wish.n), torch.get_num_threads()):
        if repairs is not None:
            repairs.values += done.values
            repairs.records += done.records
        yield table


def _side_by_side(
    draw: Callable[[Stretch], DrawnBlock], blocks: Iterator[Stretch], threads: int
) -> Iterator[DrawnBlock]:
    """Draw blocks in threads, each in one of them, and give them in their order.

    So small products of matrices need not be shared out, and what is drawn does not hang on the
    number of threads. No more blocks are begun ahead than there are threads.
    """
    if threads == 1:
        yield from map(draw, blocks)
        return
    waiting: deque[Future[DrawnBlock]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for block in blocks:
            waiting.append(pool.submit(draw, block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        # A thread's word is heeded by threads that begin after it.
        torch.set_num_threads(threads)


def _drawn(artifact: SequenceArtifact, wish: Wish, seed: int, stretch: Stretch) -> DrawnBlock:
    encoder, count = artifact.encoder, Repairs()
    block, start, stop = stretch
    n = stop - start
    random = torch.Generator().manual_seed(derived(seed, SAMPLE, block))
    codes = padded(wish.given.codes, start, n)
    given = replace(wish.given, codes=codes)
    some = partial(_codes, artifact, given, random)
    numbers = generator(seed, SAMPLE, block)
    if artifact.rules.rules:
        table, starts = ruled_patients(
            VisitLaw.of(artifact), n, some, numbers, bounds=wish.bounds, first=start, count=count
        )
    else:
        drawn = some(np.arange(n))
        table = encoder.decode(drawn, numbers, bounds=wish.bounds, first=start)
        starts = drawn.starts
    return DrawnBlock(table.slice(0, int(starts[min(n, wish.n - start)])), count)


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
