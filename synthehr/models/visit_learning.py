"""What models of visits have in common: masks, scores of held-out patients, and budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from synthehr.config import TrainConfig
from synthehr.encode.sequence import SequenceFields
from synthehr.models.autoregressive import Autoregressive
from synthehr.models.base import Batch, Given, Loss, Model
from synthehr.models.course import Course
from synthehr.models.masks import draw_masks
from synthehr.models.sequence_base import SequenceBatch, Sequences
from synthehr.models.visit_network import VisitNetwork

HELD_OUT_VISITS = 4096
"""Visits times masks by which held-out patients are scored, at least."""
BLOCK = 256
"""Held-out patients that are scored at a time."""
MASKS = 8
"""By how many masks of a visit each patient is scored."""
PERIOD = 64
"""The n-th visit of every patient is seen through the same masks, and the (n + 64)-th too."""
ORDERED_SHARE = 0.5
NEXT_WEIGHT = 0.5
"""As `ordered_share` and `next_weight` of `AutoregressiveConfig`."""


class Lesson(NamedTuple):
    """What a network is shown of R visits in a step, and what it is asked.

    Attributes
    ----------
    shown : Tensor of shape (B, T, D), bool
        Cells of the other visits that the network is shown.
    known, weights : Tensor of shape (R, D)
        Cells of each visit itself that are known, and the weights of the others' losses.
    whole : bool
        Whether the visits after each one are shown, too.
    """

    shown: Tensor
    known: Tensor
    weights: Tensor
    whole: bool


def lesson(
    batch: SequenceBatch, course: Course, step: int, *, forgetting: float, whole_share: float
) -> tuple[SequenceBatch, Lesson]:
    """Draw the lesson of a step, and leave blanks out of its patients.

    Parameters
    ----------
    batch : SequenceBatch
        The patients.
    course : Course
        Of the columns.
    step : int
        The number of the step.
    forgetting, whole_share : float
        See `synthehr.models.lstm.LSTMConfig`.
    """
    present, random = batch.present, batch.generator
    cells = (*present.shape, course.columns)
    noise = torch.rand(*cells, generator=random, device=present.device)
    shown = present[..., None] & (noise >= forgetting)
    known, weights = _masks(present.numel(), course.columns, random, NEXT_WEIGHT)
    batch, shown, known, weights = batch.without_blanks(
        shown, known.view(cells), weights.view(cells)
    )
    known, weights = known[batch.present], weights[batch.present]
    if int((step + 1) * whole_share) <= int(step * whole_share):
        return batch, Lesson(shown, known, weights, False)
    # Only values are learned here, as if nobody knew whether a null cell has one. The gap
    # before a visit is always known.
    seen = course.seen(batch.visits)
    is_gap = torch.arange(course.columns, device=known.device) == course.gap
    here = seen[batch.present] & ~is_gap
    return batch, Lesson(shown & (seen | is_gap), (known & here) | is_gap, weights * here, True)


def lesson_losses(
    network: VisitNetwork, batch: SequenceBatch, asked: Lesson, latent: Tensor | None = None
) -> Tensor:
    """Negative log-likelihood of each patient's visits in a lesson, (B,), in nats."""
    learn = network.whole_losses if asked.whole else network.losses
    return learn(batch, asked.shown, asked.known, asked.weights, latent)


def held_out_visits(
    records: Sequences, columns: int, score: Callable[[SequenceBatch, Lesson], Tensor]
) -> float:
    """Average a score of patients, (B,), over the patients and fixed masks."""
    generator = torch.Generator(records.starts.device).manual_seed(0)
    total = 0.0
    repeats = max(1, -(-HELD_OUT_VISITS // len(records.visits)))
    for part in records.lengths.argsort().repeat_interleave(repeats).split(BLOCK):
        batch = records.take(part, generator)
        known, weights = _masks(int(batch.present.sum()), columns, generator, 1.0)
        shown = batch.present[..., None].expand(-1, -1, columns)
        total += score(batch, Lesson(shown, known, weights, False)).sum().item()
    return total / repeats / len(records)


def score_patients(
    records: Sequences, columns: int, score: Callable[[SequenceBatch, Lesson], Tensor]
) -> Tensor:
    """Score each patient, (P,), through a few masks that all patients have in common."""
    random = torch.Generator(records.starts.device).manual_seed(0)
    total = torch.zeros(len(records), device=records.starts.device)
    for _ in range(MASKS):
        known, weights = _masks(PERIOD, columns, random, 1.0)
        for part in records.lengths.argsort().split(BLOCK):
            batch = records.take(part, random)
            number = torch.arange(batch.present.shape[1], device=part.device) % PERIOD
            place = number.expand(batch.present.shape)[batch.present]
            shown = batch.present[..., None].expand(-1, -1, columns)
            total[part] += score(batch, Lesson(shown, known[place], weights[place], False)).float()
    return total / MASKS


def static_model(fields: SequenceFields, *, private: bool = False) -> Autoregressive | None:
    """Make the model of what patients have once; None where there are no such columns."""
    if not fields.static:
        return None
    settings = Autoregressive.private_settings["model"] if private else {"factors": 0}
    config = Autoregressive.sized(fields.static, 1_000, settings)
    return Autoregressive.build(fields.static, config)


def static_losses(static: Model | None, batch: SequenceBatch, step: int) -> Iterator[Loss]:
    """Yield the losses of what patients have once."""
    if static is not None:
        once = Batch(batch.static, None, batch.generator, filled=batch.filled)
        for loss in static.losses(once, step):
            yield loss._replace(child="static")


def draw_static(static: Model | None, n: int, given: Given, generator: torch.Generator) -> Tensor:
    """Draw what n patients have once, (n, 2, S)."""
    if static is None:
        return torch.zeros(n, 2, 0, dtype=torch.int64, device=generator.device)
    return static.sample(n, given, generator)


def usual_most(records: Sequences) -> int:
    """How many visits patients have at most, roughly; no one patient decides it."""
    longest = records.lengths.sort(descending=True).values[:10].float().mean()
    return int(longest) + 1


def visit_training(fields: SequenceFields, n_patients: int) -> TrainConfig:
    """Choose the budget by the number of visits."""
    visits = n_patients * fields.mean_visits
    per_batch = 256 if visits < 3_000 else 1_024 if visits < 30_000 else 4_096
    batch = max(8, min(512, round(per_batch / fields.mean_visits)))
    epochs = 150 if visits < 3_000 else 60 if visits < 30_000 else 42 if visits < 150_000 else 28
    return TrainConfig(
        steps=max(500, round(epochs * n_patients / batch)),
        batch_size=batch,
        learning_rate=2e-3,
        betas=(0.9, 0.99),
        weight_decay=0.1,
        patience=6,
        evaluations=20,
    )


def _masks(
    n: int, columns: int, generator: torch.Generator, next_weight: float
) -> tuple[Tensor, Tensor]:
    return draw_masks(n, columns, generator, ordered_share=ORDERED_SHARE, next_weight=next_weight)
