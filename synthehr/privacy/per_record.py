"""What each record contributes to a layer's gradient, from one backward pass.

A layer's gradient is a sum over records of products of its input and of its output's
gradient. Both are at hand after one pass back, so the norm of each record's product, and
the sum of the products once scaled, cost no second pass and are never laid out record by
record (Bu et al. 2023, "Differentially private optimization on large model at small cost",
arXiv:2210.00038). Convolutions in groups, of series and of volumes are laid out, by Opacus' rules.

A record is what privacy is promised to: a patient. Where a layer saw a row for each visit, the
rows of a patient are its places.

Shapes: B records, T places of a record, R rows, I inputs and O outputs of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.errors import ConfigError
from synthehr.models.layers import PerColumnLinear
from synthehr.privacy.convolutions import (
    convolution_norms,
    convolution_sum,
    group_norms,
    group_sum,
    is_plain,
    transposed_norms,
    transposed_sum,
)
from synthehr.privacy.products import Gradients, product_norms, squares

_HINT = "train this model without differential privacy"


class NormRule(NamedTuple):
    """How a kind of layer is treated.

    Attributes
    ----------
    squared_norms : callable
        From layer, input and output gradient, record by record, to the squared norm of
        each record's gradient of the layer's weights; (B,).
    summed : callable
        From the same, or row by row, to the sum of the gradients, weight by weight.
    has_places : bool
        Whether a record may have places: input and output gradient are (B, T, …) then.
    """

    squared_norms: Callable[[Any, Tensor, Tensor], Tensor]
    summed: Callable[[Any, Tensor, Tensor], Gradients]
    has_places: bool = True


def squared_norms(
    layer: nn.Module, x: Tensor, gradient: Tensor, owners: Tensor | None, records: int
) -> Tensor:
    """Give the squared norm of each record's gradient of a layer's weights.

    Parameters
    ----------
    layer : nn.Module
        A layer that has a rule.
    x, gradient : Tensor of shape (B, …) or (R, …)
        Its input, and its output's gradient.
    owners : Tensor of shape (R,), int64, or None
        Record of each row; None where each row is a record.
    records : int
        Number of records B.

    Returns
    -------
    Tensor of shape (B,)

    Raises
    ------
    ConfigError
        Some rows are nobody's, or they are visits and the layer's rule knows of no places.
    """
    rule, kind = RULES[type(layer)], type(layer).__name__
    if len(x) != (records if owners is None else len(owners)):
        raise ConfigError(f"a {kind} layer sees rows that are no patient's", hint=_HINT)
    if owners is None:
        return rule.squared_norms(layer, x, gradient)
    counts = torch.bincount(owners, minlength=records)
    if not bool((counts > 1).any()):
        found = rule.squared_norms(layer, x, gradient)
        return found.new_zeros(records).index_copy_(0, owners, found)
    if not rule.has_places:
        raise ConfigError(f"{kind} layers must not see single visits", hint=_HINT)
    return rule.squared_norms(layer, *_side_by_side(owners, counts, x, gradient))


def _side_by_side(owners: Tensor, counts: Tensor, *rows: Tensor) -> list[Tensor]:
    """Lay each record's rows side by side, (B, T, …), with zeros behind the last."""
    records, most = len(counts), int(counts.max())
    order = owners.argsort(stable=True)
    starts = (counts.cumsum(0) - counts)[owners[order]]
    place = owners * most
    place[order] += torch.arange(len(owners), device=owners.device) - starts
    return [
        row.new_zeros((records * most, *row.shape[1:]))
        .index_copy_(0, place, row)
        .view(records, most, *row.shape[1:])
        for row in rows
    ]


def _linear_norms(layer: nn.Linear, x: Tensor, gradient: Tensor) -> Tensor:
    if x.ndim == 2:
        return (squares(x) + (layer.bias is not None)) * squares(gradient)
    x, gradient = x.flatten(1, -2), gradient.flatten(1, -2)
    norms = product_norms(x, gradient)
    return norms if layer.bias is None else norms + squares(gradient.sum(1))


def _linear_sum(layer: nn.Linear, x: Tensor, gradient: Tensor) -> Gradients:
    gradient = gradient.flatten(0, -2)
    found = [(layer.weight, gradient.T @ x.flatten(0, -2))]
    return found if layer.bias is None else [*found, (layer.bias, gradient.sum(0))]


def _columns_norms(layer: PerColumnLinear, x: Tensor, gradient: Tensor) -> Tensor:
    if x.ndim == 3:
        return (x.square().sum(2) * gradient.square().sum(2)).sum(1)
    # Each column of a record is a record of its own, until the norms are added up.
    x, gradient = (part.transpose(1, 2).flatten(0, 1) for part in (x, gradient))
    return product_norms(x, gradient).view(-1, len(layer.weight)).sum(1)


