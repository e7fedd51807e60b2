"""What a model may consist of under differential privacy, and a rehearsal that checks it.

An allow-list, since a list of what is forbidden forgets. Then the model's losses are computed
on made-up records, which shows what no list can: that every weight's gradient is accounted
for, and that no record's loss hangs on another record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from synthehr.encode.fields import Fields
from synthehr.errors import ConfigError
from synthehr.models.base import Loss, Model
from synthehr.privacy.conditions import Conditions
from synthehr.privacy.dpsgd import DpSgd, SlotDraw
from synthehr.privacy.per_record import RULES
from synthehr.privacy.slots import Slots

Records = TypeVar("Records")

REHEARSED = 24
TOLERANCE = 1e-4
_HINT = "train this model without differential privacy, or train --model autoregressive"


def refuse_foreign_layers(model: nn.Module) -> None:
    """Refuse layers without a rule, weights that two layers share, and running statistics.

    Raises
    ------
    ConfigError
        Naming the kind of layer.
    """
    owners: dict[int, nn.Module] = {}
    for layer in model.modules():
        own = list(layer.parameters(recurse=False))
        if own and type(layer) not in RULES:
            _refuse(f"{type(layer).__name__} layers have no rule for one record's gradient")
        if isinstance(layer, nn.modules.batchnorm._NormBase):
            _refuse(f"{type(layer).__name__} layers mix the records of a batch")
        if isinstance(layer, nn.Embedding) and (layer.max_norm or layer.scale_grad_by_freq):
            _refuse("embeddings that look at the whole batch mix its records")
        for weight in own:
            if owners.setdefault(id(weight), layer) is not layer:
                _refuse("two layers share a weight")
            if not weight.requires_grad:
                _refuse("frozen weights are not known to be public")


def rehearse(model: Model, fields: Fields) -> int:
    """Rehearse a step of a model of tables, see `rehearse_on`.

    Returns
    -------
    int
        How often a step looks at its records.

    Raises
    ------
    ConfigError
        Differential privacy would not hold.
    """
    made_up = made_up_codes(fields, REHEARSED)
    slots = Slots(made_up.short(), None, 1.0, len(made_up), Conditions.of(model, fields))
    slots.filled = torch.ones(len(made_up), dtype=torch.bool)
    changed = made_up.clone()
    changed[0] = made_up[1]

    def losses(codes: Tensor, generator: torch.Generator) -> Iterator[Loss]:
        return model.losses(slots.batch(codes, generator), 0)

    return rehearse_on(model, slots, losses, made_up, changed)


def rehearse_on(
    model: nn.Module,
    slots: SlotDraw,
    losses: Callable[[Records, torch.Generator], Iterator[Loss]],
    made_up: Records,
    changed: Records,
) -> int:
    """Compute losses of made-up records, and check what differential privacy rests on.

    Parameters
    ----------
    model : nn.Module
        What is to be trained.
    slots : SlotDraw
        Says which slots are filled; here all of them, and some are emptied in between.
    losses : callable
        From records and a source of randomness to the losses of a step.
    made_up, changed : Records
        One record a slot, nobody's; and the same but for the first. Where records have visits,
        the one that changes has the most, since the others must not feel that either.

    Returns
    -------
    int
        How often a step looks at its records: once for each loss that saw them.

    Raises
    ------
    ConfigError
        A layer has no rule, a weight's gradient escapes the rules, a record's loss hangs on
        another record or on whether its neighbours are blank, or goes through layers in the row
        of another, or the model keeps something of a batch.
    """
    refuse_foreign_layers(model)
    engine = DpSgd(model, slots, clip=1e30, noise_multiplier=0.0, expected=1.0)
    everywhere, some = slots.filled, torch.arange(len(slots.filled)) % 3 > 0
    kept = [buffer.clone() for buffer in model.buffers()]
    look = partial(_look, engine, losses)
    found: list[list[Tensor]] = []
    with torch.random.fork_rng(), engine.watching():
        firsts = [first.detach().clone() for _, first in look(made_up)]
        slots.filled = some
        for (_, left), first in zip(look(made_up), firsts, strict=True):
            left = left if len(left) < len(first) else left[some]
            if not torch.allclose(left, first[some], rtol=TOLERANCE, atol=TOLERANCE):
                _refuse("a record's loss hangs on how many others are in its batch")
        slots.filled = everywhere
        for (child, others), first in zip(look(changed), firsts, strict=True):
            if not torch.allclose(others[1:], first[1:], rtol=TOLERANCE, atol=TOLERANCE):
                _refuse("a record's loss hangs on other records of its batch")
            found.append(engine.clipped_sum(others, _trained(model, child)))
        for (child, again), ours in zip(look(changed), found, strict=True):
            weights = _trained(model, child)
            real = torch.autograd.grad(again.sum(), weights, allow_unused=True)
            if not all(map(_agree, ours, real)):
                _refuse("a weight is used outside its layer, so its gradient escapes the rules")
        _refuse_strays(engine, [look(changed), look(changed)])
    if any(not torch.equal(one, two) for one, two in zip(kept, model.buffers(), strict=True)):
        _refuse("the model keeps statistics of the records it saw")
    return len(found)


def _refuse_strays(engine: DpSgd, looks: Sequence[Iterator[tuple[str, Tensor]]]) -> None:
    """Refuse a model that has a record's work done in a row of another; two equal looks."""
    powers = 2.0 ** torch.arange(len(engine.slots.filled))
    evenly, unevenly = (
        [gradient for _, losses in look for gradient in engine.weighted(losses, weights)]
        for look, weights in zip(looks, (torch.ones_like(powers), powers), strict=True)
    )
    for one, other in zip(evenly, unevenly, strict=True):
        if not torch.allclose(one, other, rtol=TOLERANCE, atol=0.0):
            _refuse("a record's loss goes through layers in the row of another record")


def _look(
    engine: DpSgd, losses: Callable[[Records, torch.Generator], Iterator[Loss]], records: Records
) -> Iterator[tuple[str, Tensor]]:
    """Give the losses of records, each with its child, from equal random numbers."""
    torch.manual_seed(0)
    filled = engine.slots.filled
    for loss in losses(records, torch.default_generator):
        if loss.per_record is not None:
            if loss.per_record.shape not in [(len(filled),), (int(filled.sum()),)]:
                _refuse("a loss of records has another shape than one number a record")
            yield loss.child, loss.per_record
        engine.forget()


def _trained(model: nn.Module, child: str) -> list[Tensor]:
    return list(model.get_submodule(child).parameters())


def _agree(ours: Tensor, theirs: Tensor | None) -> bool:
    theirs = torch.zeros_like(ours) if theirs is None else theirs
    size = max(1.0, float(theirs.abs().max()))
    return torch.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * size)


def made_up_codes(fields: Fields, n: int) -> Tensor:
    """Draw valid codes that are nobody's; (n, 2, D)."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.zeros((n, 2, len(fields)), dtype=torch.int64)
    for column, field in enumerate(fields):
        tokens = torch.randint(field.size, (n,), generator=generator)
        widths = torch.from_numpy(field.parts)[tokens]
        codes[:, 0, column] = tokens
        codes[:, 1, column] = (torch.rand(n, generator=generator) * widths).long()
    return codes


def _refuse(why: str) -> None:
    raise ConfigError(f"this model cannot be trained under differential privacy: {why}", hint=_HINT)
