"""The training loop: one for every model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synthehr.batches import Balanced, Bucketed, Draw, Shuffled, balanced_columns
from synthehr.config import TrainConfig
from synthehr.encode.fields import Fields
from synthehr.errors import TrainingError
from synthehr.models.base import Loss, Model, Records
from synthehr.models.sequence_base import Sequences
from synthehr.train.callbacks import every
from synthehr.train.checkpoint import identity, restore, save
from synthehr.train.ema import Average
from synthehr.train.runtime import Precision, Runtime, isolated, memory_guarded, mix
from synthehr.train.schedule import fraction_done, rate_factor
from synthehr.train.state import Callback, State, StoppedBy, tensors, trained

StepChild = Callable[[Loss, torch.optim.Optimizer], Tensor]
"""Steps the optimiser of the child that a loss names; what it gives back is only checked."""

BATCH, ORDER, SCORE = range(3)
"""Streams of seeds: a step's randomness, an epoch's order, an evaluation's randomness."""


@dataclass(frozen=True)
class History:
    """How a run went.

    Attributes
    ----------
    steps : int
        Steps taken.
    best_step : int
        Step whose averaged weights the model holds now.
    best_held_out : float or None
        Held-out loss of that step; None where no records were held out.
    curve : tuple of (int, float)
        Step and held-out loss of each evaluation.
    seconds : float
        Time spent, over all parts of a resumed run.
    precision : {"float32", "bfloat16"}
        Arithmetic of the forward pass.
    device : str
        Where the model was trained.
    stopped_by : {"steps", "patience", "clock", "callback"}
        What ended the run.
    """

    steps: int
    best_step: int
    best_held_out: float | None
    curve: tuple[tuple[int, float], ...]
    seconds: float
    precision: Precision
    device: str
    stopped_by: StoppedBy


def train(
    model: nn.Module,
    records: Records,
    held_out: Records,
    config: TrainConfig,
    *,
    seed: int,
    runtime: Runtime,
    fields: Fields = (),
    max_minutes: float | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: Path | None = None,
    checkpoint_every: float = 30.0,
    resume: bool = False,
    note: Mapping[str, Any] | None = None,
    draw: Draw | None = None,
    step_child: StepChild | None = None,
) -> History:
    """Train a model; it ends with the averaged weights of the lowest held-out loss.

    Parameters
    ----------
    model : Model, or another Module that is a Learner
        Freshly built; moved to the runtime's device.
    records, held_out : Tensor of shape (N, 2, D) and (M, 2, D), int16, or RecordSet
        Records to learn from, and records to choose the best weights by; M may be 0. Models of
        other things than tables have record sets of their own.
    config : TrainConfig
        How to train.
    seed : int
        Equal seeds give equal weights on one machine, unless ``max_minutes`` is given.
    runtime : Runtime
        Device and precision.
    fields : Fields
        The columns; needed by models whose batches are balanced.
    max_minutes : float, optional
        Limit by the clock; the schedule then follows whichever of steps and clock is
        further.
    callbacks : sequence of callables
        Called after every step.
    checkpoint : Path, optional
        The file that holds the run's state, see `synthehr.train.checkpoint`; the caller
        removes it when the model is safe.
    checkpoint_every : float
        Seconds between two checkpoints.
    resume : bool
        Whether to go on from that file, if it exists.
    note : mapping, optional
        JSON values to keep in that file, such as the seed that this one was derived from;
        `synthehr.train.checkpoint.note_of` reads them.
    draw : callable, optional
        Draws the batches in another way than the model asks for.
    step_child : callable, optional
        Steps a child in another way than `plain_step`.

    Raises
    ------
    TrainingError
        The loss stopped being a number, or the memory does not suffice.
    ArtifactError
        The checkpoint is damaged or belongs to another run.
    """
    model.to(runtime.device).train()
    records, held_out = records.to(runtime.device), held_out.to(runtime.device)
    precision = runtime.precision(config.precision)
    state = State(model, config, Average(model, config.ema))
    limit = None if max_minutes is None else 60.0 * max_minutes
    if checkpoint is not None:
        run = identity(state, records, held_out, seed)
        if resume:
            restore(state, checkpoint, run)
        write = partial(save, path=checkpoint, run=run, note=note or {})
        callbacks = [*callbacks, every(checkpoint_every, write)]
    draw = draw or drawer(model, records, fields, config, seed)
    step_child = step_child or partial(plain_step, clip=config.clip)
    started = time.monotonic() - state.seconds
    state.fraction = fraction_done(state.step, config.steps, state.seconds, limit)
    stopped_by = ending(state)
    total = torch.zeros((), device=runtime.device)
    with isolated(runtime), memory_guarded():
        while stopped_by is None:
            generator = runtime.generator.manual_seed(mix(seed, BATCH, state.step))
            batch = draw(state.step, generator)
            total += run_step(state, batch, runtime, precision, step_child)
            state.step += 1
            state.average.update(state.step)
            state.seconds = time.monotonic() - started
            before = state.fraction
            state.fraction = fraction_done(state.step, config.steps, state.seconds, limit)
            if is_due(before, state.fraction, config.evaluations):
                check_finite(total.item(), "the loss of the training records")
                with runtime.autocast(precision):
                    evaluate(state, held_out, runtime, seed)
            asked = any([callback(state) for callback in callbacks])
            stopped_by = ending(state) or ("callback" if asked else None)
    if state.best is not None:
        torch.ops.aten._foreach_copy_.default(tensors(model), state.best)
    model.eval()
    return History(
        steps=state.step,
        best_step=state.best_step,
        best_held_out=state.best_held_out,
        curve=tuple(state.curve),
        seconds=state.seconds,
        precision=precision,
        device=str(runtime.device),
        stopped_by=stopped_by,
    )


