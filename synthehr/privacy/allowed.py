"""What a model may consist of under differential privacy, and a rehearsal that checks it.

An allow-list, since a list of what is forbidden forgets. Then the model's losses are computed
on made-up records, which shows what no list can: that every weight's gradient is accounted
for, and that no record's loss hangs on another record.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from synthehr.encode.fields import Fields
from synthehr.errors import ConfigError
from synthehr.models.base import Model
from synthehr.privacy.conditions import Conditions
from synthehr.privacy.dpsgd import DpSgd
from synthehr.privacy.per_record import RULES
from synthehr.privacy.slots import Slots

REHEARSED = 24
TOLERANCE = 1e-4
_HINT = "train this model without differential privacy, or train --model autoregressive"


def refuse_foreign_layers(model: Model) -> None:
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
    """Compute losses of made-up records, and check what differential privacy rests on.

    Returns
    -------
    int
        How often a step looks at its records: once for each loss that saw them.

    Raises
    ------
    ConfigError
        A weight's gradient escapes the rules, a record's loss hangs on another record or on
        whether its neighbours are blank, or the model keeps something of a batch.
    """
    refuse_foreign_layers(model)
    made_up = _made_up(fields)
    everywhere = torch.ones(len(made_up), dtype=torch.bool)
    slots = Slots(made_up.short(), None, 1.0, len(made_up), Conditions.of(model, fields))
    slots.filled = everywhere
    engine = DpSgd(model, slots, clip=1e30, noise_multiplier=0.0, expected=1.0)
    kept = [buffer.clone() for buffer in model.buffers()]
    changed = made_up.clone()
    changed[0] = made_up[1]
    found: list[list[Tensor]] = []
    with torch.random.fork_rng(), engine.watching():
        firsts = [losses.detach().clone() for _, losses in _private(model, engine, slots, made_up)]
        slots.filled = torch.arange(len(made_up)) % 3 > 0
        for (_, losses), first in zip(_private(model, engine, slots, made_up), firsts, strict=True):
            left = losses if len(losses) < len(first) else losses[slots.filled]
            if not torch.allclose(left, first[slots.filled], rtol=TOLERANCE, atol=TOLERANCE):
                _refuse("a record's loss hangs on how many others are in its batch")
        slots.filled = everywhere
        for (child, losses), first in zip(
            _private(model, engine, slots, changed), firsts, strict=True
        ):
            if not torch.allclose(losses[1:], first[1:], rtol=TOLERANCE, atol=TOLERANCE):
                _refuse("a record's loss hangs on other records of its batch")
            found.append(engine.clipped_sum(losses, _trained(model, child)))
        for (child, losses), ours in zip(
            _private(model, engine, slots, changed), found, strict=True
        ):
            weights = _trained(model, child)
            real = torch.autograd.grad(losses.sum(), weights, allow_unused=True)
            if not all(map(_agree, ours, real)):
                _refuse("a weight is used outside its layer, so its gradient escapes the rules")
        _refuse_strays(model, engine, slots, changed)
    if any(not torch.equal(one, two) for one, two in zip(kept, model.buffers(), strict=True)):
        _refuse("the model keeps statistics of the records it saw")
    return len(found)


def _refuse_strays(model: Model, engine: DpSgd, slots: Slots, codes: Tensor) -> None:
    """Refuse a model that has a record's work done in a row of another."""
    powers = 2.0 ** torch.arange(len(codes))
    evenly, unevenly = (
        [
            gradient
            for _, losses in _private(model, engine, slots, codes)
            for gradient in engine.weighted(losses, weights)
        ]
        for weights in (torch.ones_like(powers), powers)
    )
    for one, other in zip(evenly, unevenly, strict=True):
        if not torch.allclose(one, other, rtol=TOLERANCE, atol=0.0):
            _refuse("a record's loss goes through layers in the row of another record")


def _private(
    model: Model, engine: DpSgd, slots: Slots, codes: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """Give the losses of records, each with its child, from equal random numbers."""
    torch.manual_seed(0)
    for loss in model.losses(slots.batch(codes, torch.default_generator), 0):
        if loss.per_record is not None:
            if loss.per_record.shape not in [(len(codes),), (int(slots.filled.sum()),)]:
                _refuse("a loss of records has another shape than one number a record")
            yield loss.child, loss.per_record
        engine.forget()


def _trained(model: Model, child: str) -> list[Tensor]:
    return list(model.get_submodule(child).parameters())


def _agree(ours: Tensor, theirs: Tensor | None) -> bool:
    theirs = torch.zeros_like(ours) if theirs is None else theirs
    size = max(1.0, float(theirs.abs().max()))
    return torch.allclose(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE * size)


def _made_up(fields: Fields) -> Tensor:
    """Draw valid codes that are nobody's; (REHEARSED, 2, D)."""
    generator = torch.Generator().manual_seed(0)
    codes = torch.zeros((REHEARSED, 2, len(fields)), dtype=torch.int64)
    for column, field in enumerate(fields):
        tokens = torch.randint(field.size, (REHEARSED,), generator=generator)
        widths = torch.from_numpy(field.parts)[tokens]
        codes[:, 0, column] = tokens
        codes[:, 1, column] = (torch.rand(REHEARSED, generator=generator) * widths).long()
    return codes


def _refuse(why: str) -> None:
    raise ConfigError(f"this model cannot be trained under differential privacy: {why}", hint=_HINT)
