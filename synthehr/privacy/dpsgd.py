"""DP-SGD: what saw records is clipped patient by patient, summed, and noised.

Abadi et al. 2016, arXiv:1607.00133. What saw only noise and weights is added after the
noise: it is post-processing. Everything that fixes the mechanism (rate, slots, clip, noise,
steps) is public.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor, nn

from synthehr.errors import ConfigError
from synthehr.models.base import Loss
from synthehr.models.owners import owners_of_rows
from synthehr.privacy import noise
from synthehr.privacy.per_record import RULES, squared_norms
from synthehr.train.state import trained

ROUNDING = 1e-5
"""Rounding errors of a norm in single precision, at most; relative."""


class SlotDraw(Protocol):
    """Draws batches, and knows in which slots of the last one patients are.

    Attributes
    ----------
    filled : Tensor of shape (B,), bool
        Which records of the last batch are there and not blanks.
    owners : Tensor of shape (B,), int64, or None
        Patient of each record in the batch, from 0, where a patient may show several; their
        losses are summed within him. None where each record is a patient's.
    """

    filled: Tensor
    owners: Tensor | None


class _Call(NamedTuple):
    """One forward pass of a layer: its input, its output, and whose their rows are."""

    layer: nn.Module
    x: Tensor
    output: Tensor
    owners: Tensor | None


class _Pass(NamedTuple):
    """The same after the way back: in place of the output stands its gradient."""

    layer: nn.Module
    x: Tensor
    gradient: Tensor
    owners: Tensor | None


@final
class DpSgd:
    """Steps the children of a model under differential privacy.

    Parameters
    ----------
    model : nn.Module
        The model in training; see `synthehr.privacy.allowed` for what it may consist of.
    slots : SlotDraw
        Draws the batches.
    clip : float
        Largest norm of one patient's gradient.
    noise_multiplier : float
        Standard deviation of the noise in units of the clip.
    expected : float
        Expected number of patients in a batch, in public: the divisor of the sum.

    Attributes
    ----------
    steps : int
        How often records were looked at.
    """

    def __init__(
        self,
        model: nn.Module,
        slots: SlotDraw,
        *,
        clip: float,
        noise_multiplier: float,
        expected: float,
    ) -> None:
        self.model = model
        self.slots = slots
        self.clip = clip
        self.noise_multiplier = noise_multiplier
        self.expected = expected
        self.steps = 0
        self._calls: list[_Call] = []

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Keep what goes in and out of every layer that has weights, while this lasts."""
        handles = [
            layer.register_forward_hook(self._keep)
            for layer in self.model.modules()
            if any(True for _ in layer.parameters(recurse=False))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self.forget()

    def _keep(self, layer: nn.Module, x: tuple[Tensor, ...], output: Tensor) -> None:
        if output.requires_grad:
            self._calls.append(_Call(layer, x[0].detach(), output, owners_of_rows()))

    def __call__(self, loss: Loss, optimiser: torch.optim.Optimizer) -> Tensor:
        """Step one child; nothing that is told of its loss."""
        weights = trained(optimiser)
        for weight in weights:
            weight.grad = None
        if loss.per_record is not None:
            self._add_noised(loss.per_record, weights, keep_graph=loss.public is not None)
            self.steps += 1
        if loss.public is not None:
            loss.public.backward(inputs=weights)
        self.forget()
        optimiser.step()
        return torch.zeros((), device=weights[0].device)

    def forget(self) -> None:
        """Let go of what was kept of the last pass."""
        self._calls.clear()

    def _add_noised(self, losses: Tensor, weights: list[Tensor], *, keep_graph: bool) -> None:
        for weight, gradient in zip(
            weights, self.clipped_sum(losses, weights, keep_graph=keep_graph), strict=True
        ):
            weight.grad = gradient
        drawn = noise.normal(sum(weight.numel() for weight in weights))
        drawn = drawn.to(weights[0].device, torch.float32).mul_(self.noise_multiplier * self.clip)
        parts = drawn.split([weight.numel() for weight in weights])
        for weight, part in zip(weights, parts, strict=True):
            assert weight.grad is not None
            weight.grad.add_(part.view_as(weight)).div_(self.expected)

    def weighted(self, losses: Tensor, weights: Tensor) -> list[Tensor]:
        """Weigh records' losses, (B,), and divide what comes back to each layer's rows again.

        The same comes out for all weights, unless a record's work is done in a row of another:
        that row would be clipped by the other's norm, which bounds nothing.
        """
        found = torch.autograd.grad(
            (losses * weights).sum(), [call.output for call in self._calls], allow_unused=True
        )
        return [
            gradient / _beside(weights, gradient, call.owners)
            for call, gradient in zip(self._calls, found, strict=True)
            if gradient is not None
        ]

    def _whose(self, losses: Tensor) -> tuple[Tensor, Tensor | None]:
        """Say which losses are not of blanks, (B,), and of which patients they are."""
        filled, owners = self.slots.filled, self.slots.owners
        if len(losses) == len(filled):
            return filled, owners
        return filled[filled], None if owners is None else owners[filled]

    def clipped_sum(
        self, losses: Tensor, weights: list[Tensor], *, keep_graph: bool = False
    ) -> list[Tensor]:
        """Sum the patients' gradients, each scaled down to the clip.

        Blanks count as nothing, and so do records whose loss or gradient is not finite.

        Parameters
        ----------
        losses : Tensor of shape (B,)
            One loss a slot.
        weights : list of Tensor
            What is trained.
        keep_graph : bool
            Whether another pass back will follow.

        Raises
        ------
        ConfigError
            A layer ran twice: the norms of its two gradients do not add up.
        """
        filled, of = self._whose(losses)
        bad = filled & ~losses.isfinite()
        total = torch.where(filled & ~bad, losses, 0.0).sum()
        mine = {id(weight) for weight in weights}
        calls = [
            call
            for call in self._calls
            if all(id(weight) in mine for weight in call.layer.parameters(recurse=False))
        ]
        found = torch.autograd.grad(
            total, [call.output for call in calls], retain_graph=keep_graph, allow_unused=True
        )
        passes = [
            _Pass(call.layer, call.x, gradient, _composed(call.owners, of))
            for call, gradient in zip(calls, found, strict=True)
            if gradient is not None
        ]
        filled, bad = (_of_any(rows, of, self.slots.owners) for rows in (filled, bad))
        counted = filled & ~bad
        _refuse_second_looks(passes, counted)
        squared = torch.zeros_like(counted, dtype=losses.dtype)
        for one in passes:
            squared += squared_norms(*one, len(squared))
        norms = squared.sqrt()
        counted &= norms.isfinite()
        # A hair below the clip, so that rounding does not lift a norm above it.
        limit = self.clip * (1 - ROUNDING)
        scale = torch.where(counted, limit / norms.clamp(min=limit), 0.0)
        all_finite = bool((counted == filled).all())
        sums: dict[int, Tensor] = {}
        for layer, x, gradient, owners in passes:
            gradient = gradient * _beside(scale, gradient, owners)
            if not all_finite:
                # Zero times infinity is no number.
                gradient = torch.where(_beside(counted, gradient, owners), gradient, 0)
                x = torch.where(_beside(counted, x, owners), x, 0)
            for weight, gradient_sum in RULES[type(layer)].summed(layer, x, gradient):
                before = sums.get(id(weight))
                sums[id(weight)] = gradient_sum if before is None else before + gradient_sum
        return [
            sums[id(weight)] if id(weight) in sums else torch.zeros_like(weight)
            for weight in weights
        ]


def _composed(rows: Tensor | None, records: Tensor | None) -> Tensor | None:
    """Say whose rows are that are records', (R,), which are patients', (B,)."""
    if rows is None or records is None:
        return records if rows is None else rows
    return records[rows]


def _of_any(holds: Tensor, of: Tensor | None, owners: Tensor | None) -> Tensor:
    """Say of which patients something holds for any record, (P,)."""
    if of is None or owners is None:
        return holds
    patients = int(owners.max()) + 1
    return torch.zeros(patients, dtype=torch.bool, device=holds.device).index_fill_(
        0, of[holds], True
    )


def _refuse_second_looks(passes: list[_Pass], patients: Tensor) -> None:
    """Refuse a layer that ran twice on a patient; on some patients, then on others, it may."""
    seen: dict[nn.Module, Tensor] = {}
    for one in passes:
        here = torch.ones_like(patients)
        if one.owners is not None:
            here = here.logical_not_().index_fill_(0, one.owners, True)
        before = seen.setdefault(one.layer, here)
        if before is not here:
            if bool((before & here).any()):
                raise ConfigError(
                    "this model runs a layer twice on the same records, which is not accounted "
                    "for under differential privacy",
                    hint="train it without differential privacy",
                )
            before |= here


def _beside(values: Tensor, other: Tensor, owners: Tensor | None) -> Tensor:
    """Give each row of another tensor its record's value, in as many dimensions."""
    rows = values if owners is None else values[owners]
    return rows.view(-1, *(1 for _ in range(other.ndim - 1)))