def drawer(
    model: nn.Module, records: Records, fields: Fields, config: TrainConfig, seed: int
) -> Draw:
    """Draw batches in the way the model asks for."""
    seeds = partial(mix, seed, ORDER)
    if isinstance(records, Sequences):
        return Bucketed(records, config.batch_size, seeds)
    if isinstance(model, Model) and isinstance(records, Tensor) and model.batching == "balanced":
        return Balanced(records, config.batch_size, balanced_columns(fields))
    return Shuffled(records, config.batch_size, seeds)


def run_step(
    state: State,
    batch: Any,
    runtime: Runtime,
    precision: Precision,
    step_child: StepChild,
) -> Tensor:
    """Step every child whose loss the model yields; their sum, detached."""
    factor = rate_factor(state.config, state.step, state.fraction)
    losses = state.learner.losses(batch, state.step)
    total = torch.zeros((), device=runtime.device)
    while True:
        with runtime.autocast(precision):
            loss = next(losses, None)
        if loss is None:
            return total
        optimiser = state.optimiser(loss.child)
        for group in optimiser.param_groups:
            group["lr"] = state.config.learning_rate * factor
        total += step_child(loss, optimiser)


def plain_step(loss: Loss, optimiser: torch.optim.Optimizer, *, clip: float) -> Tensor:
    """One optimiser step on one child, whose gradient alone is computed; the loss, detached."""
    if loss.per_record is None:
        value = loss.public
    else:
        value = loss.per_record.float().mean()
        value = value if loss.public is None else value + loss.public
    assert value is not None, "a loss has a part that saw records, a public part, or both"
    weights = trained(optimiser)
    for weight in weights:
        weight.grad = None
    value.backward(inputs=weights)
    if clip > 0:
        clip_gradients(weights, clip)
    optimiser.step()
    return value.detach()


def clip_gradients(weights: list[Tensor], largest: float) -> None:
    """Scale the gradients down together to a norm, with no wait for the device.

    `torch.nn.utils.clip_grad_norm_` in four calls: a third of its time on small models.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch.ops.aten._foreach_norm.Scalar(gradients, 2)))
    torch.ops.aten._foreach_mul_.Tensor(gradients, (largest / (norm + 1e-6)).clamp_(max=1.0))


def is_due(before: float, after: float, evaluations: int) -> bool:
    """Whether a run that went from one fraction to another owes an evaluation."""
    return after >= 1.0 or math.floor(after * evaluations) > math.floor(before * evaluations)


def evaluate(state: State, held_out: Records, runtime: Runtime, seed: int) -> None:
    """Score the averaged weights on held-out records, and keep them if they are the best."""
    state.average.update(state.step, force=True)
    with state.average.swapped_in(), torch.no_grad():
        if not len(held_out):
            state.keep_best()
            return
        runtime.generator.manual_seed(mix(seed, SCORE))
        state.model.eval()
        wide = held_out.long() if isinstance(held_out, Tensor) else held_out
        value = state.learner.held_out_loss(wide)
        state.model.train()
        check_finite(value, "the loss of the held-out records")
        best = state.best_held_out
        state.curve.append((state.step, value))
        if best is None or value < best:
            state.keep_best()


def check_finite(value: float, what: str) -> None:
    """Refuse a loss that is not a number."""
    if not math.isfinite(value):
        raise TrainingError(
            f"{what} is no longer a finite number",
            hint="lower the learning rate, for example --set train.learning_rate=0.0003, "
            "or train with --set train.precision=float32",
        )


def ending(state: State) -> StoppedBy | None:
    """Say what ends the run now, if anything."""
    if state.step >= state.config.steps:
        return "steps"
    if state.fraction >= 1.0:
        return "clock"
    return "patience" if 0 < state.config.patience <= state.stale else None
