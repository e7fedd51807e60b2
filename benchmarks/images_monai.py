"""MONAI's generator and discriminator on given images, in MONAI's own environment.

    python images_monai.py IMAGES.npz OUT.npz --seconds 600 --seed 0

IMAGES.npz has `images`, (N, C, H, W) uint8, and `labels`, (N,): MONAI's generator reads no labels,
so each class has a pair of nets and a share of the time. Nets, losses and optimisers are those of
its tutorial on MedNIST. OUT.npz has as many images of each class as there were. Prints a JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

LATENT, BATCH = 64, 64
# found by name: it is in the rival's environment alone
NETWORKS: Any = import_module("monai.networks")


def main() -> None:
    """Learn and draw class by class."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    with np.load(options.images, allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    made, classes, steps = np.empty_like(images), np.unique(labels), 0
    started = time.perf_counter()
    generators = {}
    for label in classes:
        seconds = options.seconds / len(classes)
        generators[label], done = trained(images[labels == label], seconds)
        steps += done
    fit_s = time.perf_counter() - started
    for label, generator in generators.items():
        made[labels == label] = drawn(generator, int((labels == label).sum()))
    np.savez(options.out, images=made)
    print(json.dumps({"fit_s": fit_s, "steps": steps, "images_s": steps * BATCH / fit_s}))


def trained(images: NDArray[np.uint8], seconds: float) -> tuple[nn.Module, int]:
    """Train a pair of nets for so many seconds; the generator, and the steps there were."""
    channels, side = images.shape[1], images.shape[2]
    halvings = 3 if side % 8 == 0 else 2
    start = side // 2**halvings
    generator = NETWORKS.nets.Generator(
        latent_shape=LATENT,
        start_shape=(LATENT, start, start),
        channels=[32, 16, 8, channels][3 - halvings :],
        strides=[2, 2, 2, 1][3 - halvings :],
    )
    critic = NETWORKS.nets.Discriminator(
        in_shape=(channels, side, side),
        channels=(8, 16, 32, 64, 1),
        strides=(2, 2, 2, 2, 1),
        num_res_units=1,
        kernel_size=5,
    )
    for net in (generator, critic):
        net.apply(NETWORKS.normal_init)
    generator.conv.add_module("activation", torch.nn.Sigmoid())
    optimisers = [
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for net in (generator, critic)
    ]
    data, end, steps = torch.from_numpy(images), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        real = data[torch.randint(len(data), (BATCH,))].float() / 255
        _step(real, generator, critic, *optimisers)
        steps += 1
    return generator, steps


def _step(
    real: Tensor,
    generator: nn.Module,
    critic: nn.Module,
    of_generator: torch.optim.Adam,
    of_critic: torch.optim.Adam,
) -> None:
    """One step of the generator and one of the critic."""
    yes, no = torch.ones(len(real), 1), torch.zeros(len(real), 1)
    made = generator(torch.randn(len(real), LATENT))
    of_generator.zero_grad()
    functional.binary_cross_entropy(critic(made), yes).backward()
    of_generator.step()
    of_critic.zero_grad()
    right = functional.binary_cross_entropy(critic(real), yes)
    wrong = functional.binary_cross_entropy(critic(made.detach()), no)
    (0.5 * (right + wrong)).backward()
    of_critic.step()


@torch.no_grad()
def drawn(generator: nn.Module, n: int) -> NDArray[np.uint8]:
    """Draw n images, (n, C, H, W)."""
    generator.eval()
    parts = [generator(torch.randn(len(part), LATENT)) for part in torch.arange(n).split(512)]
    return (255 * torch.cat(parts)).round().clamp(0, 255).byte().numpy()


if __name__ == "__main__":
    main()
