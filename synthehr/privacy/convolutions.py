"""What each record contributes to the gradient of a convolution or a group norm.

A convolution multiplies patches of its input, so a record's gradient is a product of patches
and of the output's gradient, as that of a linear layer at many places is. A transposed
convolution is the same with the parts of input and output's gradient exchanged: the gradient is
cut into patches, and the input stands beside them. Neither is laid out record by record.

Records may be in several rows each: then they are (B, T, channels, height, width).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from synthehr.errors import ConfigError
from synthehr.privacy.products import Gradients, product_norms, squares

Convolution = nn.Conv2d | nn.ConvTranspose2d

MOST_CELLS = 1 << 24
"""Cells of patches that are held at a time."""


def is_plain(layer: Convolution) -> bool:
    """Whether patches tell everything: no groups, and no padding but zeros."""
    return layer.groups == 1 and layer.padding_mode == "zeros" and layer.padding != "same"


def convolution_norms(layer: nn.Conv2d, x: Tensor, gradient: Tensor) -> Tensor:
    """Squared norms of the gradients of a convolution's weights, (B,)."""
    return _norms(layer, cut=x, beside=gradient, of_bias=gradient)


def transposed_norms(layer: nn.ConvTranspose2d, x: Tensor, gradient: Tensor) -> Tensor:
    """Squared norms of the gradients of a transposed convolution's weights, (B,)."""
    return _norms(layer, cut=gradient, beside=x, of_bias=gradient)


def convolution_sum(layer: nn.Conv2d, x: Tensor, gradient: Tensor) -> Gradients:
    """Sum of the gradients of a convolution's weights."""
    return _with_bias(layer, gradient, _weight_sum(layer, x, gradient))


def transposed_sum(layer: nn.ConvTranspose2d, x: Tensor, gradient: Tensor) -> Gradients:
    """Sum of the gradients of a transposed convolution's weights."""
    return _with_bias(layer, gradient, _weight_sum(layer, gradient, x))


def group_norms(layer: nn.GroupNorm, x: Tensor, gradient: Tensor) -> Tensor:
    """Squared norms of the gradients of a group norm's scale and shift, (B,)."""
    scale, shift = _group_products(layer, x, gradient)
    return squares(scale) + squares(shift)


def group_sum(layer: nn.GroupNorm, x: Tensor, gradient: Tensor) -> Gradients:
    """Sum of the gradients of a group norm's scale and shift.

    Raises
    ------
    ConfigError
        It sees something else than grids: then what is a record's is not known.
    """
    if x.ndim != 4:
        raise ConfigError(
            "group norms of anything but grids have no rule for one record's gradient",
            hint="train this model without differential privacy",
        )
    scale, shift = _group_products(layer, x, gradient)
    return [(layer.weight, scale.sum(0)), (layer.bias, shift.sum(0))]


def _norms(layer: Convolution, *, cut: Tensor, beside: Tensor, of_bias: Tensor) -> Tensor:
    """Give squared norms by patches of one tensor and places of another."""
    patch = layer.weight[0].numel()
    each = math.prod(beside.shape[1:]) // layer.weight.shape[0] * patch
    size = max(1, MOST_CELLS // max(1, each))
    parts = zip(cut.split(size), beside.split(size), strict=True)
    norms = torch.cat([_product_norms(layer, *part) for part in parts])
    if layer.bias is None:
        return norms
    return norms + squares(_channel_sums(of_bias))


def _product_norms(layer: Convolution, cut: Tensor, beside: Tensor) -> Tensor:
    rows = cut.flatten(0, -4)
    patches = functional.unfold(
        rows, layer.kernel_size, layer.dilation, _padding(layer), layer.stride
    )
    places = beside.flatten(0, -4).flatten(2)
    # Counted, not left to reshape, which cannot tell the places of no records.
    count = math.prod(cut.shape[1:-3]) * patches.shape[2]
    x, gradient = (part.mT.reshape(len(cut), count, part.shape[1]) for part in (patches, places))
    return product_norms(x, gradient)


def _padding(layer: Convolution) -> tuple[int, ...]:
    return (0, 0) if isinstance(layer.padding, str) else layer.padding


def _weight_sum(layer: Convolution, cut: Tensor, beside: Tensor) -> Tensor:
    _, found, _ = torch.ops.aten.convolution_backward.default(
        beside,
        cut,
        layer.weight.detach(),
        None,
        layer.stride,
        _padding(layer),
        layer.dilation,
        False,
        (0, 0),
        1,
        (False, True, False),
    )
    # In the weight's own order in memory, as an optimiser and a further pass back want it.
    return torch.empty_like(layer.weight).copy_(found)


def _with_bias(layer: Convolution, gradient: Tensor, weight: Tensor) -> Gradients:
    found = [(layer.weight, weight)]
    if layer.bias is None:
        return found
    return [*found, (layer.bias, _channel_sums(gradient).sum(0))]


def _channel_sums(gradient: Tensor) -> Tensor:
    """Sum over rows and places; (B, channels)."""
    sums = gradient.sum((-2, -1))
    return sums.sum(1) if sums.ndim == 3 else sums


def _group_products(layer: nn.GroupNorm, x: Tensor, gradient: Tensor) -> list[Tensor]:
    """Gradients of scale and shift, record by record, (B, channels)."""
    lead = x.ndim - 4
    standard = functional.group_norm(x.flatten(0, lead), layer.num_groups, eps=layer.eps)
    return [
        _channel_sums(part.view_as(x)) for part in (standard * gradient.flatten(0, lead), gradient)
    ]
