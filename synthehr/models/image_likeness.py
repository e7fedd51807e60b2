"""How far drawn images are from held-out ones: what chooses an adversarial model's weights.

A kernel distance (Binkowski et al. 2018, arXiv:1801.01401) of features that nothing has trained:
random convolutions tell blur, noise and missing kinds of images apart well enough to choose
between the states of one run, and cost no label.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DRAWN = 512
"""Images drawn for a comparison; as many held-out ones are taken, where there are."""
_WIDTHS = (16, 32, 64)


def likeness(held_out: Tensor, drawn: Tensor) -> float:
    """Kernel distance of two sets of images, (N, C, H, W) in [-1, 1]; about 0 for equal sources."""
    first, second = features(held_out), features(drawn)
    centre, scale = first.mean(0), first.std(0).clamp(min=1e-6)
    return kernel_distance((first - centre) / scale, (second - centre) / scale)


def features(pixels: Tensor) -> Tensor:
    """Describe images by random convolutions, pooled over quarters of the image, (N, F)."""
    generator = torch.Generator().manual_seed(0)
    found, come = [], pixels.float()
    for width in _WIDTHS:
        kernel = torch.randn(width, come.shape[1], 3, 3, generator=generator)
        kernel = kernel / (9 * come.shape[1]) ** 0.5
        come = functional.leaky_relu(functional.conv2d(come, kernel.to(come), padding=1), 0.2)
        come = functional.avg_pool2d(come, 2, ceil_mode=True) * 1.4
        found.append(functional.adaptive_avg_pool2d(come, 2).flatten(1))
        found.append(functional.adaptive_avg_pool2d(come.square(), 2).flatten(1))
    return torch.cat(found, dim=1)


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Squared maximum mean discrepancy by a cubic kernel, without bias."""
    n, m, width = len(first), len(second), first.shape[1]
    if min(n, m) < 2:
        return 0.0

    def kernel(one: Tensor, other: Tensor) -> Tensor:
        return (one.double() @ other.double().T / width + 1) ** 3

    within = [
        (inner.sum() - inner.trace()) / (len(inner) * (len(inner) - 1))
        for inner in (kernel(first, first), kernel(second, second))
    ]
    return float(within[0] + within[1] - 2 * kernel(first, second).mean())