def _columns_sum(layer: PerColumnLinear, x: Tensor, gradient: Tensor) -> Gradients:
    return [(layer.weight, torch.einsum("bci,bco->cio", x, gradient))]


def _embedding_norms(layer: nn.Embedding, x: Tensor, gradient: Tensor) -> Tensor:
    # Counted, not left to reshape, which cannot tell them of no records or of no places.
    places = math.prod(x.shape[1:])
    x = x.reshape(len(x), places)
    gradient = gradient.reshape(len(x), places, gradient.shape[-1])
    # Rows that a record looks up twice add up before they are squared.
    if layer.weight.numel() < places**2:
        summed = gradient.new_zeros((len(x) * layer.num_embeddings, layer.embedding_dim))
        first = torch.arange(len(x), device=x.device)[:, None] * layer.num_embeddings
        summed.index_add_(0, (x + first).flatten(), gradient.flatten(0, 1))
        return squares(summed.view(len(x), layer.weight.numel()))
    same = x[:, :, None] == x[:, None, :]
    return ((gradient @ gradient.mT) * same).sum((1, 2)).clamp_(min=0.0)


def _embedding_sum(layer: nn.Embedding, x: Tensor, gradient: Tensor) -> Gradients:
    summed = torch.zeros_like(layer.weight)
    return [(layer.weight, summed.index_add_(0, x.flatten(), gradient.flatten(0, -2)))]


def _layer_norm_products(layer: nn.LayerNorm, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Gradients of scale and shift, record by record, (B, …)."""
    standard = functional.layer_norm(x, layer.normalized_shape, eps=layer.eps)
    places = tuple(range(1, x.ndim - len(layer.normalized_shape)))
    products = [standard * gradient, gradient]
    return [product.sum(places) if places else product for product in products]


def _layer_norm_norms(layer: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Tensor:
    scale, shift = map(squares, _layer_norm_products(layer, x, gradient))
    return scale if layer.bias is None else scale + shift


def _layer_norm_sum(layer: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Gradients:
    scale, shift = _layer_norm_products(layer, x, gradient)
    found = [(layer.weight, scale.sum(0))]
    return found if layer.bias is None else [*found, (layer.bias, shift.sum(0))]


def _laid_out(layer: nn.Module, x: Tensor, gradient: Tensor) -> Gradients:
    """Gradients of all records side by side, (B, …), by Opacus."""
    # Importing Opacus changes filters of warnings, so only who needs it does.
    from opacus.grad_sample import GradSampleModule

    sampler = GradSampleModule.GRAD_SAMPLERS[type(layer)]
    return list(sampler(layer, [x], gradient).items())


def _laid_out_norms(layer: nn.Module, x: Tensor, gradient: Tensor) -> Tensor:
    return torch.stack([squares(one) for _, one in _laid_out(layer, x, gradient)]).sum(0)


def _laid_out_sum(layer: nn.Module, x: Tensor, gradient: Tensor) -> Gradients:
    return [(weight, one.sum(0)) for weight, one in _laid_out(layer, x, gradient)]


def _convolution_norms(layer: nn.Conv2d, x: Tensor, gradient: Tensor) -> Tensor:
    found = convolution_norms if is_plain(layer) else _laid_out_norms
    return found(layer, x, gradient)


def _convolution_sum(layer: nn.Conv2d, x: Tensor, gradient: Tensor) -> Gradients:
    found = convolution_sum if is_plain(layer) else _laid_out_sum
    return found(layer, x, gradient)


def _transposed_norms(layer: nn.ConvTranspose2d, x: Tensor, gradient: Tensor) -> Tensor:
    _refuse_groups(layer)
    return transposed_norms(layer, x, gradient)


def _transposed_sum(layer: nn.ConvTranspose2d, x: Tensor, gradient: Tensor) -> Gradients:
    _refuse_groups(layer)
    return transposed_sum(layer, x, gradient)


def _refuse_groups(layer: nn.ConvTranspose2d) -> None:
    if not is_plain(layer):
        raise ConfigError("transposed convolutions in groups have no rule", hint=_HINT)


_LAID_OUT = NormRule(_laid_out_norms, _laid_out_sum, has_places=False)

RULES: Mapping[type[nn.Module], NormRule] = {
    nn.Linear: NormRule(_linear_norms, _linear_sum),
    PerColumnLinear: NormRule(_columns_norms, _columns_sum),
    nn.Embedding: NormRule(_embedding_norms, _embedding_sum),
    nn.LayerNorm: NormRule(_layer_norm_norms, _layer_norm_sum),
    nn.GroupNorm: NormRule(group_norms, group_sum),
    nn.Conv1d: _LAID_OUT,
    nn.Conv2d: NormRule(_convolution_norms, _convolution_sum),
    nn.ConvTranspose2d: NormRule(_transposed_norms, _transposed_sum),
    nn.Conv3d: _LAID_OUT,
}
"""The kinds of layers that may hold weights under differential privacy; subclasses are others."""
